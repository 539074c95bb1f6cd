"""Errors in cases whose values follow by hand."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.metrics import error_metrics, fit_energy_offsets


def labelled(symbols: str, energy: float, forces) -> Atoms:
    """A frame with a label."""
    atoms = Atoms(symbols, cell=[9, 9, 9], pbc=True)
    atoms.positions[:, 0] = np.arange(len(atoms))
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.array(forces, dtype=float).reshape(-1, 3))
    return atoms


REFERENCE = [labelled("SiC", -10.0, np.zeros(6)), labelled("SiC2Si", -20.0, np.zeros(12))]
PREDICTED = [
    labelled("SiC", -9.8, [0.6, 0, 0, 0, 0, -0.6]),
    labelled("SiC2Si", -20.8, [0, 0, 0, 0, 1.2, 0, 0, 0, 0, 0, 0, 0]),
]


def test_values_by_hand():
    metrics = error_metrics(REFERENCE, PREDICTED)
    assert metrics.n_frames == 2
    assert metrics.n_atoms == 6
    assert metrics.force_mae == pytest.approx(2.4 / 18)
    assert metrics.force_rmse == pytest.approx(np.sqrt((0.36 + 0.36 + 1.44) / 18))
    assert metrics.force_max == pytest.approx(1.2)
    assert metrics.force_mae_per_frame == pytest.approx([0.2, 0.1])
    # Carbon: 0.6 of atom 1 in the first frame and 1.2 of atom 1 in the second, three atoms.
    assert metrics.force_mae_per_species == pytest.approx({"C": 1.8 / 9, "Si": 0.6 / 9})
    assert metrics.energy_error_per_frame == pytest.approx([0.1, -0.2])
    assert metrics.energy_mae == pytest.approx(0.15)
    assert metrics.energy_rmse == pytest.approx(np.sqrt((0.01 + 0.04) / 2))
    assert metrics.energy_offsets == {}
    assert json.loads(json.dumps(metrics.to_dict())) == metrics.to_dict()


def test_perfect_prediction():
    metrics = error_metrics(REFERENCE, REFERENCE)
    assert metrics.force_mae == metrics.force_rmse == metrics.energy_mae == metrics.energy_rmse == 0


def test_offsets_remove_another_zero_of_energy():
    generator = np.random.default_rng(3)
    formulas = ["Si4C4", "Si3C4", "Si4C3", "Si2C4", "Si3C3"]
    reference, predicted = [], []
    for formula in formulas:
        size = len(Atoms(formula))
        forces = generator.normal(size=3 * size)
        energy = generator.normal() * 5
        reference.append(labelled(formula, energy, forces))
        silicon = int(formula[2])
        predicted.append(labelled(formula, energy - 107.3 * silicon + 9.1 * int(formula[-1]), forces + 0.25))
    assert error_metrics(reference, predicted).energy_mae > 10
    metrics = error_metrics(reference, predicted, fit_energy_offset=True)
    assert metrics.energy_mae == pytest.approx(0, abs=1e-10)
    assert metrics.energy_offsets == pytest.approx({"Si": 107.3, "C": -9.1})
    assert metrics.force_mae == pytest.approx(0.25)


def test_offsets_of_one_composition_are_of_least_norm():
    counts = np.array([[3, 4], [3, 4]])
    offsets = fit_energy_offsets(counts, np.array([10.0, 12.0]))
    assert offsets == pytest.approx(np.array([3, 4]) * 11 / 25)
    # What remains is the scatter around the mean, not the offset.
    frames = [labelled("Si3C4", energy, np.zeros(21)) for energy in (10.0, 12.0)]
    zero = [labelled("Si3C4", 0.0, np.zeros(21))] * 2
    assert error_metrics(frames, zero, fit_energy_offset=True).energy_mae == pytest.approx(1 / 7)


def test_errors():
    with pytest.raises(InputError, match="no frames"):
        error_metrics([], [])
    with pytest.raises(InputError, match="2 reference frames, but 1"):
        error_metrics(REFERENCE, PREDICTED[:1])
    with pytest.raises(InputError, match="Frame 0 is CSi"):
        error_metrics(REFERENCE, PREDICTED[::-1])
    with pytest.raises(InputError, match=r"Frame 1 .*no energy"):
        error_metrics(REFERENCE, [PREDICTED[0], Atoms("SiC2Si", positions=REFERENCE[1].positions, cell=[9, 9, 9])])
    moved = labelled("SiC", 0, np.zeros(6))
    moved.positions += 1e-3
    with pytest.raises(InputError, match="Frame 0 has other positions"):
        error_metrics(REFERENCE[:1], [moved])
