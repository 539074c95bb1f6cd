"""The command `aiida-sicmlip export`."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile


@click.command("export")
@click.argument("identifier", metavar="MODEL")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--purpose", metavar="TEXT", help="What the model is meant for; the card says it first.")
@click.option("--authors", metavar="TEXT", help="Who made the model.")
@click.option("--citation", metavar="TEXT", help="What to cite for the model, before its programs.")
@click.option("--licence", metavar="TEXT", help="Under which licence it is given away.")
@click.option(
    "--without-run",
    is_flag=True,
    help="Write only what MODEL was made from, not the work chains of its run with all that they called.",
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
    """Write MODEL into FOLDER: the packaged model, its history as an AiiDA archive, and a model card.

    The card (Markdown and JSON) says what the model was trained on, its errors, its level of theory and the cells,
    temperatures and defects that it has seen. `import` brings all into another profile.

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
