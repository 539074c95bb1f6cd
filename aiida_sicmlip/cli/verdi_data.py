"""Subcommands of `verdi data` that list data sets and models."""

from __future__ import annotations

from typing import Any

import click


@click.group("sicmlip.dataset")
def dataset() -> None:
    """Labelled data sets of aiida-sicmlip; see also `aiida-sicmlip dataset`."""


@click.group("sicmlip.potential")
def potential() -> None:
    """Trained potentials of aiida-sicmlip; see also `aiida-sicmlip lineage` and `export`."""


def _lister(entry_point: str, what: str) -> click.Command:
    """Return the command that lists the nodes of a data type."""

    @click.command("list", help=f"List {what}, the latest last.")
    @click.option(
        "-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of nodes."
    )
    def listed(number: int) -> None:
        from aiida import orm
        from aiida.cmdline.utils.decorators import load_backend_if_not_loaded
        from aiida.plugins import DataFactory

        from aiida_sicmlip.reports.text import table

        load_backend_if_not_loaded()
        query = orm.QueryBuilder().append(DataFactory(entry_point), tag="node")
        total = query.count()
        nodes = query.order_by({"node": {"id": "desc"}}).limit(number).all(flat=True)
        click.echo(table(("PK", "made", "label", "what"), [_row(node) for node in reversed(nodes)]))
        if total > number:
            click.echo(f"The latest {number} of {total}; `-n` shows more.")

    return listed


def _row(node: Any) -> tuple[str, str, str, str]:
    """Return PK, date, label and description of a node."""
    return str(node.pk), f"{node.ctime:%Y-%m-%d %H:%M}", node.label or "-", node.get_description()


dataset.add_command(_lister("sicmlip.dataset", "labelled data sets"))
potential.add_command(_lister("sicmlip.potential", "trained potentials"))
