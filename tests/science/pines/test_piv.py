"""Symmetries and gradients of the permutation invariant vector; a model that PLUMED ran."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import make_supercell
from scipy.spatial.transform import Rotation

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.pines.autoencoder import dense_layers
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import pair_distances, permutation_invariant_vectors, switched
from aiida_sicmlip.science.pines.settings import SwitchingFunction

FIXTURES = Path(__file__).parents[2] / "fixtures" / "pines"
SWITCHING = SwitchingFunction(r0=3.2, exponent=6)


@pytest.fixture
def frame(divacancy) -> np.ndarray:
    """One frame of the divacancy with thermal displacements, (214, 3)."""
    return divacancy.thermal(divacancy.defect.atoms.positions, seed=1, frames=1)[0]


def test_length_and_blocks_of_the_divacancy(divacancy, frame):
    vectors = divacancy.vectors(frame)
    assert vectors.shape == (1, 435)
    assert divacancy.layout.blocks.keys() == {
        f"{a}-{b}" for n, a in enumerate(("C1", "C2", "Si1", "Si2")) for b in ("C1", "C2", "Si1", "Si2")[n:]
    }
    start = 0
    for size in divacancy.layout.block_sizes:
        block = vectors[0, start : start + size]
        assert (block.diff() >= 0).all()
        start += size
    assert start == 435
    assert 0 < vectors.min() < vectors.max() < 1


def test_translation_rotation_and_wrapping_change_nothing(divacancy, frame):
    expected = divacancy.vectors(frame)
    assert torch.allclose(divacancy.vectors(frame + np.array([0.3, -7.1, 22.0])), expected, rtol=0, atol=1e-12)

    atoms = Atoms("X" * len(frame), frame + 5.0, cell=divacancy.host.cell, pbc=True)
    atoms.wrap()
    assert np.abs(atoms.positions - frame).max() > 5.5
    assert torch.allclose(divacancy.vectors(atoms.positions), expected, rtol=0, atol=1e-12)

    rotation = Rotation.random(rng=np.random.default_rng(4)).as_matrix()
    turned = torch.tensor(frame[None, divacancy.layout.atoms] @ rotation)
    vectors = permutation_invariant_vectors(
        turned, divacancy.host.cell.array @ rotation, np.array([True] * 3), divacancy.layout, SWITCHING
    )
    assert torch.allclose(vectors, expected, rtol=0, atol=1e-12)


def test_exchange_inside_groups_changes_nothing(divacancy, frame):
    expected = divacancy.vectors(frame)
    exchanged = frame.copy()
    generator = np.random.default_rng(2)
    for members in divacancy.chosen.groups.values():
        exchanged[members] = frame[generator.permutation(members)]
    assert np.abs(exchanged - frame).max() > 1
    assert torch.allclose(divacancy.vectors(exchanged), expected, rtol=0, atol=1e-12)


def test_exchange_between_groups_changes_the_vector(divacancy, frame):
    exchanged = frame.copy()
    pair = [divacancy.chosen.groups["Si1"][0], divacancy.chosen.groups["Si2"][0]]
    exchanged[pair] = frame[pair[::-1]]
    assert (divacancy.vectors(exchanged) - divacancy.vectors(frame)).abs().max() > 1e-3


def test_mirror_images_of_a_hop_are_one_state(divacancy):
    hops = [divacancy.vectors(divacancy.reoriented("Si", neighbour)) for neighbour in range(3)]
    assert torch.allclose(hops[0], hops[1], rtol=0, atol=1e-12)
    assert torch.allclose(hops[0], hops[2], rtol=0, atol=1e-12)


def test_gradient_agrees_with_finite_differences(divacancy, frame):
    layout = PivLayout.from_groups({"Si1": divacancy.neighbours("Si"), "C1": divacancy.neighbours("C")})
    weights = torch.tensor(np.random.default_rng(5).normal(size=len(layout)))

    def value(positions: torch.Tensor) -> torch.Tensor:
        cell, pbc = divacancy.host.cell.array, divacancy.host.pbc
        return permutation_invariant_vectors(positions, cell, pbc, layout, SWITCHING)[0] @ weights

    positions = torch.tensor(frame[None, layout.atoms], requires_grad=True)
    value(positions).backward()
    step = 1e-5
    for atom in range(len(layout.atoms)):
        for axis in range(3):
            shift = torch.zeros_like(positions)
            shift[0, atom, axis] = step
            with torch.no_grad():
                slope = (value(positions + shift) - value(positions - shift)) / (2 * step)
            assert float(positions.grad[0, atom, axis]) == pytest.approx(float(slope), rel=1e-6, abs=1e-9)
    # Distances only: the atoms pull one another, never the whole.
    assert positions.grad.abs().max() > 1e-3
    assert positions.grad.sum(1).abs().max() < 1e-12


def test_switching_function_has_its_half_height_at_r0():
    distances = torch.tensor([1e-6, 3.2, 10.0], dtype=torch.float64)
    values = switched(distances, 3.2, 6)
    assert values.tolist() == pytest.approx([1.0, 0.5, 1 / (1 + (10 / 3.2) ** 6)])


@pytest.mark.parametrize(
    "cell",
    [
        np.diag([5.0, 6.0, 7.0]),
        [[0.0, 3.0, 3.0], [3.0, 0.0, 3.0], [3.0, 3.0, 0.0]],
        # Far from reduced: the nearest image is several cells away along the given vectors.
        [[5.0, 0.0, 0.0], [14.0, 5.0, 0.0], [-9.0, 13.0, 5.0]],
    ],
)
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, True, False), (False, False, False)])
def test_distances_are_to_the_nearest_image_in_any_cell(cell, pbc):
    atoms = Atoms("H30", np.random.default_rng(3).normal(0, 20, (30, 3)), cell=cell, pbc=pbc)
    pairs = np.array([(i, j) for i in range(30) for j in range(i)])
    found = pair_distances(torch.tensor(atoms.positions[None]), atoms.cell.array, atoms.pbc, pairs)[0]
    # All images within eight cells: no search that could share a mistake with the one that is tested.
    vectors = atoms.positions[pairs[:, 1]] - atoms.positions[pairs[:, 0]]
    periodic = np.where(np.array(pbc)[:, None], atoms.cell.array, 0.0)
    start = vectors - np.round(vectors @ np.linalg.pinv(periodic)) @ periodic
    steps = [np.arange(-8, 9) if axis else np.arange(1) for axis in pbc]
    images = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3) @ atoms.cell.array
    expected = np.array([np.linalg.norm(vector + images, axis=1).min() for vector in start])
    assert found.numpy() == pytest.approx(expected, abs=1e-10)


def test_a_larger_description_of_a_crystal_has_the_same_distances():
    skewed = make_supercell(Atoms("Si", cell=[3.0, 3.0, 3.0], pbc=True), [[1, 2, 0], [0, 1, 3], [0, 0, 1]])
    positions = torch.tensor([[[0.0, 0.0, 0.0], [1.3, 2.8, 0.4]]])
    pairs = np.array([[0, 1]])
    first = pair_distances(positions, np.diag([3.0] * 3), np.array([True] * 3), pairs)
    assert pair_distances(positions, skewed.cell.array, np.array([True] * 3), pairs) == pytest.approx(float(first))


def test_frames_with_their_own_cells():
    positions = torch.tensor([[[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]]] * 3)
    cells = np.stack([np.diag([a, 9.0, 9.0]) for a in (5.0, 5.0, 6.5)])
    distances = pair_distances(positions, cells, np.array([True] * 3), np.array([[0, 1]]))
    assert distances[:, 0].tolist() == pytest.approx([1.0, 1.0, 2.5])


def test_periodic_frames_need_a_cell():
    with pytest.raises(InputError, match="a cell vector is zero"):
        pair_distances(torch.zeros(1, 2, 3), np.zeros((3, 3)), np.array([True] * 3), np.array([[0, 1]]))


def test_a_model_that_plumed_ran_is_reproduced():
    case = json.loads((FIXTURES / "case.json").read_text())
    stored = np.load(FIXTURES / "encoder.npz")
    layout = PivLayout.from_groups(case["groups"])
    assert (layout.pairs + 1).tolist() == case["pairs"]
    assert list(layout.blocks) == case["block_order"]
    assert layout.blocks == case["blocks"]
    assert layout.order == stored["order"].tolist()

    encoder = dense_layers([435, 64, 32, 16, 3], torch.float32)
    weights = {name.removeprefix("net."): torch.tensor(stored[name]) for name in stored if name.startswith("net.")}
    encoder.load_state_dict(weights)
    positions = torch.tensor([frame["positions"] for frame in case["frames"]], dtype=torch.float64)
    cells = np.stack([np.diag(frame["box"]) for frame in case["frames"]])
    vectors = permutation_invariant_vectors(
        positions[:, layout.atoms],
        cells,
        np.array([True] * 3),
        layout,
        SwitchingFunction(r0=case["r0"], exponent=case["exponent"]),
    )
    with torch.no_grad():
        standardised = (vectors - torch.tensor(stored["mean"])) / torch.tensor(stored["std"])
        found = encoder.double()(standardised)
    expected = np.array([frame["cv"] for frame in case["frames"]])
    assert np.ptp(expected, axis=0).min() > 0.02
    assert np.abs(found.numpy() - expected).max() < 1e-5
