"""Share of the picks that has migrating atoms, in runs of made-up descriptors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_sicmlip.science.selection.picks import ROLES
from tests.science.selection.test_candidates import FRAMES, TRAJECTORIES, Round, Run, brute_force, rows_of, settings


def flagged(*rows: int) -> np.ndarray:
    """Return flags of frames with migrating atoms."""
    flags = np.zeros(FRAMES * TRAJECTORIES, bool)
    flags[list(rows)] = True
    return flags


def with_hops(entry: Round, role: str) -> list[bool]:
    """Return which picks of a role have migrating atoms, in their order."""
    return [bool(entry.pool.migrating[row]) for row in rows_of(entry, role)]


def test_frames_with_hops_get_their_share() -> None:
    """Of 10 training and 5 fixed configurations 4 and 2; without a share nobody asks for them."""
    migrating = flagged(*range(5, 240, 12))
    entry = Run(settings(n_fixed_validation=5, hop_share=0.4)).next(migrating=migrating)
    assert with_hops(entry, "training")[:4] == [True] * 4 and len(with_hops(entry, "training")) == 10
    assert with_hops(entry, "fixed_validation")[:2] == [True] * 2 and len(with_hops(entry, "fixed_validation")) == 5
    counted = {role: sum(with_hops(entry, role)) for role in ROLES}
    assert entry.selection.summary["n_with_migrating_atoms"] == counted
    plain = Run(settings(n_fixed_validation=5)).next()
    same = Run(settings(n_fixed_validation=5)).next(migrating=migrating)
    assert np.array_equal(plain.selection.picks.frame, same.selection.picks.frame)


@pytest.mark.parametrize("seed", range(3))
def test_share_is_what_a_selection_among_frames_with_hops_alone_picks(seed: int) -> None:
    migrating = flagged(*range(5, 240, 12))
    run = Run(settings(hop_share=0.4), seed)
    entry = run.next(migrating=migrating)
    few = replace(run.settings, n_training=4)
    picked = rows_of(entry, "training")
    assert picked[:4] == brute_force(entry, run.training[:0], few, migrating)
    for number in range(TRAJECTORIES):
        times = np.sort(entry.pool.time[[row for row in picked if entry.pool.trajectory[row] == number]])
        assert (np.diff(times) >= 3.0).all()
    assert len(set(picked)) == 10


@pytest.mark.parametrize(("n_hops", "training", "fixed"), [(0, 0, 0), (1, 1, 0), (3, 2, 1), (12, 5, 5)])
def test_few_hops_are_dealt_out_evenly(n_hops: int, training: int, fixed: int) -> None:
    """As many frames as are asked for are picked, however few of them have hops."""
    migrating = flagged(*(20 * np.arange(n_hops) + 1))
    entry = Run(settings(n_fixed_validation=10, n_validation=2, hop_share=0.5)).next(migrating=migrating)
    assert len(with_hops(entry, "training")) == 10 and len(with_hops(entry, "fixed_validation")) == 10
    assert sum(with_hops(entry, "training")[:5]) == training
    assert with_hops(entry, "fixed_validation")[:fixed] == [True] * fixed


@pytest.mark.parametrize("method", ["farthest-point", "top-k", "random"])
def test_hops_of_later_rounds_and_of_held_out_trajectories(method: str) -> None:
    """Each round gets its share; held-out trajectories are never trained on."""
    run = Run(settings(method=method, hop_share=0.3, n_fixed_validation=4))
    for _ in range(2):
        assert with_hops(run.next(migrating=flagged(*range(0, 240, 9))), "training")[:3] == [True] * 3
    held = np.repeat(np.arange(TRAJECTORIES) < 2, FRAMES)
    chosen = settings(method=method, hop_share=0.5, n_fixed_validation=4, held_out_trajectories=2)
    entry = Run(chosen).next(held_out=held, migrating=flagged(*range(0, 240, 5)))
    assert with_hops(entry, "training")[:5] == [True] * 5
    assert with_hops(entry, "fixed_validation")[:2] == [True] * 2
    assert not entry.pool.held_out[rows_of(entry, "training")].any()
    assert entry.pool.held_out[rows_of(entry, "fixed_validation")].all()
