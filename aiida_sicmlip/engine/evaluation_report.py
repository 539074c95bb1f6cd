"""Parts of an evaluation besides the plain errors: regions, rare events, and the disagreement of a committee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_sicmlip.science.defects.host_sites import HostSites
from aiida_sicmlip.science.evaluation.committee import energy_disagreement, force_disagreement, summarise_disagreement
from aiida_sicmlip.science.evaluation.metrics import force_errors
from aiida_sicmlip.science.evaluation.rare_events import score_regions
from aiida_sicmlip.science.evaluation.regions import AtomRegions, regions_of_frames


@dataclass(frozen=True)
class Predictions:
    """Predictions of a potential for F frames with A atoms in total.

    energies: (F,) eV.
    forces: (A, 3) eV/A.
    n_atoms: number of atoms of each frame, (F,).
    atomic_energies: (A,) eV, None where the potential does not give them.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    n_atoms: NDArray[np.int64]
    atomic_energies: NDArray[np.float64] | None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by their names in the file of predictions."""
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in ("energies", "forces", "n_atoms")}
        return arrays if self.atomic_energies is None else {**arrays, "atomic_energies": self.atomic_energies}

    def by_frame(self) -> list[tuple[float, NDArray[np.float64]]]:
        """Return the energy and the forces of each frame."""
        parts = np.split(self.forces, np.cumsum(self.n_atoms)[:-1])
        return [(float(energy), forces) for energy, forces in zip(self.energies, parts, strict=True)]


def report_regions(
    frames: Sequence[Atoms], predicted: NDArray[np.float64], hosts: Mapping[str, Atoms], given: set[str]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the errors of predicted forces (A, 3) by region, and the region of each atom.

    :param hosts: perfect crystals by name.
    :param given: names of those given by the user, not inferred from the frames.
    :return: for the report ``by_region``, ``rare_events``, ``hosts`` and ``n_without_host``; for the file of
        predictions ``region``, ``distance_to_defect`` and ``near_defect``, (A,) each, as
        :class:`~aiida_sicmlip.science.evaluation.regions.AtomRegions` has them.
    """
    reference = np.concatenate([frame.get_forces() for frame in frames])
    found: AtomRegions = regions_of_frames(frames, hosts)
    masks = {**found.of_rare_events, **found.by_distance}
    known = found.known
    scores = score_regions(
        predicted[known], reference[known], {name: mask[known] for name, mask in found.of_rare_events.items()}
    )
    report = {
        "by_region": {name: asdict(force_errors(predicted[mask], reference[mask])) for name, mask in masks.items()},
        "rare_events": {name: score.to_dict() for name, score in scores.items()},
        "hosts": {
            name: {
                "given": name in given,
                "formula": host.get_chemical_formula(),
                "n_sites": len(host),
                "n_frames": found.hosts.count(name),
                "near_defect_distance": HostSites(host).near_defect,
            }
            for name, host in hosts.items()
        },
        "n_without_host": found.n_without_host,
    }
    return report, {"region": found.region, "distance_to_defect": found.distance, "near_defect": found.near}


def report_committee(
    frames: Sequence[Atoms], evaluated: Predictions, others: Sequence[Predictions], energy_errors: Sequence[float]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the disagreement of a committee, and its correlation with the errors of the evaluated member.

    :param others: predictions of the other members.
    :param energy_errors: of the evaluated member, (F,) eV/atom.
    :return: for the report ``n_members``, ``forces`` and ``energies``, as
        :class:`~aiida_sicmlip.science.evaluation.committee.DisagreementSummary` has them, and ``frames``: the largest
        ``disagreement`` and the largest ``error`` of a force in each frame, (F,) eV/A; for the file of predictions
        ``energy_disagreement`` (F,) eV/atom and ``force_disagreement`` (A,) eV/A.
    """
    members = [evaluated, *others]
    reference = np.concatenate([frame.get_forces() for frame in frames])
    of_forces = force_disagreement([member.forces for member in members])
    of_energies = energy_disagreement([member.energies for member in members], evaluated.n_atoms)
    force_errors_of_atoms = np.linalg.norm(evaluated.forces - reference, axis=1)
    ends = np.cumsum(evaluated.n_atoms)[:-1]
    report = {
        "n_members": len(members),
        "forces": summarise_disagreement(of_forces, force_errors_of_atoms).to_dict(),
        "energies": summarise_disagreement(of_energies, np.abs(energy_errors)).to_dict(),
        "frames": {
            name: [float(part.max()) for part in np.split(values, ends)]
            for name, values in (("disagreement", of_forces), ("error", force_errors_of_atoms))
        },
    }
    return report, {"energy_disagreement": of_energies, "force_disagreement": of_forces}
