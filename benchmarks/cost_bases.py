"""Measures the basis of the estimates of `aiida-sicmlip run NAME --dry-run`: DFT, training and molecular dynamics.

    python -m benchmarks.cost_bases --folder FOLDER

runs, for the divacancy in 3C-SiC with random displacements, one process and one thread each:

  dft       `pw.x`, a spin-polarised SCF with forces at Gamma, for several cells and cutoffs
  training  `sicmlip train` with networks of several sizes, per frame, from two lengths of a training
  call      the compiled model of each protocol, on the same structure, energy and forces

Times are processor times of the programs: on an idle machine those of the clock. `science/costs/estimates.py` holds the
results. How cost grows: DFT with the third power of the atoms and the 3/2 power of the cutoff, at the sizes where
that is what counts; network and molecular dynamics with the pairs of atoms within the cutoff.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.espresso import write_espresso_in

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.compiled_potential import CompiledPotential
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs
from aiida_sicmlip.workflows.protocols.loop import load_protocol
from aiida_sicmlip.workflows.protocols.training import load_training_protocol
from benchmarks.engine import bare_call
from benchmarks.machine import processor
from benchmarks.training import processor_time
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES

CELLS = {14: ((2, 2, 2), "primitive"), 30: ((2, 2, 1), "conventional"), 62: ((2, 2, 2), "conventional")}
"""Repeats and kind of cell, by the number of atoms."""
DFT = ((14, 30.0, 240.0), (14, 55.0, 440.0), (30, 30.0, 240.0), (62, 30.0, 240.0))
"""Atoms, cutoffs of wave functions and density in Ry."""
EPOCHS = (1, 4)
N_FRAMES = 8


def structure(n_atoms: int) -> Atoms:
    """Return the divacancy in a cell of so many atoms, displaced by 0.08 A a component."""
    repeats, cell = CELLS[n_atoms]
    atoms: Atoms = build_defects(
        build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=repeats, cell=cell)),
        [{"kind": "divacancy"}],
        1,
    ).atoms
    atoms.rattle(0.08, seed=1)
    return atoms


def time_dft(folder: Path, pseudopotentials: Path, n_atoms: int, ecutwfc: float, ecutrho: float) -> dict[str, Any]:
    """Run one label as the protocols have it and return seconds and iterations."""
    place = folder / f"pw_{n_atoms}_{ecutwfc:g}"
    place.mkdir(parents=True, exist_ok=True)
    namelists = load_protocol("demo")["labelling"]["parameters"]
    system = {**namelists["SYSTEM"], "ecutwfc": ecutwfc, "ecutrho": ecutrho}
    control = {**namelists["CONTROL"], "pseudo_dir": str(pseudopotentials), "outdir": "./out"}
    files = {"Si": "Si.pbe-nl-rrkjus_psl.1.0.0.UPF", "C": "C.pbe-n-kjpaw_psl.0.1.UPF"}
    with (place / "pw.in").open("w") as stream:
        namelists = {"CONTROL": control, "SYSTEM": system, "ELECTRONS": namelists["ELECTRONS"]}
        write_espresso_in(stream, structure(n_atoms), input_data=namelists, pseudopotentials=files, kpts=None)
    seconds = processor_time(["sh", "-c", "exec pw.x -in pw.in > pw.out"], place)
    iterations = (place / "pw.out").read_text().count("iteration #")
    shutil.rmtree(place / "out", ignore_errors=True)
    return {"atoms": n_atoms, "ecutwfc": ecutwfc, "ecutrho": ecutrho, "seconds": seconds, "iterations": iterations}


def labelled(n_atoms: int, count: int) -> list[Atoms]:
    """Return frames with labels of EDIP."""
    frames = []
    with ClassicalPotential(SPECIES, POTENTIAL_COMMANDS) as edip:
        for seed in range(count):
            atoms = structure(n_atoms)
            atoms.rattle(0.05, seed=seed)
            energy, forces = edip.compute(atoms)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
            frames.append(atoms)
    return frames


def time_training(folder: Path, name: str, model: Mapping[str, Any], n_atoms: int) -> dict[str, Any]:
    """Return the seconds that a training takes for a frame, forward, back and step, with batches of two."""
    frames = labelled(n_atoms, N_FRAMES + 1)
    seconds = []
    for epochs in EPOCHS:
        place = folder / f"{name}_{n_atoms}_{epochs}"
        place.mkdir(parents=True, exist_ok=True)
        write_labelled_frames(place / filenames.TRAINING_SET_FILE, frames[:-1])
        write_labelled_frames(place / filenames.VALIDATION_SET_FILE, frames[-1:])
        chosen = {
            "model": {**model, "pair_potential": "none"},
            "maximum_steps": epochs * N_FRAMES // 2,
            "batch_size": 2,
        }
        (place / filenames.TRAINING_SETTINGS_FILE).write_text(json.dumps(chosen))
        program = [sys.executable, "-m", "aiida_sicmlip.engine.programs.main"]
        seconds.append(processor_time([*program, "train"], place))
    edges = len(neighbour_pairs(frames[0], model.get("cutoff", 5.0))[0])
    each = (seconds[1] - seconds[0]) / (EPOCHS[1] - EPOCHS[0]) / N_FRAMES
    return {"name": name, "atoms": n_atoms, "edges": edges, "ms_a_frame": 1000 * each, "rest": seconds[0]}


def time_call(folder: Path, name: str, n_atoms: int) -> float:
    """Compile the model of a training and return the ms of one call for its structure."""
    place = folder / f"{name}_{n_atoms}_{EPOCHS[0]}"
    package, model = place / filenames.PORTABLE_MODEL_FILE, place / "model.nequip.pt2"
    program = [sys.executable, "-m", "aiida_sicmlip.engine.programs.main"]
    processor_time([*program, "compile", str(package), "--target", "pair_allegro", "--output", str(model)], place)
    call, _ = bare_call(CompiledPotential.load(model), structure(n_atoms))
    times = []
    for _ in range(12):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return 1000 * sorted(times)[len(times) // 2]


def networks() -> dict[str, tuple[dict[str, Any], int]]:
    """Return the networks to time, and the atoms of the structure each is timed with."""
    own = {name: load_training_protocol(name)["training"]["parameters"]["model"] for name in ("fast", "balanced")}
    paper = load_training_protocol("paper")["training"]["parameters"]["model"]
    balanced = own["balanced"]
    return {
        "fast": (own["fast"], 14),
        "balanced": (balanced, 62),
        "paper": (paper, 62),
        "balanced_l2": ({**balanced, "l_max": 2}, 62),
        "balanced_two_layers": ({**balanced, "num_layers": 2}, 62),
        "balanced_wide": ({**balanced, "num_scalar_features": 64, "mlp_width": 64, "mlp_depth": 2}, 62),
        "balanced_tensors": ({**balanced, "num_tensor_features": 32}, 62),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("benchmark"), help="where all runs are kept")
    parser.add_argument("--pseudopotentials", type=Path, default=Path("/usr/share/espresso/pseudo"))
    parser.add_argument("--parts", nargs="+", default=["training", "call", "dft"], help="what to measure")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    report: dict[str, Any] = {"machine": {"processor": processor(), "cores": os.cpu_count()}, "measured": []}

    def note(kind: str, entry: Mapping[str, Any]) -> None:
        report["measured"].append({"kind": kind, "load": os.getloadavg()[0], **entry})
        print(report["measured"][-1], flush=True)
        (folder / "cost_bases.json").write_text(json.dumps(report, indent=1) + "\n")

    folder.mkdir(parents=True, exist_ok=True)
    if "training" in options.parts:
        for name, (model, n_atoms) in networks().items():
            note("training", time_training(folder, name, model, n_atoms))
    if "call" in options.parts:
        for name in ("fast", "balanced", "paper"):
            note("call", {"name": name, "ms": time_call(folder, name, networks()[name][1])})
    if "dft" in options.parts:
        for n_atoms, ecutwfc, ecutrho in DFT:
            note("dft", time_dft(folder, options.pseudopotentials, n_atoms, ecutwfc, ecutrho))


if __name__ == "__main__":
    main()
