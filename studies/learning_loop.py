"""Does the loop learn? Four recipes of active learning with the same labels, evaluated on frames that none has seen.

A divacancy in 3C-SiC (62 atoms), a classical potential as teacher. Each arm undoes a part of the protocol `fast`:

    full            the protocol
    no variables    variables whose entries have a standard deviation each, no starts from states, no share of hops
    no brake        that, and no committee, walls, ramp, bounds on temperature and distances, replaced labels dropped
    as released     that, and trainings as of 0.1.0: 5,700 weights, batches of 5, squared errors, plateau, as long

    python -m studies.learning_loop learning_loop --arms full --seeds 1

makes an AiiDA profile in the folder `learning_loop`, runs the arms there one after the other through
`ActiveLearningWorkChain`, and adds the errors of each round's potential on the fixed test frames to `results.json`.
What is there is not made again, and a run that was interrupted goes on, so that the study can be stopped at any time.
`--only-summary` prints the table and draws the picture of what there is. A run of four rounds takes about one and a
half hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_sicmlip.science.protocol_files import merge
from studies.learning_loop_frames import TEACHERS, TestFrames
from studies.learning_loop_table import draw, table

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode

PROFILE = "learning_loop"
CUTOFF = 3.2
"""A; the teachers see up to 3.0 A."""
N_TRAINING, N_VALIDATION = 56, 19
"""New labels of a round: 75, thus 300 after four rounds and 600 after eight."""
VARIABLES = {
    "exploration": {
        "start_from_states": 0.0,
        "collective_variables": {"parameters": {"autoencoder": {"standardisation": "entry"}}},
    },
    "selection": {"parameters": {"hop_share": 0.0}},
}
BRAKE = {
    "exploration": {
        "ramp": None,
        # Five times the temperature, with 62 atoms.
        "parameters": {"temperature_deviations": 38.6, "min_distance_ratio": None, "discarded_end": 0.0},
    },
    "selection": {"parameters": {"max_force": None, "replaced_validation": "drop"}},
    "training": {"committee_size": 1, "parameters": {"model": {"pair_potential": "none"}}},
}
TRAININGS = {
    "training": {
        "max_prolongations": 0,
        "parameters": {
            "model": {
                "l_max": 1,
                "num_scalar_features": 24,
                "num_tensor_features": 8,
                "mlp_depth": 1,
                "mlp_width": 32,
                "readout_mlp_width": 16,
                "precision": "float64",
            },
            "loss": {"huber_delta": None, "final_energy": None},
            "optimiser": {"learning_rate": 0.005, "average_decay": None},
            "schedule": {"kind": "plateau", "minimum_learning_rate": 1e-6},
            "batch_size": 5,
            # As long as 20,000 steps of the other network with one frame each.
            "maximum_steps": 6250,
            "validation_interval": 50,
        },
    },
}
ARMS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "full": (),
    "no variables": (VARIABLES,),
    "no brake": (VARIABLES, BRAKE),
    "as released": (VARIABLES, BRAKE, TRAININGS),
}
"""What is undone of the protocol in each arm."""


def settings_of(arm: str, teacher: str, seed: int, rounds: int, production: float) -> dict[str, Any]:
    """Return the settings of the run of an arm, on top of the protocol `fast`."""
    settings: dict[str, Any] = {
        "codes": {"pw": "nowhere@nowhere"},
        # The first round is explored with another potential than that which labels, as with DFT.
        "bootstrap": TEACHERS["tersoff" if teacher == "edip" else "edip"],
        "seed": seed,
        "max_rounds": rounds,
        # All rounds are run.
        "convergence": {"minimum_rounds": 1000},
        "final_run": None,
        "exploration": {"max_concurrent": 2, "parameters": {"production": production, "restart_interval": 1.0}},
        "selection": {"parameters": {"n_training": N_TRAINING, "n_validation": N_VALIDATION, "n_fixed_validation": 0}},
        "labelling": {"reference": TEACHERS[teacher]},
        "training": {"committee_size": 2, "parameters": {"model": {"cutoff": CUTOFF}}},
    }
    for part in ARMS[arm]:
        settings = merge(settings, part)
    return settings


def prepare(folder: Path, workers: int) -> None:
    """Make the profile in the folder unless it is there, and start its daemon."""
    (folder / ".aiida").mkdir(parents=True, exist_ok=True)
    os.environ["AIIDA_PATH"] = str(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    # The daemon is started by a program beside this Python, also where its environment is not activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    from aiida import load_profile

    from aiida_sicmlip.cli.setup import SetupRequest, set_up
    from aiida_sicmlip.cli.setup.programs import set_up_daemon

    items = set_up(SetupRequest(profile_name=PROFILE, work_folder=folder / "work"))
    needed = [item for item in items if "sicmlip" in item.name or item.name in ("profile", "computer `localhost`")]
    for item in [item for item in needed if not item.state.is_good]:
        raise SystemExit(f"{item.name}: {item.detail}")
    load_profile(PROFILE, allow_switch=True)
    daemon = set_up_daemon(PROFILE, workers, check=False)
    if not daemon.state.is_good:
        raise SystemExit(f"the daemon {daemon.detail}")


def run_of(name: str, settings: Mapping[str, Any]) -> WorkChainNode:
    """Return the run of this name; it is submitted where there is none."""
    from aiida import orm

    from aiida_sicmlip.workflows.active_learning.launch import checked_builder, submit
    from aiida_sicmlip.workflows.protocols.loop import load_protocol

    found = orm.QueryBuilder().append(orm.WorkChainNode, filters={"label": name}).first()
    if found is not None:
        return found[0]
    node = orm.load_node(submit(checked_builder(load_protocol("fast", settings))))
    node.label = name
    return node


def rounds_of(node: WorkChainNode, known: Sequence[Mapping[str, Any]], frames: TestFrames) -> list[dict[str, Any]]:
    """Return what became of each complete round of a run; those that are known are taken as they are.

    A round: ``labels`` asked for so far, ``n_training``, ``errors`` of its potential by test set, ``exploring`` force
    MAE (eV/A) of the potential before on the new labels, ``large_labels`` with a force above 30 eV/A, ``walkers`` with
    the time (ps) that each reached and what stopped it, ``fit`` of the training, ``seconds``.
    """
    from aiida import orm

    from aiida_sicmlip.tools.runs import read_run
    from aiida_sicmlip.tools.walkers import called_nodes, ends_of_walkers

    run, ends = read_run(node), ends_of_walkers(node)
    found = [dict(entry) for entry in known]
    labels = sum(entry["labels_of_round"] for entry in found)
    for entry in run.rounds[len(found) :]:
        if entry.assessment is None:
            break
        prefix = f"round\\_{entry.index:02d}\\_"
        training = called_nodes(node.pk, orm.WorkChainNode, prefix + "training")[-1][1]
        exploring = called_nodes(node.pk, orm.CalcJobNode, prefix + "evaluation%")[-1][1]
        forces = [np.linalg.norm(frame.get_forces(), axis=1).max() for frame in exploring.inputs.dataset.frames()]
        labels += entry.labels_asked
        found.append(
            {
                "round": entry.index,
                "labels": labels,
                "labels_of_round": entry.labels_asked,
                "labels_failed": entry.labels_failed,
                "n_training": entry.training_configurations,
                "errors": frames.errors(training.outputs.potential),
                "of_round": {
                    name: {key: values[key] for key in ("force_mae", "energy_mae") if key in values}
                    for name, values in entry.assessment.items()
                    if isinstance(values, Mapping) and "force_mae" in values
                },
                "fit": training.outputs.fit.get_dict() if "fit" in training.outputs else None,
                "large_labels": int(np.sum(np.array(forces) > 30.0)),
                "walkers": [
                    {"name": end.name, "time": end.time, "stopped": end.stopped} for end in ends.get(entry.index, [])
                ],
                "seconds": {name: step.seconds for name, step in entry.steps.items()},
            }
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print a table, and write numbers and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is kept")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="recipes to compare")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the runs")
    parser.add_argument("--teacher", choices=TEACHERS, default="edip", help="potential that labels")
    parser.add_argument("--rounds", type=int, default=4, help="of each run")
    parser.add_argument("--production", type=float, default=20.0, help="length of a walker, ps")
    parser.add_argument("--workers", type=int, default=2, help="of the daemon")
    parser.add_argument("--only-summary", action="store_true", help="make nothing, show what there is")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    file = folder / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    if not options.only_summary:
        frames = TestFrames(folder / "test_frames", options.teacher)
        prepare(folder, options.workers)
        for seed in options.seeds:
            for arm in options.arms:
                name = f"{options.teacher}, {arm}, seed {seed}"
                settings = settings_of(arm, options.teacher, seed, options.rounds, options.production)
                entry = results.setdefault(
                    name, {"teacher": options.teacher, "arm": arm, "seed": seed, "rounds": [], "ended": None}
                )
                while entry["ended"] is None:
                    node = run_of(name, settings)
                    # Its end is looked at first, so that no round that ends in between is missed.
                    ended = node.exit_status if node.is_terminated else None
                    before = len(entry["rounds"])
                    entry["rounds"] = rounds_of(node, entry["rounds"], frames)
                    entry["ended"] = ended
                    if len(entry["rounds"]) > before or ended is not None:
                        new = file.with_suffix(".new")
                        new.write_text(json.dumps(results, indent=1) + "\n")
                        new.replace(file)
                        print(
                            f"{time.strftime('%H:%M')} {name}: {len(entry['rounds'])} rounds\n{table(results)}",
                            flush=True,
                        )
                    if ended is None:
                        time.sleep(10)
    if results:
        print(table(results))
        draw(results, folder / "learning_loop.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
