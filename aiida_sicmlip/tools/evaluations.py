"""Evaluations of potentials: predictions beside labels, and where each configuration is from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.tools.datasets import source_columns

IMPORTED = "imported"
"""What stands for the defect of configurations that were taken from a file, or given as they are."""
GIVEN = "given structures"
"""What stands for the defect of configurations that were labelled here, but not picked from a trajectory."""


@dataclass(frozen=True)
class Evaluation:
    """A potential's predictions for the F configurations of a data set, which have A atoms in all of them together.

    pk: of the evaluation.
    uuid: of the evaluation.
    potential: PK of the potential that was evaluated.
    dataset: PK of the data set.
    results: errors, as in the output of the evaluation.
    n_atoms: of each frame, (F,) int.
    symbols: of the atoms, frame after frame, (A,) str.
    reference_energies: of the labels, (F,) eV.
    predicted_energies: (F,) eV, with the shift of each element that a classical potential's are compared after.
    reference_forces: of the labels, (A, 3) eV/A.
    predicted_forces: (A, 3) eV/A.
    region: index in :data:`~aiida_sicmlip.science.defects.migrating_atoms.REGIONS` of each atom, (A,) int; -1 where
        unknown.
    distance_to_defect: of each atom from the nearest defect, (A,) A; not a number where unknown or there is none.
    near_defect: whether an atom is near a defect, (A,) bool.
    energy_disagreement: of a committee, (F,) eV/atom; None without one.
    force_disagreement: of a committee, (A,) eV/A; None without one.
    atomic_energies: (A,) eV; None where the potential does not give them.
    sources: what identifies the source of each configuration; see
        :func:`~aiida_sicmlip.tools.datasets.source_columns`.
    """

    pk: int
    uuid: str
    potential: int
    dataset: int
    results: dict[str, Any]
    n_atoms: np.ndarray
    symbols: np.ndarray
    reference_energies: np.ndarray
    predicted_energies: np.ndarray
    reference_forces: np.ndarray
    predicted_forces: np.ndarray
    region: np.ndarray
    distance_to_defect: np.ndarray
    near_defect: np.ndarray
    energy_disagreement: np.ndarray | None
    force_disagreement: np.ndarray | None
    atomic_energies: np.ndarray | None
    sources: list[dict[str, str | int]]

    @cached_property
    def frame_of_atom(self) -> np.ndarray:
        """The index of the configuration that each atom belongs to, (A,) int."""
        return np.repeat(np.arange(len(self.n_atoms)), self.n_atoms)

    @property
    def rounds(self) -> list[int | None]:
        """The round in which each configuration was added, None outside of a run."""
        return [None if (index := source.get("round")) is None else int(index) for source in self.sources]

    @property
    def defects(self) -> list[str]:
        """The start structure that each configuration was reached from, or :data:`IMPORTED` or :data:`GIVEN`."""
        return [_defect(source) for source in self.sources]

    @property
    def near_defect_distances(self) -> list[float]:
        """The distances in A within which atoms are near a defect, one for each kind of host; empty where unknown."""
        hosts = self.results.get("hosts", {}).values()
        found = [host.get("near_defect_distance") for host in hosts if host["n_frames"]]
        # Earlier versions had one distance for all hosts.
        found.append(self.results.get("near_defect_distance"))
        return sorted({round(distance, 2) for distance in found if distance is not None})

    @property
    def energy_errors(self) -> np.ndarray:
        """Predicted minus reference energy, (F,) eV/atom, with its sign."""
        return (self.predicted_energies - self.reference_energies) / self.n_atoms

    @property
    def force_mae_per_frame(self) -> np.ndarray:
        """Mean absolute error of the force components of each configuration, (F,) eV/A."""
        errors = np.abs(self.predicted_forces - self.reference_forces).mean(axis=1)
        return np.bincount(self.frame_of_atom, errors, minlength=len(self.n_atoms)) / self.n_atoms

    @property
    def force_max_per_frame(self) -> np.ndarray:
        """Largest absolute error of a force component of each configuration, (F,) eV/A."""
        errors = np.abs(self.predicted_forces - self.reference_forces).max(axis=1)
        return np.maximum.reduceat(errors, np.cumsum(self.n_atoms) - self.n_atoms)


def read_evaluation(node: orm.CalcJobNode) -> Evaluation:
    """Return the predictions of an evaluation beside the labels, with the sources of the configurations.

    Evaluations of earlier versions have no regions and distances: these are -1 and not a number. Others have one
    distance up to which atoms are near a defect, instead of an array.

    :raises InputError: if it has not finished well.
    """
    if not node.is_finished_ok:
        reason = node.exit_message or (node.process_state.value if node.process_state else "it has not begun")
        raise InputError(f"evaluation <{node.pk}> has no results: {reason}")
    dataset = node.inputs.dataset
    frames = dataset.frames()
    results = node.outputs.results.get_dict()
    predictions = node.outputs.predictions
    names = set(predictions.get_arraynames())

    def array(name: str) -> np.ndarray | None:
        return predictions.get_array(name) if name in names else None

    n_atoms = np.array([len(frame) for frame in frames])
    symbols = np.concatenate([frame.get_chemical_symbols() for frame in frames])
    offsets = results.get("energy_offsets", {})
    shifts = [sum(offsets.get(symbol, 0.0) for symbol in frame.get_chemical_symbols()) for frame in frames]
    region, distance, near = array("region"), array("distance_to_defect"), array("near_defect")
    distance = np.full(len(symbols), np.nan) if distance is None else distance
    return Evaluation(
        pk=node.pk,
        uuid=node.uuid,
        potential=node.inputs.potential.pk,
        dataset=dataset.pk,
        results=results,
        n_atoms=n_atoms,
        symbols=symbols,
        reference_energies=np.array([frame.get_potential_energy() for frame in frames]),
        predicted_energies=predictions.get_array("energies") + np.array(shifts),
        reference_forces=np.concatenate([frame.get_forces() for frame in frames]),
        predicted_forces=predictions.get_array("forces"),
        region=np.full(len(symbols), -1) if region is None else region,
        distance_to_defect=distance,
        near_defect=distance <= results.get("near_defect_distance", 0.0) if near is None else near,
        energy_disagreement=array("energy_disagreement"),
        force_disagreement=array("force_disagreement"),
        atomic_energies=array("atomic_energies"),
        sources=source_columns(dataset),
    )


def _defect(source: dict[str, str | int]) -> str:
    """Return what the configurations of one defect are grouped under."""
    if "start_structure" in source:
        return str(source["start_structure"])
    return GIVEN if "label_uuid" in source else IMPORTED
