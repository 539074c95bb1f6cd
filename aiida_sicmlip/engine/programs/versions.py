"""`sicmlip versions`: prints the versions that affect results."""

from __future__ import annotations

import argparse
import json

from aiida_sicmlip.engine.reports import versions

DESCRIPTION = "Print the versions of Python and of the packages that affect results, as JSON."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the subcommand takes no arguments."""


def run(options: argparse.Namespace) -> None:
    """Print them; null where a package is not installed."""
    print(json.dumps(versions(), indent=2))
