"""The command `aiida-sicmlip export`."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("export")
@click.argument("identifier", metavar="MODEL")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--purpose", metavar="TEXT", help="Intended use of the model, stated first in the model card.")
@click.option("--authors", metavar="TEXT", help="Authors of the model.")
@click.option("--citation", metavar="TEXT", help="Citation of the model, in addition to those of the programs.")
@click.option("--licence", metavar="TEXT", help="Licence of the model.")
@click.option(
    "--without-run",
    is_flag=True,
    help="Export only the provenance of MODEL, without the work chains of its run and the processes they called.",
)
@PROFILE
def export(
    *,
    identifier: str,
    folder: Path,
    purpose: str | None,
    authors: str | None,
    citation: str | None,
    licence: str | None,
    without_run: bool,
    profile_name: str | None,
) -> None:
    """Export MODEL to FOLDER: the packaged model, its provenance as an AiiDA archive, and a model card.

    The card (Markdown and JSON) states the training data, errors, level of theory, and the cells, temperatures and
    defects of the training set. `import` imports all of it into another profile.

    For example: `aiida-sicmlip export 462 divacancy-model --licence CC-BY-4.0`.
    """
    from aiida_sicmlip.reports.exchange import export_model
    from aiida_sicmlip.reports.model_card import Statement
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.potentials import MODELS, model_of

    load_profile(profile_name)
    statement = Statement(purpose=purpose, authors=authors, citation=citation, licence=licence)
    model = model_of(load(identifier, MODELS, "MODEL"))
    written = export_model(model, folder, statement, with_run=not without_run)
    for path in written:
        click.echo(f"{path}  {path.stat().st_size / 1e6:.2f} MB")
