"""Commands `aiida-sicmlip dataset show`, `stats` and `diff`."""

from __future__ import annotations

import json

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.common.exceptions import SicmlipError


@click.command("show")
@click.argument("identifier", metavar="PK")
@click.option("--all", "every", is_flag=True, help="Also list the sources of every configuration.")
@PROFILE
def show(identifier: str, every: bool, profile_name: str | None) -> None:
    """Show size, levels of theory, configurations by charge, spin and round, and their origin of data set PK."""
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.reports.datasets import dataset_lines, sources_table
    from aiida_sicmlip.tools.nodes import load

    load_profile(profile_name)
    node = load(identifier, [LabelledDataSetData], "PK")
    click.echo("\n".join(dataset_lines(node)))
    if every:
        click.echo(f"\n{sources_table(node)}")


@click.command("stats")
@click.argument("identifier", metavar="PK")
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
@PROFILE
def stats(identifier: str, as_json: bool, profile_name: str | None) -> None:
    """Show counts by charge and spin, energies, forces, minimum distances, volumes and composition of data set PK."""
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.reports.datasets import statistics_lines, statistics_report
    from aiida_sicmlip.tools.nodes import load

    load_profile(profile_name)
    report = statistics_report(load(identifier, [LabelledDataSetData], "PK"))
    click.echo(json.dumps(report) if as_json else "\n".join(statistics_lines(report)))


@click.command("diff")
@click.argument("first", metavar="PK1")
@click.argument("second", metavar="PK2")
@PROFILE
def diff(first: str, second: str, profile_name: str | None) -> None:
    """Show how two data sets differ: levels of theory, configurations, labels, order.

    Configurations are the same if species, positions and cell are bitwise equal. The exit status is 0 if the sets are
    the same, 1 if they differ, and 2 if they cannot be compared.
    """
    try:
        different = _print_differences(first, second, profile_name)
    except SicmlipError as error:
        failure = click.ClickException(str(error))
        failure.exit_code = 2
        raise failure from error
    raise SystemExit(int(different))


def _print_differences(first: str, second: str, profile_name: str | None) -> bool:
    """Print the differences of two data sets, and return whether there are any."""
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.reports.datasets import comparison_lines
    from aiida_sicmlip.science.labels.comparison import compare_datasets
    from aiida_sicmlip.tools.nodes import load

    load_profile(profile_name)
    nodes = load(first, [LabelledDataSetData], "PK1"), load(second, [LabelledDataSetData], "PK2")
    lines, different = comparison_lines(*nodes, compare_datasets(nodes[0].frames(), nodes[1].frames()))
    click.echo("\n".join(lines))
    return different
