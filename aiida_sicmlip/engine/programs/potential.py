"""`sicmlip-potential`: trains, compiles and evaluates potentials, and labels with one, where it computes; no AiiDA."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from aiida_sicmlip import __version__
from aiida_sicmlip.common.filenames import (
    COMPILATION_REPORT_FILE,
    COMPILED_MODEL_FILE,
    EVALUATION_REPORT_FILE,
    LABEL_REPORT_FILE,
    PREDICTIONS_FILE,
    TRAINING_REPORT_FILE,
    TRAINING_SETTINGS_FILE,
)
from aiida_sicmlip.engine.reports import reported, run_command, versions

#: What will call a compiled model: LAMMPS's `pair_style allegro` (and this package), or NequIP's calculator for ASE.
TARGETS = ("pair_allegro", "ase")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; known failures are told in one sentence on stderr."""
    options = _parser().parse_args(arguments)
    _quieten_libraries()
    return run_command("sicmlip-potential", lambda: options.command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sicmlip-potential", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "train", help="train a model in the current folder", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    command.add_argument("--settings", type=Path, default=TRAINING_SETTINGS_FILE, help="JSON file of settings")
    command.add_argument("--report", type=Path, default=TRAINING_REPORT_FILE, help="JSON file to write")
    command.set_defaults(command=_train)

    command = commands.add_parser(
        "compile",
        help="compile a packaged model for this machine",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("package", type=Path, help="packaged model, a file named .nequip.zip")
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the model will run")
    command.add_argument("--target", choices=TARGETS, default=TARGETS[0], help="what will call the model")
    command.add_argument(
        "--output", type=Path, default=COMPILED_MODEL_FILE, help="compiled model to write (.nequip.pt2)"
    )
    command.add_argument("--report", type=Path, default=COMPILATION_REPORT_FILE, help="JSON file to write")
    command.set_defaults(command=_compile)

    command = commands.add_parser(
        "evaluate",
        help="compare a potential with labelled frames",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--dataset", type=Path, required=True, help="labelled frames (.npz)")
    potential = command.add_mutually_exclusive_group(required=True)
    potential.add_argument("--compiled", type=Path, help="compiled model, target pair_allegro (.nequip.pt2)")
    potential.add_argument("--classical", type=Path, help="JSON file with `species` and LAMMPS `commands`")
    command.add_argument(
        "--committee",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="other compiled models that a compiled model is a committee with: how much all of them disagree",
    )
    command.add_argument(
        "--host",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="perfect crystals in the cells of the frames, in any format that ASE reads (default: found from the "
        "frames); errors near defects and on migrating atoms are told by them",
    )
    command.add_argument("--device", default="cpu", help="where a compiled model runs: cpu, cuda or cuda:INDEX")
    command.add_argument("--output", type=Path, default=PREDICTIONS_FILE, help="predictions to write (.npz)")
    command.add_argument("--report", type=Path, default=EVALUATION_REPORT_FILE, help="JSON file to write")
    command.set_defaults(command=_evaluate)

    command = commands.add_parser(
        "label",
        help="compute energy and forces of one configuration with a classical potential",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument(
        "--configuration", type=Path, required=True, help="JSON file with `symbols`, `cell` and `positions` (A)"
    )
    command.add_argument("--classical", type=Path, required=True, help="JSON file with `species` and LAMMPS `commands`")
    command.add_argument("--output", type=Path, default=PREDICTIONS_FILE, help="energy and forces to write (.npz)")
    command.add_argument("--report", type=Path, default=LABEL_REPORT_FILE, help="JSON file to write")
    command.set_defaults(command=_label)

    command = commands.add_parser("versions", help="print the versions that decide the numbers, as JSON")
    command.set_defaults(command=_versions)
    return parser


# The commands import what they need themselves: torch and NequIP take seconds, and `--help` must not.


def _train(options: argparse.Namespace) -> None:
    with reported(options.report) as report:
        from aiida_sicmlip.engine.training import train

        train(options.settings, report)


def _compile(options: argparse.Namespace) -> None:
    with reported(options.report) as report:
        from aiida_sicmlip.engine.compilation import compile_model

        compile_model(options.package, options.output, options.device, options.target, report)


def _evaluate(options: argparse.Namespace) -> None:
    with reported(options.report) as report:
        from aiida_sicmlip.engine.evaluation import evaluate

        evaluate(
            options.dataset,
            options.output,
            report,
            compiled=options.compiled,
            classical=options.classical,
            committee=options.committee,
            hosts=options.host,
            device=options.device,
        )


def _label(options: argparse.Namespace) -> None:
    with reported(options.report) as report:
        from aiida_sicmlip.engine.labelling import label

        label(options.configuration, options.classical, options.output, report)


def _versions(options: argparse.Namespace) -> None:
    print(json.dumps(versions(), indent=2))


def _quieten_libraries() -> None:
    """Keep the output to this program's own lines; called before the libraries are imported."""
    os.environ.setdefault("_NEQUIP_LOG_LEVEL", "ERROR")
    for message in (
        ".*does not have many workers.*",
        ".*LeafSpec.*",
        ".*TypedStorage.*",
        ".*exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message=f".*{message}.*")


if __name__ == "__main__":
    sys.exit(main())
