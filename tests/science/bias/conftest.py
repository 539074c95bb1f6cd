"""A small periodic cell, biases over it, and their derivatives by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from aiida_sicmlip.science.bias import Bias

N_ATOMS = 8
CELL = np.array([[7.0, 0.0, 0.0], [3.1, 6.0, 0.0], [-2.4, 1.9, 5.5]])


class Mixture(torch.nn.Module):
    """Two smooth functions of all inputs (1, n)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.tanh(inputs).sum(dim=1), torch.sin(inputs).sum(dim=1)], dim=1)


@pytest.fixture
def positions() -> np.ndarray:
    """Positions (N, 3) of which some lie outside the cell."""
    return np.random.default_rng(5).uniform(-4, 9, (N_ATOMS, 3))


@pytest.fixture
def make_bias(tmp_path: Path) -> Callable[..., Bias]:
    """Return a function that makes a bias of a text; its files lie in `tmp_path`."""

    def make(text: str, **settings) -> Bias:
        given = {"kt_ev": 0.1, "timestep_ps": 0.001, "n_atoms": N_ATOMS, "folder": tmp_path} | settings
        return Bias("UNITS LENGTH=A ENERGY=eV TIME=ps\n" + text, **given)

    return make


@pytest.fixture
def model_file(tmp_path: Path) -> str:
    """Write a TorchScript model with two outputs."""
    torch.jit.script(Mixture()).save(str(tmp_path / "mixture.ptc"))
    return "mixture.ptc"


def numerical_forces(energy: Callable[[np.ndarray, np.ndarray], float], positions: np.ndarray, h: float) -> np.ndarray:
    """Return minus the central differences (N, 3) of an energy of positions and cell."""
    forces = np.zeros_like(positions)
    for index in np.ndindex(positions.shape):
        moved = positions.copy()
        moved[index] += h
        up = energy(moved, CELL)
        moved[index] -= 2 * h
        forces[index] = -(up - energy(moved, CELL)) / (2 * h)
    return forces


def numerical_virial(energy: Callable[[np.ndarray, np.ndarray], float], positions: np.ndarray, h: float) -> np.ndarray:
    """Return minus the central differences (3, 3) of an energy with a strain of positions and cell."""
    virial = np.zeros((3, 3))
    for index in np.ndindex(3, 3):
        strain = np.eye(3)
        strain[index] += h
        up = energy(positions @ strain, CELL @ strain)
        strain[index] -= 2 * h
        virial[index] = -(up - energy(positions @ strain, CELL @ strain)) / (2 * h)
    return virial
