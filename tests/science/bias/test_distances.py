"""Distances with the minimum image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.distances import Distances, MinimumImage

CELLS = {
    "cubic": np.diag([5.0, 5.0, 5.0]),
    "orthorhombic": np.diag([3.0, 8.0, 5.0]),
    "triclinic": np.array([[7.0, 0.0, 0.0], [3.1, 6.0, 0.0], [-2.4, 1.9, 5.5]]),
    "primitive fcc": 2.2 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]),
    "very skewed": np.array([[4.0, 0.0, 0.0], [5.5, 4.0, 0.0], [-3.3, 5.1, 4.0]]),
    "left-handed": np.array([[0.0, 5.0, 0.0], [4.0, 0.5, 0.0], [0.3, 0.2, 6.0]]),
}


@pytest.mark.parametrize("name", CELLS)
def test_minimum_image_is_the_shortest(name):
    """Against all images within ten cells, for vectors of several cells."""
    cell = CELLS[name]
    vectors = np.random.default_rng(3).uniform(-6, 6, (40, 3))
    shifts = np.array(list(itertools.product(range(-10, 11), repeat=3))) @ cell
    shortest = np.linalg.norm(vectors[:, None] + shifts, axis=2).min(axis=1)
    found = MinimumImage()(vectors.copy(), cell)
    assert np.linalg.norm(found, axis=1) == pytest.approx(shortest, abs=1e-12)
    multiples = (found - vectors) @ np.linalg.inv(cell)
    assert multiples == pytest.approx(np.rint(multiples), abs=1e-9)


def test_a_changed_cell_is_noticed():
    image = MinimumImage()
    vectors = np.array([[4.0, 0.0, 0.0]])
    assert image(vectors, np.diag([5.0, 5.0, 5.0]))[0, 0] == pytest.approx(-1.0)
    cell = np.diag([6.0, 5.0, 5.0])
    assert image(vectors, cell)[0, 0] == pytest.approx(-2.0)
    cell[0, 0] = 7.0
    assert image(vectors, cell)[0, 0] == pytest.approx(-3.0)


def test_no_cell_and_nopbc():
    positions = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]])
    both = Distances([(0, 1), (0, 1)], [True, False])
    assert both.evaluate(positions, np.diag([5.0, 5.0, 5.0])) == pytest.approx([1.0, 4.0])
    assert both.evaluate(positions, np.zeros((3, 3))) == pytest.approx([4.0, 4.0])


def test_a_cell_without_volume_is_refused():
    with pytest.raises(InputError, match="no volume"):
        MinimumImage()(np.zeros((1, 3)), np.diag([5.0, 5.0, 0.0]))


def test_atoms_in_one_place_feel_nothing():
    pair = Distances([(0, 1)], [True])
    assert pair.evaluate(np.ones((2, 3)), np.diag([5.0, 5.0, 5.0])) == pytest.approx([0.0])
    forces, virial = pair.forces(np.array([1.0]), 2)
    assert not forces.any() and not virial.any()
