"""Which configurations two data sets share: by content, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.science.labels.comparison import LabelDifference, compare_datasets, configuration_key


def relabelled(frame: Atoms, energy: float = 0.0, force: float = 0.0) -> Atoms:
    """Return the configuration with its label moved by some energy, and one component of its forces."""
    other = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc, info=frame.info)
    forces = frame.get_forces()
    forces[2, 1] += force
    other.calc = SinglePointCalculator(other, energy=frame.get_potential_energy() + energy, forces=forces)
    return other


def test_key_follows_the_content_and_nothing_else(labelled_frames) -> None:
    frame, other = labelled_frames(2)
    assert configuration_key(frame) == configuration_key(relabelled(frame, energy=1.0))
    assert configuration_key(frame) != configuration_key(other)
    for change in ("positions", "cell", "numbers", "pbc"):
        changed = frame.copy()
        if change == "positions":
            changed.positions[3, 1] = np.nextafter(changed.positions[3, 1], 9.0)
        elif change == "cell":
            changed.cell[1, 1] = np.nextafter(changed.cell[1, 1], 99.0)
        elif change == "numbers":
            changed.numbers[0] = 7
        else:
            changed.pbc = (True, True, False)
        assert configuration_key(changed) != configuration_key(frame), change


@pytest.mark.parametrize("change", [{"charge": -1}, {"charge": None}, {"spin": 0}, {"spin": None}])
def test_another_charge_or_spin_is_another_configuration(labelled_frames, change: dict) -> None:
    frames = labelled_frames(2)
    frames[1].info.update(change)
    found = compare_datasets(labelled_frames(2), frames)
    assert (found.only_first, found.only_second, found.both) == ([1], [1], [(0, 0)])


def test_minus_zero_is_zero() -> None:
    atoms = [Atoms("H", positions=[[zero, 0.0, 0.0]], cell=[5.0, 5.0, 5.0], pbc=True) for zero in (0.0, -0.0)]
    assert configuration_key(atoms[0]) == configuration_key(atoms[1])


def test_equal_sets(labelled_frames) -> None:
    found = compare_datasets(labelled_frames(3), labelled_frames(3))
    assert found.equal and found.same_order
    assert found.both == [(0, 0), (1, 1), (2, 2)]


def test_configurations_of_one_set_only(labelled_frames) -> None:
    frames = labelled_frames(5)
    found = compare_datasets([frames[0], frames[1], frames[3]], [frames[3], frames[4], frames[0], frames[2]])
    assert (found.only_first, found.only_second, found.both) == ([1], [1, 3], [(0, 2), (2, 0)])
    assert not found.equal and not found.same_order and found.labels == []


def test_order_alone_makes_a_difference(labelled_frames) -> None:
    frames = labelled_frames(3)
    found = compare_datasets(frames, frames[::-1])
    assert not (found.only_first or found.only_second or found.labels)
    assert not found.equal


def test_labels_that_differ_are_measured(labelled_frames) -> None:
    frames = labelled_frames(4)
    changed = [frames[0], relabelled(frames[1], energy=-0.25), relabelled(frames[2], force=0.125), frames[3]]
    found = compare_datasets(frames, changed)
    assert found.labels == [
        LabelDifference(1, 1, pytest.approx(0.25), 0.0),
        LabelDifference(2, 2, 0.0, pytest.approx(0.125)),
    ]
    assert not found.equal


def test_repeated_configurations_count_as_often(labelled_frames) -> None:
    frame, other = labelled_frames(2)
    found = compare_datasets([frame, frame, other], [other, frame])
    assert (found.only_first, found.only_second, found.both) == ([1], [], [(0, 1), (2, 0)])
