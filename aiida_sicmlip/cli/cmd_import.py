"""The command `aiida-sicmlip import`."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@PROFILE
def import_(*, folder: Path, profile_name: str | None) -> None:
    """Import a model that was exported to FOLDER, with its provenance, into the profile.

    The files are verified first. Nodes that exist already are not imported again. What the processes of the archive
    would run in a shell is printed; `reproduce` and `retrain` run it only with `--trust-shell`.

    For example: `aiida-sicmlip import divacancy-model --profile other`.
    """
    from aiida_sicmlip.reports.exchange import import_model

    load_profile(profile_name)
    imported = import_model(folder)
    what = "Imported model" if imported.new else "Model"
    click.echo(f"{what} <{imported.model.pk}> ({imported.model.uuid}){'' if imported.new else ' was here already'}.")
    if imported.shell:
        click.echo("Job scripts of the archive hold text of its author, which is run again only with `--trust-shell`:")
        for text in imported.shell:
            click.echo(f"  {text}")
    click.echo(
        f"Check it with `aiida-sicmlip verify {imported.model.pk}`, and make it again with "
        f"`aiida-sicmlip reproduce {imported.model.pk}`."
    )
