"""A divacancy, its atoms, and trajectories of three of its states with thermal displacements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.science.defects.building import DefectStructure, build_defects
from aiida_sicmlip.science.pines.atoms import DefectAtoms, choose_atoms
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import permutation_invariant_vectors
from aiida_sicmlip.science.pines.settings import AutoencoderSettings, SwitchingFunction
from aiida_sicmlip.science.pines.training import TrainedAutoencoder, train_autoencoder
from tests.crystals import silicon_carbide_host


@dataclass(frozen=True)
class Divacancy:
    """VV in 214 atoms: the host, the defect, the atoms of two shells, and where the two vacancies are."""

    host: Atoms
    defect: DefectStructure
    chosen: DefectAtoms

    @property
    def layout(self) -> PivLayout:
        return self.chosen.layout

    def vacancy(self, species: str) -> np.ndarray:
        """Return the position of the vacancy of a species."""
        return np.array(next(site["position"] for site in self.defect.sites if site["species"] == species))

    def neighbours(self, species: str) -> list[int]:
        """Return the atoms of the first shell that are of one species; they are next to the vacancy of the other."""
        return self.chosen.groups[f"{species}1"]

    def reoriented(self, species: str, neighbour: int = 0) -> np.ndarray:
        """Return positions after an atom of the first shell hopped into the vacancy of its own species."""
        positions = self.defect.atoms.positions.copy()
        positions[self.neighbours(species)[neighbour]] = self.vacancy(species)
        return positions

    def vectors(self, positions: np.ndarray) -> torch.Tensor:
        """Return the vectors of positions (F, 214, 3) or (214, 3), in double precision."""
        chosen = torch.tensor(np.atleast_3d(positions).reshape(-1, len(self.defect.atoms), 3)[:, self.layout.atoms, :])
        return permutation_invariant_vectors(
            chosen,
            self.host.cell.array,
            self.host.pbc,
            self.layout,
            SwitchingFunction(r0=3.2, exponent=6),
        )

    def thermal(self, positions: np.ndarray, seed: int, frames: int = 80, amplitude: float = 0.12) -> np.ndarray:
        """Return frames with independent displacements; 0.12 A a component is that of SiC at about 1500 K."""
        return positions + np.random.default_rng(seed).normal(0.0, amplitude, (frames, *positions.shape))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on two busy cores are several times slower with two threads than with one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def divacancy() -> Divacancy:
    host = silicon_carbide_host()
    defect = build_defects(host, [{"kind": "divacancy"}], 0)
    found = Divacancy(host, defect, choose_atoms(host, defect.sites))
    # The states are what their names say: a hop is one bond of the second shell long.
    for species in ("Si", "C"):
        moved = found.reoriented(species) - defect.atoms.positions
        lengths = find_mic(moved, host.cell, host.pbc)[1]
        assert sorted(lengths)[-2:] == pytest.approx([0.0, 4.416 / np.sqrt(2)])
    return found


STATES = ("initial", "Si hop", "C hop")


@pytest.fixture(scope="session")
def state_positions(divacancy: Divacancy) -> dict[str, np.ndarray]:
    """Positions of the three states of the divacancy."""
    return {
        "initial": divacancy.defect.atoms.positions,
        "Si hop": divacancy.reoriented("Si"),
        "C hop": divacancy.reoriented("C"),
    }


@pytest.fixture(scope="session")
def training_vectors(divacancy: Divacancy, state_positions: dict[str, np.ndarray]) -> list[torch.Tensor]:
    """Nine trajectories, three of each state, in float32: whichever two are held out, every state is trained on."""
    return [
        divacancy.vectors(divacancy.thermal(state_positions[state], seed=10 * copy + number)).float()
        for copy in range(3)
        for number, state in enumerate(STATES)
    ]


@pytest.fixture(scope="session")
def trained(training_vectors: list[torch.Tensor]) -> TrainedAutoencoder:
    """A model trained on them."""
    settings = AutoencoderSettings(max_epochs=60, batch_size=32, held_out=0.2, seed=3)
    return train_autoencoder(training_vectors, settings)
