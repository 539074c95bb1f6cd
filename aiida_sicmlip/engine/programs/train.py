"""`sicmlip train`: trains a potential."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import PORTABLE_MODEL_FILE, TRAINING_REPORT_FILE, TRAINING_SETTINGS_FILE
from aiida_sicmlip.engine.programs.options import add_label_names, label_names
from aiida_sicmlip.engine.reports import reported
from aiida_sicmlip.science.protocol_files import TRAINING_PROTOCOLS, read_protocols

DESCRIPTION = (
    "Train an Allegro potential, and package its best model: on files of labelled frames with the settings of a "
    "protocol (--training, --validation, --output), or in the current folder with all settings in a file (--settings)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    protocols = read_protocols(TRAINING_PROTOCOLS)
    parser.add_argument("--settings", type=Path, default=Path(TRAINING_SETTINGS_FILE), help="JSON file of settings")
    parser.add_argument("--report", type=Path, default=Path(TRAINING_REPORT_FILE), help="JSON file to write")
    files = parser.add_argument_group("training on files")
    files.add_argument("--training", type=Path, metavar="FILE", help="labelled frames (.extxyz, .db, .npz)")
    files.add_argument("--validation", type=Path, metavar="FILE", help="labelled frames to validate on")
    files.add_argument("--output", type=Path, metavar="FOLDER", help="where everything is written")
    files.add_argument(
        "--protocol",
        choices=list(protocols["protocols"]),
        default=protocols["default_protocol"],
        help="settings to begin with",
    )
    files.add_argument(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting on top of the protocol, such as model.cutoff=4.5 or seeds.model=2; may be repeated",
    )
    files.add_argument(
        "--start-from", type=Path, metavar="MODEL", help="packaged model to start from, instead of random weights"
    )
    add_label_names(files)


def run(options: argparse.Namespace) -> None:
    """Train, and leave a report however it ends."""
    files = {name: getattr(options, name) for name in ("training", "validation", "output")}
    if not any((*files.values(), options.assignments, options.start_from)):
        with reported(options.report) as report:
            from aiida_sicmlip.engine.training import train

            train(options.settings, report)
        return
    if missing := [f"--{name}" for name, value in files.items() if value is None]:
        raise InputError(f"A training on files needs {' and '.join(missing)} as well.")
    if options.settings != Path(TRAINING_SETTINGS_FILE):
        raise InputError("Give either a file of all settings (--settings), or files of frames and a protocol.")
    from aiida_sicmlip.engine.training_from_files import prepare_training

    prepare_training(
        options.output,
        options.training,
        options.validation,
        protocol=options.protocol,
        assignments=options.assignments,
        initial_model=options.start_from,
        names=label_names(options),
    )
    path = Path(TRAINING_REPORT_FILE) if options.report == Path(TRAINING_REPORT_FILE) else options.report.absolute()
    # The training reads and writes what is in its folder.
    os.chdir(options.output)
    with reported(path) as report:
        from aiida_sicmlip.engine.training import train

        train(TRAINING_SETTINGS_FILE, report)
        errors = ", ".join(
            f"{of_set['force_mae']:.4f} eV/A and {1000 * of_set['energy_mae']:.2f} meV/atom in {name}"
            for name, of_set in report["best"].items()
        )
        print(f"{options.output / PORTABLE_MODEL_FILE}, step {report['best_step']}: MAE {errors}")
