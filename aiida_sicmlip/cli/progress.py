"""A line that says what a command is at while it takes its time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import click


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show a line while the block runs, where errors go to a terminal; it is gone afterwards."""
    shown = sys.stderr.isatty()
    if shown:
        click.echo(f"{what} ...", err=True, nl=False)
    try:
        yield
    finally:
        if shown:
            click.echo("\r\x1b[K", err=True, nl=False)
