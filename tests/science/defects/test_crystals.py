"""Host crystals, shells of the zincblende lattice in any cell, overlapping atoms."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import (
    coordination_shells,
    distances_from,
    frames_with_overlap,
    overlapping_pairs,
)
from tests.crystals import silicon_carbide_host

# Zincblende: squared distances in units of (a/4)^2, numbers of neighbours.
SHELLS = [(3, 4), (8, 12), (11, 12), (16, 6), (19, 12), (24, 24), (27, 16)]


@pytest.mark.parametrize(("cell", "repeats", "size"), [("conventional", (3, 3, 3), 216), ("primitive", (2, 2, 2), 16)])
def test_host(cell, repeats, size):
    host = silicon_carbide_host(4.4, repeats, cell)
    assert len(host) == size
    assert host.symbols.formula.count() == {"Si": size // 2, "C": size // 2}
    assert host.pbc.all()
    assert host.get_volume() / size == pytest.approx(4.4**3 / 8)
    again = silicon_carbide_host(4.4, repeats, cell)
    assert np.array_equal(host.positions, again.positions)
    assert np.array_equal(host.numbers, again.numbers)


def test_default_host_is_that_of_the_paper():
    host = silicon_carbide_host()
    assert len(host) == 216
    assert np.allclose(host.cell.array, 3 * 4.416 * np.eye(3))


@pytest.mark.parametrize(
    "arguments", [{"cell": "cubic"}, {"lattice_constant": 0}, {"repeats": (1, 1)}, {"repeats": (1, 1, 0)}]
)
def test_host_errors(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        silicon_carbide_host(**arguments)


@pytest.mark.parametrize("lattice_constant", [4.0, 4.416])
@pytest.mark.parametrize(("cell", "repeats"), [("conventional", (3, 3, 3)), ("primitive", (6, 6, 6))])
def test_shells_of_a_large_cell(cell, repeats, lattice_constant):
    host = silicon_carbide_host(lattice_constant, repeats, cell)
    shells = coordination_shells(host, 5, len(SHELLS[:4]))
    for shell, (square, count) in zip(shells, SHELLS, strict=False):
        assert shell.distance == pytest.approx(lattice_constant / 4 * np.sqrt(square))
        assert len(shell.indices) == count
    assert {host.symbols[index] for index in shells[0].indices} != {host.symbols[5]}
    assert {host.symbols[index] for index in shells[1].indices} == {host.symbols[5]}


@pytest.mark.parametrize(
    ("cell", "repeats"), [("primitive", (1, 1, 1)), ("primitive", (2, 2, 2)), ("conventional", (1, 1, 1))]
)
def test_shell_numbers_do_not_depend_on_the_cell(cell, repeats):
    host = silicon_carbide_host(4.416, repeats, cell)
    shells = coordination_shells(host, 0, len(SHELLS))
    distances = distances_from(host, host.positions[0])
    for shell, (square, _) in zip(shells, SHELLS, strict=True):
        assert shell.distance == pytest.approx(4.416 / 4 * np.sqrt(square))
        assert all(distances[index] == pytest.approx(shell.distance) for index in shell.indices)
    members = [index for shell in shells for index in shell.indices]
    assert len(members) == len(set(members))


def test_shells_group_what_a_strain_splits():
    host = silicon_carbide_host(4.416, (3, 3, 3))
    host.set_cell(host.cell.array * [[1.01], [1], [1]], scale_atoms=True)
    assert [len(shell.indices) for shell in coordination_shells(host, 0, 2)] == [4, 12]
    assert len(coordination_shells(host, 0, 2, tolerance=1e-3)[1].indices) < 12


def test_shells_do_not_mind_atoms_outside_the_cell():
    host = silicon_carbide_host(4.416, (2, 2, 2), "primitive")
    expected = coordination_shells(host, 0, 3)
    host.positions[3] += 4 * host.cell.array[0] - 3 * host.cell.array[2]
    assert [shell.indices for shell in coordination_shells(host, 0, 3)] == [shell.indices for shell in expected]


def test_shells_of_a_molecule_end():
    shells = coordination_shells(Atoms("C3", positions=[[0, 0, 0], [1, 0, 0], [0, 2, 0]]), 0, 5)
    assert [shell.indices for shell in shells] == [(1,), (2,)]


def test_shell_errors():
    with pytest.raises(InputError, match="atoms 0 to 7"):
        coordination_shells(silicon_carbide_host(repeats=(1, 1, 1)), 8, 1)
    with pytest.raises(InputError, match="from 1"):
        coordination_shells(silicon_carbide_host(repeats=(1, 1, 1)), 0, 0)


def test_overlaps_are_found_through_the_boundary():
    host = silicon_carbide_host(4.416, (2, 2, 2), "primitive")
    assert overlapping_pairs(host) == []
    host.positions[5] = host.positions[0] + [0.5, 0, 0] + host.cell.array[1]
    pairs = overlapping_pairs(host)
    assert [(i, j) for i, j, _ in pairs] == [(0, 5)]
    assert pairs[0][2] == pytest.approx(0.5)
    host.positions[5] = host.positions[0]
    assert overlapping_pairs(host)[0] == (0, 5, 0.0)


def test_overlap_with_the_own_image():
    atoms = bulk("Si", "sc", a=1.0)
    assert overlapping_pairs(atoms) == [(0, 0, 1.0)]
    assert overlapping_pairs(bulk("Si", "sc", a=1.4)) == []
    assert overlapping_pairs(bulk("Si", "sc", a=1.4), fraction=0.7) == [(0, 0, 1.4)]


def overlap_frame_by_frame(positions: np.ndarray, cell: np.ndarray, numbers: np.ndarray, fraction: float) -> list[bool]:
    frames = [Atoms(numbers=numbers, positions=frame, cell=cell, pbc=True) for frame in positions]
    return [bool(overlapping_pairs(frame, fraction)) for frame in frames]


@pytest.mark.parametrize("n_atoms", [1, 2, 5, 20])
def test_overlaps_of_many_frames_are_those_of_each(n_atoms):
    """Skewed cells down to less than a bond, atoms anywhere: some frames overlap, some do not."""
    generator = np.random.default_rng(n_atoms)
    verdicts = []
    for volume in np.geomspace(0.5, 200.0, 25):
        cell = np.eye(3) + generator.uniform(-0.3, 0.3, (3, 3))
        cell *= (volume * n_atoms / abs(np.linalg.det(cell))) ** (1 / 3)
        cell[1] += generator.integers(-1, 2) * cell[0]
        numbers = generator.choice([1, 6, 14], n_atoms)
        positions = generator.uniform(-1, 2, (15, n_atoms, 3)) @ cell
        found = frames_with_overlap(positions, cell, numbers, 0.6)
        assert found.tolist() == overlap_frame_by_frame(positions, cell, numbers, 0.6)
        verdicts.append(found)
    assert 0.1 < np.mean(verdicts) < 0.9


@pytest.mark.parametrize("fraction", [0.5, 0.6, 0.9, 1.2])
def test_overlaps_of_hot_frames(fraction):
    host = silicon_carbide_host()
    generator = np.random.default_rng(2)
    positions = host.positions + generator.normal(0.0, 0.2, (60, 216, 3))
    positions += generator.uniform(-40, 40, (60, 1, 3))
    # One atom comes near another in half of the frames.
    positions[::2, 7] = positions[::2, 100] + generator.uniform(-0.9, 0.9, (30, 3)) + 2 * host.cell.array[1]
    found = frames_with_overlap(positions, host.cell.array, host.numbers, fraction)
    assert found.tolist() == overlap_frame_by_frame(positions, host.cell.array, host.numbers, fraction)
    assert found[::2].any()
    assert found.all() == (fraction > 0.8)


def test_overlaps_of_many_frames_with_own_images_and_equal_places():
    for constant, fraction, expected in [(1.0, 0.6, True), (1.4, 0.6, False), (1.4, 0.7, True)]:
        atoms = bulk("Si", "sc", a=constant)
        assert frames_with_overlap(atoms.positions[None], atoms.cell.array, atoms.numbers, fraction).item() is expected
    cell = 5 * np.eye(3)
    twins = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[0, 0, 0], [2.5, 0, 0]], [[0, 0, 0], [-1e-18, 5.0, 10.0]]])
    assert frames_with_overlap(twins, cell, np.array([14, 6])).tolist() == [True, False, True]
    assert frames_with_overlap(np.empty((0, 2, 3)), cell, np.array([14, 6])).shape == (0,)
    with pytest.raises(InputError, match="no volume"):
        frames_with_overlap(twins, np.zeros((3, 3)), np.array([14, 6]))
