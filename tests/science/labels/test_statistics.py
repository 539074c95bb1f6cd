"""Statistics of data sets against numbers that are known otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.labels.statistics import dataset_statistics, grouped_statistics, min_distances
from tests.crystals import silicon_carbide_host


def labelled(atoms: Atoms, energy: float, forces: np.ndarray) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def test_min_distances_of_the_perfect_crystal() -> None:
    constant = 4.36
    host = silicon_carbide_host(repeats=(1, 1, 1), cell="conventional", lattice_constant=constant)
    second, first = constant / np.sqrt(2.0), constant * np.sqrt(3.0) / 4.0
    assert min_distances([host]) == pytest.approx({"C-C": second, "C-Si": first, "Si-Si": second})


def test_min_distance_of_an_atom_and_its_image() -> None:
    assert min_distances([bulk("Si", cubic=False)[:1]]) == pytest.approx({"Si-Si": 5.43 / np.sqrt(2.0)})
    far = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 9.0]], cell=[20.0, 21.0, 22.0], pbc=True)
    assert min_distances([far]) == pytest.approx({"C-C": 20.0, "C-Si": 9.0, "Si-Si": 20.0})
    alone = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 9.0]])
    assert min_distances([alone]) == pytest.approx({"C-Si": 9.0})


def test_lone_impurity() -> None:
    host = silicon_carbide_host(repeats=(2, 2, 2), cell="conventional", lattice_constant=4.36)
    host.symbols[list(host.symbols).index("C")] = "N"
    first, second = 4.36 * np.sqrt(3.0) / 4.0, 4.36 / np.sqrt(2.0)
    expected = {"C-C": second, "C-N": second, "C-Si": first, "N-N": 2 * 4.36, "N-Si": first, "Si-Si": second}
    assert min_distances([host]) == pytest.approx(expected)


def test_min_distances_do_not_depend_on_the_description(labelled_frames) -> None:
    frames = labelled_frames(3)
    expected = min_distances(frames)
    assert min(expected.values()) == pytest.approx(min(nearest_distance(frame) for frame in frames))
    generator = np.random.default_rng(3)
    for frame in frames:
        frame.rotate(40.0, (1, 2, 3), rotate_cell=True)
        frame.positions += generator.normal(size=3)
        frame.wrap()
    assert min_distances(frames) == pytest.approx(expected)
    assert min_distances([frame.repeat((2, 1, 1)) for frame in frames]) == pytest.approx(expected)


def test_energies_and_forces() -> None:
    cell = [10.0, 10.0, 5.0]
    first = labelled(
        Atoms("SiC", positions=[[0, 0, 0], [1.9, 0, 0]], cell=cell, pbc=True),
        -10.0,
        np.array([[3, 4, 0], [0, 0, -2.0]]),
    )
    second = labelled(Atoms("C", positions=[[0, 0, 0]], cell=cell, pbc=True), -7.0, np.array([[0, 1.0, 0]]))
    found = dataset_statistics([first, second])
    assert (found["n_frames"], found["n_atoms"], found["n_repeated"]) == (2, 3, 0)
    assert (found["formulas"], found["species"]) == ({"C": 1, "CSi": 1}, {"C": 2, "Si": 1})
    assert found["energy_per_atom"] == {"mean": -6.0, "standard_deviation": 1.0, "least": -7.0, "greatest": -5.0}
    assert found["forces"]["Si"] == pytest.approx({"mean": 5.0, "rms": 5.0 / np.sqrt(3.0), "greatest": 5.0})
    assert found["forces"]["C"] == pytest.approx({"mean": 1.5, "rms": np.sqrt(5.0 / 6.0), "greatest": 2.0})
    assert found["forces"]["all"] == pytest.approx({"mean": 8.0 / 3.0, "rms": np.sqrt(30.0 / 9.0), "greatest": 5.0})
    assert found["volume"] == pytest.approx({"mean": 500.0, "least": 500.0, "greatest": 500.0})
    assert found["volume_per_atom"] == pytest.approx({"mean": 375.0, "least": 250.0, "greatest": 500.0})


def test_repeated_configurations_are_counted(labelled_frames) -> None:
    frames = labelled_frames(3)
    assert dataset_statistics([*frames, frames[1], frames[1]])["n_repeated"] == 2


def test_cluster_has_no_volume() -> None:
    assert dataset_statistics([labelled(Atoms("Si"), -1.0, np.zeros((1, 3)))])["volume"] is None


def test_groups(labelled_frames) -> None:
    frames = labelled_frames(4)
    of_all, found = grouped_statistics(frames, [1, None, 1, 0])
    assert of_all == dataset_statistics(frames)
    assert list(found) == [1, None, 0]
    assert found[1] == dataset_statistics([frames[0], frames[2]])
    with pytest.raises(InputError, match="4 frames, but 1 groups"):
        grouped_statistics(frames, [0])


def test_nothing_to_describe() -> None:
    with pytest.raises(InputError, match="no frames to describe"):
        dataset_statistics([])
