"""The command `aiida-sicmlip report`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.cli.progress import working
from aiida_sicmlip.common.exceptions import InputError


@click.command("report")
@click.argument("identifier", metavar="PK")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the report; `report-PK.html` in the current folder by default.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print all values as JSON instead of writing the report.")
@PROFILE
def report(*, identifier: str, output: Path | None, force: bool, as_json: bool, profile_name: str | None) -> None:
    """Write an HTML report on run PK: question and answer, convergence, errors, costs, failures and lineage.

    The page is self-contained and can be printed. For a running run it contains the available results.

    For example: `aiida-sicmlip report 46 --output divacancy.html`.
    """
    from aiida_sicmlip.common.new_files import write_new
    from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
    from aiida_sicmlip.reports.run.material import RunMaterial
    from aiida_sicmlip.reports.run.page import run_page
    from aiida_sicmlip.reports.run.values import run_report
    from aiida_sicmlip.tools.nodes import load

    if as_json and output is not None:
        raise InputError("`--json` prints to standard output: omit `--output`, and redirect it to a file with `>`.")
    load_profile(profile_name)
    material = RunMaterial(load(identifier, [ACTIVE_LEARNING], "PK"))
    if as_json:
        with working("Reading the run"):
            values = run_report(material)
        click.echo(json.dumps(values, indent=1, allow_nan=False))
        return
    path = output or Path(f"report-{material.node.pk}.html")
    if path.exists() and not force:
        raise InputError(f"`{path}` exists already: give `--force` to overwrite it, or another file with `--output`.")
    with working("Reading and drawing the run"):
        page = run_page(material)
    write_new(path, page)
    click.echo(f"The report of run <{material.node.pk}> is in {path} ({len(page.encode()) / 1e6:.1f} MB).")
