"""`sicmlip compile`: compiles a packaged potential for the machine it runs on."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.filenames import COMPILATION_REPORT_FILE, COMPILED_MODEL_FILE
from aiida_sicmlip.engine.reports import reported

DESCRIPTION = "Compile a packaged potential for this machine."
#: What will call a compiled model: LAMMPS's `pair_style allegro` (and this package), or NequIP's calculator for ASE.
TARGETS = ("pair_allegro", "ase")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    parser.add_argument("package", type=Path, help="packaged model, a file named .nequip.zip")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the model will run")
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[0], help="what will call the model")
    parser.add_argument(
        "--output", type=Path, default=COMPILED_MODEL_FILE, help="compiled model to write (.nequip.pt2)"
    )
    parser.add_argument("--report", type=Path, default=COMPILATION_REPORT_FILE, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    """Compile, and leave a report however it ends."""
    with reported(options.report) as report:
        from aiida_sicmlip.engine.compilation import compile_model

        compile_model(options.package, options.output, options.device, options.target, report)
