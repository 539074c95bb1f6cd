"""Hops followed piece by piece are those that are found in all frames at once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hop_stream import follow_hops
from aiida_sicmlip.science.defects.hops import Hops, count_hops
from tests.crystals import silicon_carbide_host

HOST = silicon_carbide_host()
DIVACANCY = build_defects(HOST, [{"kind": "divacancy"}], 0)


def pieces(positions: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for begin in range(0, len(positions), size):
        yield positions[begin : begin + size]


def random_walk(n_frames: int, sigma: float, seed: int, every: int = 60) -> np.ndarray:
    """Frames of a crystal in which a neighbour of a vacancy moves into it every so many frames, straight and slowly.

    Atoms vibrate independently; each frame is a new draw.
    """
    generator = np.random.default_rng(seed)
    atoms = DIVACANCY.atoms
    positions = np.repeat(atoms.positions[None], n_frames, axis=0)
    vacant = np.array([site["position"] for site in DIVACANCY.sites])
    for begin in range(every, n_frames - 20, every):
        hole = int(generator.integers(len(vacant)))
        here = positions[begin].copy()
        ways, lengths = find_mic(vacant[hole] - here, HOST.cell)
        atom = int(np.argsort(lengths)[generator.integers(4)])
        steps = np.minimum(np.arange(n_frames - begin) / 15, 1.0)[:, None]
        vacant[hole] = here[atom]
        positions[begin:, atom] = here[atom] + steps * ways[atom]
    return positions + generator.normal(0.0, sigma, positions.shape)


def same(hops: Hops, expected: Hops) -> None:
    assert hops.events.tolist() == expected.events.tolist()
    assert hops.first_sites.tolist() == expected.first_sites.tolist()
    assert hops.last_sites.tolist() == expected.last_sites.tolist()
    assert (hops.n_frames, hops.n_sites) == (expected.n_frames, expected.n_sites)


@pytest.mark.parametrize("kind", ["unwrapped", "wrapped", "drifting", "strained and turned"])
@pytest.mark.parametrize("sigma", [0.1, 0.2])
def test_pieces_give_what_the_whole_gives(kind: str, sigma: float) -> None:
    positions = random_walk(1500, sigma, seed=int(100 * sigma))
    cell = HOST.cell.array
    if kind == "wrapped":
        positions = (positions @ np.linalg.inv(cell) % 1.0) @ cell
    elif kind == "drifting":
        positions += np.linspace(0, 1, len(positions))[:, None, None] * [12.0, -7.0, 3.0]
    elif kind == "strained and turned":
        turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
        turn *= np.linalg.det(turn)
        strain = np.diag([1.02, 0.99, 1.01]) @ turn
        positions, cell = positions @ strain, cell @ strain
    single = positions.astype(np.float32)
    expected = count_hops(single, cell, HOST, DIVACANCY.atoms.get_chemical_symbols())
    assert expected.n_hops >= 20
    for size in (37, 256):
        same(follow_hops(pieces(single, size), cell, HOST, DIVACANCY.atoms.get_chemical_symbols()), expected)


def test_an_interstitial_is_followed() -> None:
    """It comes from no site, passes a while as an interstitial, and ends in a vacancy many pieces later."""
    atoms = build_defects(HOST, [{"kind": "vacancy", "species": "C"}], 0)
    structure = atoms.atoms + Atoms("C", [[2.208, 2.208, 2.208]])
    way = find_mic(np.array(atoms.sites[0]["position"]) - structure.positions[-1], HOST.cell)[0]
    positions = np.repeat(structure.positions[None], 200, axis=0)
    positions[:, -1] += np.clip(np.arange(200) - 100, 0, 80)[:, None] / 80 * way
    positions += np.random.default_rng(2).normal(0.0, 0.05, positions.shape)
    species = structure.get_chemical_symbols()
    expected = count_hops(positions, HOST.cell.array, HOST, species)
    assert expected.first_sites[-1] == -1 and expected.last_sites[-1] == atoms.sites[0]["site"]
    same(follow_hops(pieces(positions, 20), HOST.cell.array, HOST, species), expected)


def test_there_must_be_a_frame() -> None:
    with pytest.raises(InputError, match="no frame"):
        follow_hops(iter(()), HOST.cell.array, HOST, DIVACANCY.atoms.get_chemical_symbols())


def test_a_hundred_thousand_frames_take_seconds() -> None:
    """As many as a long walker keeps; a piece without hops, as most are, many times over. A parser can afford that."""
    piece = np.float32(DIVACANCY.atoms.positions + np.random.default_rng(3).normal(0.0, 0.13, (256, 214, 3)))
    begin = time.process_time()
    hops = follow_hops((piece for _ in range(40)), HOST.cell.array, HOST, DIVACANCY.atoms.get_chemical_symbols())
    assert hops.n_frames == 10240 and hops.n_hops == 0
    assert time.process_time() - begin < 1.0
