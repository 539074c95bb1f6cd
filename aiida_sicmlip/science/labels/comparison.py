"""Which configurations two data sets share, and whether their labels agree."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aiida_sicmlip.science.labels.labelled_frames import label_of_frame
from aiida_sicmlip.science.labels.states import state_of_frame


@dataclass(frozen=True)
class LabelDifference:
    """One configuration with two labels.

    first: its index in the first data set.
    second: its index in the second.
    energy: difference of the energies, eV.
    forces: largest difference of a force component, eV/A.
    """

    first: int
    second: int
    energy: float
    forces: float


@dataclass(frozen=True)
class DatasetComparison:
    """What two data sets have in common.

    only_first: indices of configurations that only the first contains.
    only_second: indices of configurations that only the second contains.
    both: indices in the first and in the second of configurations in both.
    labels: those of them whose energies or forces differ.
    """

    only_first: list[int]
    only_second: list[int]
    both: list[tuple[int, int]]
    labels: list[LabelDifference]

    @property
    def same_order(self) -> bool:
        """Whether the configurations have the same order in both."""
        places = [second for _, second in self.both]
        return places == sorted(places)

    @property
    def equal(self) -> bool:
        """Whether both hold the same configurations with the same labels in the same order."""
        return not (self.only_first or self.only_second or self.labels) and self.same_order


def geometry_key(frame: Atoms) -> bytes:
    """Return bytes, equal for two frames if species, positions and cell are bitwise equal, whatever the charge.

    A model distinguishes frames by nothing else.
    """
    return frame.numbers.tobytes() + frame.positions.tobytes() + frame.cell.array.tobytes()


def configuration_key(frame: Atoms) -> str:
    """Return a digest, equal for two frames if they are the same configuration.

    The same configuration has bitwise equal species, positions, cell and periodicity, and the same charge and spin. A
    different order of atoms, or a shift by a cell vector, gives a different one. Minus zero equals zero.
    """
    state = state_of_frame(frame)
    digest = hashlib.sha256(f"{state.charge} {state.spin}".encode())
    digest.update(np.ascontiguousarray(frame.numbers, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(frame.pbc, dtype="|b1").tobytes())
    for array in (frame.positions, frame.cell.array):
        digest.update((np.ascontiguousarray(array, dtype="<f8") + 0.0).tobytes())
    return digest.hexdigest()


def compare_datasets(first: Sequence[Atoms], second: Sequence[Atoms]) -> DatasetComparison:
    """Compare two sequences of labelled frames by the content of their configurations.

    Repeated configurations are counted: the first occurrence in one set is compared with the first in the other, and so
    on.

    :raises InputError: if a frame lacks energy or forces.
    """
    places: dict[str, list[int]] = {}
    for place, frame in enumerate(second):
        places.setdefault(configuration_key(frame), []).append(place)
    only_first, both, labels = [], [], []
    for place, frame in enumerate(first):
        others = places.get(configuration_key(frame))
        if not others:
            only_first.append(place)
            continue
        other = others.pop(0)
        both.append((place, other))
        (energy, forces), (energy_there, forces_there) = (
            label_of_frame(frame, place),
            label_of_frame(second[other], other),
        )
        if energy != energy_there or not np.array_equal(forces, forces_there):
            labels.append(
                LabelDifference(place, other, abs(energy - energy_there), float(np.abs(forces - forces_there).max()))
            )
    return DatasetComparison(only_first, sorted(place for left in places.values() for place in left), both, labels)
