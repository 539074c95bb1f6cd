"""Candidates and the selection on them, against a selection on all frames that is written independently here."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.candidates import (
    FramePool,
    LabelledData,
    NothingNewError,
    find_candidates,
    hold_out,
    keep_candidates,
)
from aiida_sicmlip.science.selection.candidates_file import Candidates
from aiida_sicmlip.science.selection.farthest_point import UnitRows
from aiida_sicmlip.science.selection.frames import FrameSelection, select_frames_of_candidates
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings

DIMENSION = 6
FRAMES = 60
TRAJECTORIES = 4
ATOM = Atoms("C", cell=[3, 3, 3], pbc=True)


def settings(**changes: Any) -> SelectionSettings:
    return SelectionSettings(
        **{"n_training": 10, "n_validation": 6, "n_candidates": 24, "separation": 3.0, "tolerance": 1e-9, **changes}
    )


def walks(seed: int) -> np.ndarray:
    """Descriptors of trajectories that move slowly, as those of molecular dynamics do; float32 of unit length."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(scale=0.15, size=(TRAJECTORIES, FRAMES, DIMENSION)).cumsum(axis=1)
    rows = np.abs(generator.uniform(1, 3, size=(TRAJECTORIES, 1, DIMENSION)) + steps).reshape(-1, DIMENSION)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Round:
    """One round of a run."""

    pool: FramePool
    rows: np.ndarray
    candidates: Candidates
    selection: FrameSelection
    summary: dict[str, Any]


class Run:
    """Rounds one after the other; whatever is picked for training is labelled and becomes part of the training set."""

    def __init__(self, chosen: SelectionSettings, seed: int = 0) -> None:
        self.settings = chosen
        self.seed = seed
        self.rounds: list[Round] = []

    @property
    def training(self) -> np.ndarray:
        picked = [entry.selection.picks for entry in self.rounds]
        return np.concatenate(
            [np.empty((0, DIMENSION), np.float32), *(p.descriptors[p.of("training")] for p in picked)]
        )

    def next(
        self,
        allowed: np.ndarray | None = None,
        held_out: np.ndarray | None = None,
        migrating: np.ndarray | None = None,
        predicted: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Round:
        """Return the next round; ``predicted`` are disagreement and largest force of its new frames."""
        index = len(self.rounds)
        new = walks(100 * self.seed + index)
        earlier = [entry.candidates for entry in self.rounds]
        own = np.repeat(np.arange(TRAJECTORIES), FRAMES) + TRAJECTORIES * index
        time = np.tile(np.arange(FRAMES, dtype=float), TRAJECTORIES)

        def joined(name: str, now: np.ndarray) -> np.ndarray:
            return np.concatenate([*(getattr(candidates, name) for candidates in earlier), now])

        n_earlier, count = sum(map(len, earlier)), len(new)
        rows = joined("descriptors", new)
        pool = FramePool(
            rows=UnitRows("rows", rows),
            n_earlier=n_earlier,
            trajectory=joined("trajectory", own),
            time=joined("time", time),
            allowed=np.concatenate([np.ones(n_earlier, bool), np.ones(count, bool) if allowed is None else allowed]),
            held_out=joined("held_out", np.zeros(count, bool) if held_out is None else held_out),
            migrating=joined("migrating", np.zeros(count, bool) if migrating is None else migrating),
            weights=joined("represents", np.ones(count, int)),
            keys=joined("keys", np.random.default_rng(index).random(count)),
        )
        picks = [entry.selection.picks for entry in self.rounds]
        labelled = LabelledData(self.training, np.empty((0, DIMENSION), np.float32), Picks.joined(picks))
        findings = find_candidates(
            self.settings, pool, labelled, with_fixed=index == 0 and self.settings.n_fixed_validation > 0, seed=5
        )
        chosen = findings.chosen - n_earlier
        known = None
        if predicted is not None:
            known = (joined("disagreement", predicted[0]), joined("max_force", predicted[1]))
        candidates = keep_candidates(
            findings, pool, [ATOM] * len(chosen), own[chosen], time[chosen].astype(int), predicted=known
        )
        selection = select_frames_of_candidates(self.settings, 7, candidates, earlier)
        found = Round(pool, rows, candidates, selection, findings.summary)
        self.rounds.append(found)
        return found


def brute_force(entry: Round, training: np.ndarray, chosen: SelectionSettings, allowed: np.ndarray) -> list[int]:
    """The training configurations of a round from the full matrix of distances of all its frames and candidates."""
    unit = entry.rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    known = training.astype(np.float64)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    matrix = np.round(1 - unit @ unit.T, 12)
    to_known = np.round(1 - unit @ known.T, 12).min(axis=1) if len(known) else np.full(len(unit), np.inf)
    mean = unit[entry.pool.n_earlier :].mean(axis=0)
    from_mean = np.round(1 - unit @ mean / np.linalg.norm(mean), 12)
    picked: list[int] = []

    def free(row: int) -> bool:
        if not allowed[row] or row in picked or to_known[row] < chosen.tolerance:
            return False
        trajectory, time = entry.pool.trajectory, entry.pool.time
        if any(trajectory[row] == trajectory[p] and abs(time[row] - time[p]) < chosen.separation for p in picked):
            return False
        return not any(matrix[row, p] < chosen.tolerance for p in picked)

    def measure(row: int) -> float:
        if chosen.method == "random":
            return -entry.pool.keys[row]
        if chosen.method == "top-k" or not picked:
            return to_known[row] if len(known) else from_mean[row]
        return min(to_known[row], *(matrix[row, p] for p in picked))

    while len(picked) < chosen.n_training:
        possible = [row for row in range(len(unit)) if free(row)]
        if not possible:
            break
        picked.append(max(possible, key=lambda row: (measure(row), -row)))
    return picked


def rows_of(entry: Round, role: str) -> list[int]:
    """Rows of the pool that were picked for a role, in order."""
    picks = entry.selection.picks
    where = {
        (int(trajectory), float(time)): row
        for row, (trajectory, time) in enumerate(zip(entry.pool.trajectory, entry.pool.time, strict=True))
    }
    return [where[int(picks.trajectory[k]), float(picks.time[k])] for k in np.flatnonzero(picks.of(role))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", ["farthest-point", "top-k", "random"])
def test_same_picks_as_on_all_frames(seed: int, method: str) -> None:
    """In three rounds, with a mask, a separation and candidates of earlier rounds: pick for pick."""
    run = Run(settings(method=method), seed)
    for index in range(3):
        training = run.training
        before = [entry.selection.picks for entry in run.rounds]
        allowed = np.random.default_rng(seed + index).random(FRAMES * TRAJECTORIES) < 0.8
        entry = run.next(allowed)
        # A random choice from candidates would favour what was novel once: it is from this round alone.
        mask = np.concatenate([np.full(entry.pool.n_earlier, method != "random"), allowed])
        for picks in before:
            # What was picked is not picked again, nor a frame next to it, whatever it was picked for.
            for trajectory, time in zip(picks.trajectory, picks.time, strict=True):
                mask &= (entry.pool.trajectory != trajectory) | (np.abs(entry.pool.time - time) >= 3.0)
        expected = brute_force(entry, training, run.settings, mask)
        assert rows_of(entry, "training") == expected and len(expected) == 10


def test_candidates_of_earlier_rounds_are_picked_where_they_are_newer() -> None:
    """In one of four runs at least; how many differs from run to run."""
    counts = []
    for seed in range(4):
        run = Run(settings(), seed)
        for _ in range(3):
            entry = run.next()
        counts.append(entry.selection.summary["n_from_earlier_rounds"])
        picked = [*rows_of(entry, "training"), *rows_of(entry, "validation")]
        assert counts[-1] == sum(row < entry.pool.n_earlier for row in picked)
    assert sum(counts) > 0


def test_distances_when_picked() -> None:
    """Those of farthest points fall, and are what the definition says."""
    run = Run(settings())
    run.next()
    training = run.training.astype(float)
    entry = run.next()
    picks = entry.selection.picks
    mine = np.flatnonzero(picks.of("training"))
    known = list(training)
    for k in mine:
        own = picks.descriptors[k].astype(float)
        assert picks.distance[k] == pytest.approx(
            min(1 - own @ other / np.linalg.norm(own) / np.linalg.norm(other) for other in known), abs=1e-11
        )
        known.append(own)
    assert list(picks.distance[mine]) == sorted(picks.distance[mine], reverse=True)
    assert (picks.reference_distance[mine] >= picks.distance[mine]).all()
    assert entry.selection.summary["distances_when_picked"] == list(picks.distance[mine])
    novelty = entry.selection.summary["novelty"]
    assert novelty["median"] == pytest.approx(np.median(picks.reference_distance[mine]))
    assert novelty["largest"] == picks.reference_distance[mine].max()


def test_no_frame_is_farther_than_the_covering_distance() -> None:
    run = Run(settings())
    run.next()
    training = run.training
    entry = run.next()
    kept = np.concatenate([training, entry.candidates.descriptors]).astype(float)
    new = entry.rows[entry.pool.n_earlier :].astype(float)
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    distance = (1 - new @ kept.T).min(axis=1)
    assert distance.max() == pytest.approx(entry.summary["covering_distance"], abs=1e-9)
    assert entry.candidates.represents.sum() == len(new)


def test_validation_stands_for_what_was_sampled() -> None:
    """One frame a cluster: the nearest to its centre that is free, among all frames of the first round."""
    run = Run(settings())
    entry = run.next()
    validation, training = rows_of(entry, "validation"), rows_of(entry, "training")
    assert len(validation) == 6 and not set(validation) & set(training)
    unit = entry.rows.astype(float) / np.linalg.norm(entry.rows.astype(float), axis=1, keepdims=True)
    free = np.ones(len(unit), bool)

    def take(row: int) -> None:
        same = entry.pool.trajectory == entry.pool.trajectory[row]
        free[same & (np.abs(entry.pool.time - entry.pool.time[row]) < 3.0)] = False

    for row in training:
        take(row)
    for cluster, row in zip(np.argsort(-entry.candidates.cluster_sizes, kind="stable"), validation, strict=True):
        squares = np.square(unit - entry.candidates.centres[cluster]).sum(axis=1)
        assert row == min(np.flatnonzero(free), key=lambda r: squares[r])
        take(row)
    assert entry.candidates.cluster_sizes.sum() == len(unit)


def test_clusters_are_of_all_rounds() -> None:
    """Earlier frames count with the number of those that each candidate stands for."""
    run = Run(settings())
    for index in range(3):
        entry = run.next()
        assert entry.candidates.cluster_sizes.sum() == pytest.approx((index + 1) * FRAMES * TRAJECTORIES)


def test_mini_batches_find_clusters_too() -> None:
    run = Run(settings(clustered_at_once=50))
    entry = run.next()
    exact = Run(settings()).next()
    assert entry.summary["mini_batches"] and not exact.summary["mini_batches"]
    assert entry.summary["inertia"] < 2.0 * exact.summary["inertia"]
    assert len(rows_of(entry, "validation")) == 6


def test_never_twice_in_any_round() -> None:
    run = Run(settings(n_candidates=60))
    seen = set()
    for _ in range(4):
        picks = run.next().selection.picks
        places = set(zip(picks.segment.tolist(), picks.frame.tolist(), strict=True))
        assert len(places) == len(picks) and not places & seen
        seen |= places


def test_near_duplicates_are_not_picked_again() -> None:
    """Also where a frame of another trajectory repeats a picked one but for less than the tolerance."""
    run = Run(settings(tolerance=1e-3, separation=0.0))
    for _ in range(3):
        run.next()
    rows = np.concatenate([entry.selection.picks.descriptors for entry in run.rounds]).astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distances = 1 - rows @ rows.T
    assert distances[~np.eye(len(rows), dtype=bool)].min() >= 1e-3


def test_only_this_round() -> None:
    run = Run(settings(use_earlier_rounds=False))
    run.next()
    entry = run.next()
    assert min(rows_of(entry, "training")) >= entry.pool.n_earlier


def test_held_out_trajectories_are_never_trained_on() -> None:
    chosen = settings(held_out_trajectories=2)
    trajectory = np.repeat(np.arange(TRAJECTORIES), FRAMES)
    held = hold_out(chosen, trajectory, dict.fromkeys(range(TRAJECTORIES), "vv"), seed=3)
    assert len(np.unique(trajectory[held])) == 2
    entry = Run(chosen).next(held_out=held)
    picks = entry.selection.picks
    numbers = set(np.unique(trajectory[held]).tolist())
    assert set(picks.trajectory[picks.of("validation")].tolist()) <= numbers and picks.of("validation").sum() == 6
    assert not set(picks.trajectory[picks.of("training")].tolist()) & numbers and picks.of("training").sum() == 10


def test_held_out_structures() -> None:
    chosen = settings(held_out_structures=["antisite"])
    names = {0: "vv", 1: "antisite", 2: "vv", 3: "antisite"}
    held = hold_out(chosen, np.array([0, 1, 2, 3]), names, seed=1)
    assert held.tolist() == [False, True, False, True]
    with pytest.raises(InputError, match="no frame is left to train on"):
        hold_out(chosen, np.array([1, 3]), {1: "antisite", 3: "antisite"}, seed=1)


def test_fixed_validation_is_picked_once_and_left_alone() -> None:
    run = Run(settings(n_fixed_validation=3))
    first = run.next().selection.picks
    fixed = first.of("fixed_validation")
    assert (fixed.sum(), first.of("validation").sum(), first.of("training").sum()) == (3, 6, 10)
    second = run.next().selection.picks
    assert not second.of("fixed_validation").any()
    for trajectory, time in zip(first.trajectory[fixed], first.time[fixed], strict=True):
        later = second.of("training") & (second.trajectory == trajectory)
        assert (np.abs(second.time[later] - time) >= 3.0).all()


def test_few_frames_are_shared_out() -> None:
    """Both sets get configurations where there are fewer frames than both ask for."""
    allowed = np.zeros(FRAMES * TRAJECTORIES, bool)
    allowed[:24:3] = True
    picks = Run(settings()).next(allowed).selection.picks
    assert (picks.of("training").sum(), picks.of("validation").sum()) == (5, 3)


def test_nothing_new_is_said() -> None:
    with pytest.raises(NothingNewError, match="0 have no overlapping atoms"):
        Run(settings()).next(np.zeros(FRAMES * TRAJECTORIES, bool))


def test_other_earlier_candidates_are_refused() -> None:
    run = Run(settings())
    run.next()
    entry = run.next()
    with pytest.raises(InputError, match="in the same order"):
        select_frames_of_candidates(run.settings, 1, entry.candidates, [])


def test_map_shows_most_of_the_variance() -> None:
    entry = Run(settings()).next()
    unit = entry.rows.astype(float)
    axes = entry.candidates.axes
    assert np.allclose(axes @ axes.T, np.eye(2), atol=1e-9)
    shown = (unit - unit.mean(axis=0)) @ axes.T
    total = np.square(unit - unit.mean(axis=0)).sum()
    assert np.square(shown).sum(axis=0) / total == pytest.approx(entry.summary["variance_of_map"], abs=1e-4)
    assert entry.candidates.pool_map.shape == (len(unit), 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "farthest_point"}, "give `farthest-point`, `top-k` or `random`"),
        ({"centres": "near"}, "give `defect`, `all`"),
        ({"centres": [1, 1]}, "list of different atom indices"),
        ({"centres": [0.5]}, "a list of different atom indices, from 0"),
        ({"n_candidates": 5}, r"below `n_training` \(10\)"),
        ({"held_out_structures": "vv"}, "give a list"),
        ({"use_earlier_rounds": "no"}, "true or false"),
        ({"validation_update": "keep"}, "`replace`"),
        ({"replaced_validation": "keep"}, "give `train` or `drop`"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings(**changes)


def test_settings_read_lists() -> None:
    chosen = replace(settings(), held_out_structures=["a"])
    assert chosen.held_out_structures == ("a",) and chosen.holds_out


@pytest.mark.parametrize("method", ["farthest-point", "top-k", "random"])
def test_summary_can_be_kept_as_json(method: str) -> None:
    """Without a training set some distances are infinite, which neither JSON nor a node can hold."""
    run = Run(settings(method=method))
    for _ in range(2):
        summary = json.loads(json.dumps(run.next().selection.summary, allow_nan=False))
        assert len(summary["distances_when_picked"]) == summary["n_training"]
