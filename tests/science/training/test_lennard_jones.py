"""The Lennard-Jones prior as physics: analytic pairs, derivatives, symmetries, the cutoff."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior, envelope
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs
from tests.dimers import dimer_curve

CUTOFF = 4.2
PAIRS = {("C", "C"): (0.05, 2.1), ("C", "Si"): (0.6, 1.7), ("Si", "Si"): (0.2, 2.3)}
"""Epsilon (eV) and sigma (A) of each pair."""


@pytest.fixture
def prior() -> LennardJonesPrior:
    """A prior whose pairs all differ."""
    species = ("C", "Si")
    terms = np.array([[PAIRS[tuple(sorted((one, other)))] for other in species] for one in species])
    depth, sigma = terms[..., 0], terms[..., 1]
    return LennardJonesPrior(species, 4 * depth * sigma**12, 4 * depth * sigma**6, np.array([-150.0, -110.0]), CUTOFF)


@pytest.fixture
def crystal() -> Atoms:
    """Displaced 3C-SiC in a strained cell smaller than twice the cutoff, with an antisite."""
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    strain = np.random.default_rng(3).normal(0.0, 0.03, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.12, seed=4)
    atoms.symbols[0] = "C"
    return atoms


def energy_by_hand(one: str, other: str, length: float) -> float:
    """Return the energy of a pair, written out as in a textbook."""
    depth, sigma = PAIRS[tuple(sorted((one, other)))]
    x = length / CUTOFF
    if x >= 1:
        return 0.0
    return 4 * depth * ((sigma / length) ** 12 - (sigma / length) ** 6) * (1 - 28 * x**6 + 48 * x**7 - 21 * x**8)


def test_crystal_has_the_energy_of_its_pairs(prior: LennardJonesPrior, crystal: Atoms) -> None:
    expected = 0.0
    shifts = np.array(list(product(range(-3, 4), repeat=3))) @ crystal.cell.array
    for i, j in product(range(len(crystal)), repeat=2):
        for length in np.linalg.norm(crystal.positions[j] + shifts - crystal.positions[i], axis=1):
            if length > 1e-6:
                expected += 0.5 * energy_by_hand(crystal.symbols[i], crystal.symbols[j], length)
    expected += sum({"C": -150.0, "Si": -110.0}[symbol] for symbol in crystal.symbols)
    result = prior.evaluate(crystal)
    assert result.energy == pytest.approx(expected, rel=1e-12)
    assert result.atomic_energies.sum() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("length", [1.0, 1.9, 3.3, 4.19])
@pytest.mark.parametrize("pair", list(PAIRS))
def test_dimers_share_the_energy_and_pull_along_the_bond(
    prior: LennardJonesPrior, pair: tuple[str, str], length: float
) -> None:
    dimer = Atoms(pair, positions=[[0, 0, 0], [0, 0, length]])
    result = prior.evaluate(dimer)
    energy = energy_by_hand(*pair, length)
    assert result.energy - sum({"C": -150.0, "Si": -110.0}[name] for name in pair) == pytest.approx(energy, abs=1e-10)
    slope = result.forces[0, 2]
    np.testing.assert_allclose(result.forces, [[0, 0, slope], [0, 0, -slope]], atol=1e-12)
    step = 1e-6 * length
    numerical = (energy_by_hand(*pair, length + step) - energy_by_hand(*pair, length - step)) / (2 * step)
    assert slope == pytest.approx(numerical, rel=1e-5, abs=1e-9)


def test_forces_are_the_gradient_of_the_energy(prior: LennardJonesPrior, crystal: Atoms) -> None:
    forces = prior.evaluate(crystal).forces
    step = 1e-5
    for atom, axis in product(range(len(crystal)), range(3)):
        energies = []
        for sign in (1, -1):
            moved = crystal.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(prior.evaluate(moved).energy)
        assert forces[atom, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-6)


def test_virial_is_the_strain_derivative_of_the_energy(prior: LennardJonesPrior, crystal: Atoms) -> None:
    virial = prior.evaluate(crystal).virial
    np.testing.assert_allclose(virial, virial.T, atol=1e-10)
    step = 1e-6
    for a, b in product(range(3), repeat=2):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step
            moved = crystal.copy()
            moved.set_cell(crystal.cell.array @ strain, scale_atoms=True)
            energies.append(prior.evaluate(moved).energy)
        assert virial[a, b] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-5)


def test_symmetries(prior: LennardJonesPrior, crystal: Atoms) -> None:
    reference = prior.evaluate(crystal)
    np.testing.assert_allclose(reference.forces.sum(axis=0), 0.0, atol=1e-10)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]  # may reflect as well
    turned = crystal.copy()
    turned.set_cell(crystal.cell.array @ rotation, scale_atoms=True)
    result = prior.evaluate(turned)
    assert result.energy == pytest.approx(reference.energy, rel=1e-13)
    np.testing.assert_allclose(result.forces, reference.forces @ rotation, atol=1e-9)
    np.testing.assert_allclose(result.virial, rotation.T @ reference.virial @ rotation, atol=1e-9)

    shifted = crystal.copy()
    shifted.positions += np.array([3.1, -0.7, 11.0])
    np.testing.assert_allclose(prior.evaluate(shifted).forces, reference.forces, atol=1e-9)
    order = np.random.default_rng(1).permutation(len(crystal))
    np.testing.assert_allclose(prior.evaluate(crystal[order]).forces, reference.forces[order], atol=1e-9)
    doubled = prior.evaluate(crystal * (1, 2, 1))
    assert doubled.energy == pytest.approx(2 * reference.energy, rel=1e-13)
    np.testing.assert_allclose(doubled.virial, 2 * reference.virial, atol=1e-9)


def test_energy_force_and_curvature_end_at_the_cutoff(prior: LennardJonesPrior) -> None:
    """Near the cutoff the energy falls as the third power of the distance to it, the force as the second."""
    near, nearer = (dimer_curve(prior, "Si", "C", [CUTOFF - gap]) for gap in (1e-2, 1e-3))
    assert near[0][0] / nearer[0][0] == pytest.approx(1e3, rel=0.1)
    assert near[1][0] / nearer[1][0] == pytest.approx(1e2, rel=0.1)
    beyond = dimer_curve(prior, "Si", "C", [CUTOFF, CUTOFF + 1e-9, 9.0])
    np.testing.assert_array_equal(beyond, np.zeros((2, 3)))


def test_the_envelope_only_falls() -> None:
    x = np.linspace(0.0, 1.0, 2001)
    value, slope = envelope(x)
    assert value[0] == 1.0 and value[-1] == 0.0 and np.all(slope <= 0)
    np.testing.assert_allclose(np.gradient(value, x)[1:-1], slope[1:-1], atol=3e-5)


def test_a_prior_survives_a_file_bit_for_bit(prior: LennardJonesPrior) -> None:
    again = LennardJonesPrior.from_dict(json.loads(json.dumps(prior.to_dict())))
    assert again.species == prior.species and again.cutoff == prior.cutoff
    for name in ("repulsion", "attraction", "offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(prior, name))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"species": ["C", "C"]}, "different chemical symbols"),
        ({"species": ["C", "Xx"]}, "different chemical symbols"),
        ({"repulsion": [[1.0]]}, "`repulsion`.*shape"),
        ({"repulsion": [[1.0, 2.0], [3.0, 4.0]]}, "symmetric"),
        ({"attraction": [[1.0, -2.0], [-2.0, 4.0]]}, "not negative"),
        ({"offsets": [0.0, float("nan")]}, "`offsets`.*finite"),
        ({"offsets": ["a", "b"]}, "not a number"),
        ({"cutoff": 0.0}, "`cutoff`.*positive"),
        ({"cutoff": "far"}, "`cutoff`.*positive"),
        ({"envelope_exponent": 4}, "`envelope_exponent` of the prior is 4"),
    ],
)
def test_priors_that_make_no_sense_are_refused(prior: LennardJonesPrior, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        LennardJonesPrior.from_dict({**prior.to_dict(), **changes})


def test_what_the_prior_does_not_know_is_named(prior: LennardJonesPrior) -> None:
    with pytest.raises(InputError, match="Ge"):
        prior.evaluate(Atoms("SiGe", positions=[[0, 0, 0], [0, 0, 2]]))
    with pytest.raises(InputError, match="lacks `offsets`"):
        LennardJonesPrior.from_dict({name: value for name, value in prior.to_dict().items() if name != "offsets"})
    with pytest.raises(InputError, match="have the same position"):
        prior.evaluate(Atoms("Si2", positions=[[0, 0, 0], [0, 0, 0]]))


@pytest.mark.parametrize("pbc", [True, False, (True, True, False), (False, True, False)])
@pytest.mark.parametrize("cutoff", [1.5, 4.0, 9.0])
def test_neighbours_are_those_of_ase(crystal: Atoms, pbc: Any, cutoff: float) -> None:
    crystal.pbc = pbc
    crystal.set_cell(crystal.cell.array @ [[1, 0.4, 0], [0, 1, -0.7], [0, 0, -1.3]], scale_atoms=False)
    crystal.positions += 7.0
    crystal.positions[2] -= 2 * crystal.cell[0]

    def ordered(pairs: Any) -> np.ndarray:
        rows = np.column_stack(pairs)
        return rows[np.lexsort(np.round(rows, 7).T[::-1])]

    expected = ordered(neighbor_list("ijdD", crystal, cutoff))
    np.testing.assert_allclose(ordered(neighbour_pairs(crystal, cutoff)), expected, atol=1e-9)


def test_atoms_without_a_cell_have_neighbours_too() -> None:
    molecule = Atoms("SiC2", positions=[[0, 0, 0], [1.9, 0, 0], [0, 2.1, 0.3]])
    first, second, lengths, _ = neighbour_pairs(molecule, 2.5)
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0), (2, 0)]
    assert sorted(lengths.round(6)) == [1.9, 1.9, 2.12132, 2.12132]
    assert len(neighbour_pairs(Atoms("Si"), 5.0)[0]) == 0
