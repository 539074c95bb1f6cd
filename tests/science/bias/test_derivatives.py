"""Forces and virial of every bias against finite differences of its energy, in a triclinic cell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.science.bias.conftest import CELL, numerical_forces, numerical_virial

DISTANCES = "d1: DISTANCE ATOMS=1,2\nd2: DISTANCE ATOMS=3,4\nd3: DISTANCE ATOMS=2,5 NOPBC\n"
OPES = "PACE=1000 BARRIER=3 TEMP=1500"


@pytest.mark.parametrize(
    "bias",
    [
        "UPPER_WALLS ARG=d1,d3 AT=1.0,1.5 KAPPA=2.0,3.0 EXP=2,3 EPS=1,0.7 OFFSET=0.1,0.2",
        "LOWER_WALLS ARG=d1,d2 AT=6.0,7.0 KAPPA=2.0,3.0 EXP=2,4 EPS=1,2 OFFSET=0.1,0.2",
        "RESTRAINT ARG=d1,d2,d3 AT=1,2,3 KAPPA=1,2,3 SLOPE=0.3,0.2,0.1",
        "RESTRAINT ARG=d1,d1 AT=1,2 KAPPA=1,2",
    ],
)
def test_static_biases(make_bias, positions, bias):
    evaluator = make_bias(DISTANCES + bias)
    _check(evaluator, positions, h=1e-5, tolerance=1e-7)


@pytest.mark.parametrize("action", ["OPES_METAD", "OPES_METAD_EXPLORE"])
def test_opes_with_kernels(make_bias, positions, action):
    """Kernels of two positions; the cutoff is far out, where PLUMED's gradient is the exact one."""
    evaluator = make_bias(
        DISTANCES + f"opes: {action} ARG=d1,d2 {OPES} SIGMA=0.3,0.4 KERNEL_CUTOFF=9 COMPRESSION_THRESHOLD=0"
    )
    for step, shift in ((0, 0.0), (1000, 0.0), (2000, 0.15)):
        evaluator.calculate(step, positions + shift * np.sin(positions), CELL)
    assert evaluator.calculate(2001, positions, CELL).values["opes.nker"] == 2
    _check(evaluator, positions + 0.1 * np.cos(positions), h=1e-5, tolerance=1e-6)


def test_walls_on_a_model(make_bias, positions, model_file):
    """Single precision inside the model limits the differences."""
    evaluator = make_bias(
        DISTANCES + f"cv: PYTORCH_MODEL FILE={model_file} ARG=d1,d2,d3\n"
        "RESTRAINT ARG=cv.* AT=0.5,0.2 KAPPA=1,1\nUPPER_WALLS ARG=d1 AT=1 KAPPA=0.1"
    )
    _check(evaluator, positions, h=3e-3, tolerance=1e-3)


def test_a_model_of_a_model(make_bias, positions, model_file):
    evaluator = make_bias(
        DISTANCES + f"one: PYTORCH_MODEL FILE={model_file} ARG=d1,d2,d3\n"
        f"two: PYTORCH_MODEL FILE={model_file} ARG=one.node-0,d2\nRESTRAINT ARG=two.node-1 AT=0.5 KAPPA=1"
    )
    _check(evaluator, positions, h=3e-3, tolerance=1e-3)


def test_units_convert_energy_and_forces(make_bias, positions):
    """The same wall in nm and kJ/mol; 1 eV = 96.485 kJ/mol."""
    here = make_bias("d: DISTANCE ATOMS=1,2\nUPPER_WALLS ARG=d AT=1 KAPPA=2").calculate(0, positions, CELL)
    kappa = 2 * 96.48530749925792 * 100
    text = f"UNITS LENGTH=nm ENERGY=kj/mol\nd: DISTANCE ATOMS=1,2\nUPPER_WALLS ARG=d AT=0.1 KAPPA={kappa}"
    there = make_bias(text).calculate(0, positions, CELL)
    assert there.energy == pytest.approx(here.energy, rel=1e-12)
    assert there.forces == pytest.approx(here.forces, rel=1e-9, abs=1e-12)
    assert there.virial == pytest.approx(here.virial, rel=1e-9, abs=1e-12)
    assert there.values["d"] == pytest.approx(here.values["d"] / 10, rel=1e-12)


def test_selected_atoms_give_the_same(make_bias, positions):
    text = DISTANCES + "RESTRAINT ARG=d1,d2,d3 AT=1,2,3 KAPPA=1,2,3"
    evaluator = make_bias(text)
    whole = evaluator.calculate(0, positions, CELL)
    selected = evaluator.calculate_selected(0, positions[evaluator.atoms], CELL)
    assert list(evaluator.atoms) == [0, 1, 2, 3, 4]
    assert selected.energy == whole.energy
    assert np.array_equal(selected.forces, whole.forces[:5])
    assert not whole.forces[5:].any()


def _check(evaluator, positions, h: float, tolerance: float) -> None:
    def energy(moved: np.ndarray, cell: np.ndarray) -> float:
        return evaluator.calculate(1, moved, cell).energy

    result = evaluator.calculate(1, positions, CELL)
    scale = np.abs(result.forces).max()
    assert scale > 1e-3
    assert np.abs(result.forces - numerical_forces(energy, positions, h)).max() < tolerance * max(scale, 1)
    virial = numerical_virial(energy, positions, h / 5)
    assert np.abs(result.virial - virial).max() < tolerance * max(np.abs(virial).max(), 1)
    assert np.abs(result.forces.sum(axis=0)).max() < 1e-10 * scale
