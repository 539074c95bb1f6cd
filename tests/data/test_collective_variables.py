"""The node of collective variables: its content, its hash, and the model that comes back from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.exceptions import ValidationError
from ase import Atoms

from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.science.pines.settings import AutoencoderSettings, SwitchingFunction

SWITCHING = SwitchingFunction(r0=3.2, exponent=6)


def train_into(folder: Path, atoms: Atoms, seed: int = 1) -> Path:
    """Train for a few epochs on displaced frames of the divacancy in 14 atoms, and write the model."""
    import torch

    from aiida_sicmlip.science.pines.atoms import choose_atoms_of_structure
    from aiida_sicmlip.science.pines.export import write_model
    from aiida_sicmlip.science.pines.piv import permutation_invariant_vectors
    from aiida_sicmlip.science.pines.training import train_autoencoder
    from tests.crystals import silicon_carbide_host

    layout = choose_atoms_of_structure(atoms, silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")).layout
    noise = np.random.default_rng(0).normal(0.0, 0.15, (2, 20, len(layout.atoms), 3))
    positions = torch.tensor(atoms.positions[list(layout.atoms)] + noise)
    vectors = [
        permutation_invariant_vectors(part, atoms.cell.array, atoms.pbc, layout, SWITCHING).float()
        for part in positions
    ]
    settings = AutoencoderSettings(hidden=(8,), latent=2, max_epochs=3, seed=seed)
    folder.mkdir()
    write_model(folder, layout, SWITCHING, train_autoencoder(vectors, settings))
    return folder


@pytest.fixture
def generate_folder(divacancy: Atoms, tmp_path: Path) -> Callable[..., Path]:
    """Makes folders with a model: their name, the seed."""
    return lambda name="model", seed=1: train_into(tmp_path / name, divacancy, seed)


def test_content(aiida_profile: Any, generate_folder: Callable[..., Path], divacancy: Atoms) -> None:
    node = CollectiveVariablesData.from_folder(generate_folder()).store()
    assert {name: len(members) for name, members in node.groups.items()} == {"C1": 3, "C2": 4, "Si1": 3, "Si2": 4}
    assert {divacancy.symbols[index] for index in node.groups["C2"]} == {"C"}
    assert node.pairs == node.details()["pairs"]
    assert len(node.pairs) == 14 * 13 // 2
    assert node.n_variables == len(node.ranges) == 2
    assert node.switching == {"r0": 3.2, "exponent": 6}
    assert set(node.variance_explained) == {"training", "held_out"}
    assert [row["epoch"] for row in node.training_curve] == [1, 2, 3]


def test_model_and_decoder_come_back(
    aiida_profile: Any, generate_folder: Callable[..., Path], divacancy: Atoms
) -> None:
    from aiida_sicmlip.science.pines.export import read_model

    folder = generate_folder()
    model, expected = CollectiveVariablesData.from_folder(folder).store().model(), read_model(folder)
    frames = divacancy.positions[None]
    values = model.evaluate(frames, divacancy.cell.array, divacancy.pbc)
    assert values.shape == (1, 2)
    assert values.tolist() == expected.evaluate(frames, divacancy.cell.array, divacancy.pbc).tolist()
    decoded = model.decode(values)
    assert decoded.shape == (1, 91)
    assert decoded.tolist() == expected.decode(values).tolist()
    assert not np.allclose(decoded, model.decode(values + 1.0))


def test_equal_trainings_hash_equally(aiida_profile: Any, generate_folder: Callable[..., Path]) -> None:
    first, again, other = (
        CollectiveVariablesData.from_folder(generate_folder(name, seed)).store()
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first.base.caching.compute_hash() == again.base.caching.compute_hash()
    assert first.base.caching.compute_hash() != other.base.caching.compute_hash()


def test_incomplete_nodes_are_not_stored(aiida_profile: Any, generate_folder: Callable[..., Path]) -> None:
    with pytest.raises(ValidationError, match="make the node with `from_folder`"):
        CollectiveVariablesData().store()
    folder = generate_folder()
    (folder / "autoencoder.npz").unlink()
    with pytest.raises(FileNotFoundError):
        CollectiveVariablesData.from_folder(folder)
