"""`sicmlip evaluate`: compares a potential with labelled frames."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida_sicmlip.common.filenames import EVALUATION_REPORT_FILE, PREDICTIONS_FILE
from aiida_sicmlip.engine.programs.options import add_label_names, label_names
from aiida_sicmlip.engine.reports import reported

DESCRIPTION = "Predict energies and forces of labelled frames with a potential, and compare them with the labels."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    potential = parser.add_mutually_exclusive_group(required=True)
    potential.add_argument(
        "model", type=Path, nargs="?", metavar="MODEL", help="packaged (.nequip.zip) or compiled model (.nequip.pt2)"
    )
    frames = parser.add_mutually_exclusive_group(required=True)
    frames.add_argument(
        "frames",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="labelled frames (.extxyz, .db, .npz)",
    )
    frames.add_argument("--dataset", type=Path, help="labelled frames, where no MODEL is given")
    potential.add_argument("--compiled", type=Path, help="compiled model, target pair_allegro (.nequip.pt2)")
    potential.add_argument("--classical", type=Path, help="JSON file with `species` and LAMMPS `commands`")
    parser.add_argument(
        "--committee",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="other models that MODEL is a committee with: how much all of them disagree",
    )
    parser.add_argument(
        "--host",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="perfect crystals in the cells of the frames, in any format that ASE reads (default: found from the "
        "frames); errors near defects and on migrating atoms are told by them",
    )
    add_label_names(parser)
    parser.add_argument("--device", default="cpu", help="where a compiled model runs: cpu, cuda or cuda:INDEX")
    parser.add_argument("--output", type=Path, default=PREDICTIONS_FILE, help="predictions to write (.npz)")
    parser.add_argument("--report", type=Path, default=EVALUATION_REPORT_FILE, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    """Evaluate, and leave a report however it ends."""
    with reported(options.report) as report:
        from aiida_sicmlip.engine.evaluation import evaluate

        evaluate(
            options.frames or options.dataset,
            options.output,
            report,
            model=options.model or options.compiled,
            classical=options.classical,
            committee=options.committee,
            hosts=options.host,
            device=options.device,
            names=label_names(options),
        )
