"""Options that studies share."""

from __future__ import annotations

import argparse
from pathlib import Path


def study_parser(docstring: str) -> argparse.ArgumentParser:
    """Return a parser of the command line of a study, which the first line of its docstring describes."""
    parser = argparse.ArgumentParser(
        description=docstring.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to write everything")
    return parser


def model_study_parser(docstring: str) -> argparse.ArgumentParser:
    """Return one with the options of studies of models; temperatures are in K."""
    parser = study_parser(docstring)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 60], help="frames of a training set")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind and size")
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps of a training")
    parser.add_argument("--held-out", type=int, default=40, help="held-out frames of each temperature")
    parser.add_argument("--temperature", type=float, default=1500.0, help="of training and held-out frames")
    return parser
