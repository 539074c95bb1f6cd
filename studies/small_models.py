"""Small Allegro models of a divacancy in 3C-SiC that learn from EDIP: what the studies of models share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.classical_potential import ClassicalPotential
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.evaluation.metrics import ErrorMetrics, error_metrics
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, fit_prior, fit_report
from studies.edip_runs import POTENTIAL_COMMANDS, SPECIES, is_complete, program, run_edip

CUTOFF = 4.0
"""A; beyond the second neighbours of a carbon or silicon atom, and beyond what EDIP sees."""
MODEL = {
    "cutoff": CUTOFF,
    "l_max": 1,
    "num_bessels": 6,
    "num_scalar_features": 16,
    "num_tensor_features": 4,
    "mlp_depth": 1,
    "mlp_width": 16,
    "readout_mlp_width": 16,
    "precision": "float64",
}
"""Some 3,000 weights."""
Prior = Mapping[str, Any] | str | None
"""Settings of the fit of a Lennard-Jones prior, `zbl` for the screened repulsion of nuclei, or None for neither."""
KINDS: dict[str, Prior] = {"none": None, "fitted": {}, "wall": {"wall_only": True}, "zbl": "zbl"}
"""Kinds of model by their pair potential."""


@dataclass(frozen=True)
class Trained:
    """A model: its folder, the packaged model in it, what the program reported, and the curve."""

    folder: Path
    package: Path
    report: dict[str, Any]
    curve: dict[str, list[float]]


class Study:
    """The host, the divacancy, and the folder in which runs, frames and models are kept."""

    def __init__(self, folder: Path, cells: int = 2) -> None:
        self.folder = folder.resolve()
        self.host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(cells, cells, cells)))
        self.atoms: Atoms = build_defects(self.host, [{"kind": "divacancy"}], seed=0).atoms

    @property
    def bond(self) -> float:
        """Distance of nearest sites, A."""
        return float(self.host.get_distances(0, range(1, len(self.host)), mic=True).min())

    def frames(self, temperature: float, count: int, seed: int) -> list[Atoms]:
        """Return labelled frames of one run of EDIP, 0.1 ps apart; of a longer run the first ones are the same."""
        folder = self.folder / "edip" / f"{temperature:g}K_seed_{seed:02d}_{count}"
        labelled = folder / filenames.DATASET_FILE
        if not labelled.exists():
            settings = ExplorationSettings(temperature=temperature, equilibration=2.0, production=0.1 * (count - 1))
            folder.mkdir(parents=True, exist_ok=True)
            if not is_complete(folder, settings):
                run_edip(folder, self.atoms, settings, seed)
            positions, _ = read_dcd(folder / filenames.TRAJECTORY_FILE)
            write_labelled_frames(labelled, self.label(positions))
        return read_labelled_frames(labelled)

    def label(self, positions: Sequence[np.ndarray]) -> list[Atoms]:
        """Return frames of the divacancy with energies and forces of EDIP."""
        frames = []
        with ClassicalPotential(SPECIES, POTENTIAL_COMMANDS) as edip:
            for place in positions:
                frame = self.atoms.copy()
                frame.positions = place
                energy, forces = edip.compute(frame)
                frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
                frames.append(frame)
        return frames

    def train(
        self,
        name: str,
        training: Sequence[Atoms],
        validation: Sequence[Atoms],
        settings: Mapping[str, Any],
        prior: Prior = None,
    ) -> Trained:
        """Train a model, unless it is there; a fitted ``prior`` is that of the training set."""
        folder = self.folder / "models" / name
        package = folder / filenames.PORTABLE_MODEL_FILE
        if not package.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_labelled_frames(folder / filenames.TRAINING_SET_FILE, training)
            write_labelled_frames(folder / filenames.VALIDATION_SET_FILE, validation)
            write_settings(folder, training, settings, prior)
            program("aiida_sicmlip.engine.programs.main", "train", folder=folder)
        report = read_json(folder / filenames.TRAINING_REPORT_FILE, "report")
        curve = read_json(folder / filenames.TRAINING_CURVE_FILE, "curve")["columns"]
        return Trained(folder, package, report, curve)


def write_settings(folder: Path, training: Sequence[Atoms], settings: Mapping[str, Any], prior: Prior) -> None:
    """Write the settings of a training and its prior, fitted to the training set, into a folder."""
    chosen = {**settings, "species": SPECIES}
    chosen["model"] = {
        **MODEL,
        **settings.get("model", {}),
        "pair_potential": "none" if prior is None else "zbl" if prior == "zbl" else "lennard-jones",
    }
    if isinstance(prior, Mapping):
        fit = fit_prior(training, LennardJonesSettings(**{"cutoff": chosen["model"]["cutoff"], **prior}), SPECIES)
        chosen["prior"] = filenames.PRIOR_FILE
        (folder / filenames.PRIOR_FILE).write_text(json.dumps(fit_report(fit)))
    (folder / filenames.TRAINING_SETTINGS_FILE).write_text(json.dumps(chosen, indent=1))


def predict(package: Path, frames: Sequence[Atoms]) -> list[Atoms]:
    """Return the frames with the energies and forces of a packaged model."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    model = PackagedModel.load(package)
    predicted = []
    for frame in frames:
        energy, forces = model.compute(frame)
        other = frame.copy()
        other.calc = SinglePointCalculator(other, energy=energy, forces=forces)
        predicted.append(other)
    return predicted


def errors_on(model: Trained, frames: Sequence[Atoms]) -> ErrorMetrics:
    """Return the errors of a model on labelled frames."""
    return error_metrics(frames, predict(model.package, frames))
