"""Selection of the configurations to label among the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.distributions import distribution
from aiida_sicmlip.science.selection.candidates_file import Candidates
from aiida_sicmlip.science.selection.clustering import squared_distances
from aiida_sicmlip.science.selection.counts import picks_to_ask_for
from aiida_sicmlip.science.selection.farthest_point import (
    Eligibility,
    Pick,
    UnitRows,
    blocks,
    near_in_time,
)
from aiida_sicmlip.science.selection.hop_share import choose_with_hops
from aiida_sicmlip.science.selection.picks import ROLES, Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.selection.window import BOUNDS, Window


@dataclass(frozen=True)
class FrameSelection:
    """Picked frames and a summary.

    picks: the picked frames in the order of picking, training first.
    places: for each pick the index of its round (0 for the first given) and its row among that round's candidates.
    summary: counts, the distances at which training configurations were picked, and their novelty: the distribution of
        their distances from the training set, None where there is no training set.
    """

    picks: Picks
    places: list[tuple[int, int]]
    summary: dict[str, Any]


class JoinedCandidates:
    """The candidates of all rounds, earlier rounds first, in the order in which the candidates were computed.

    Those outside the window of the settings may not be picked.
    """

    def __init__(self, settings: SelectionSettings, earlier: Sequence[Candidates], current: Candidates) -> None:
        self.rounds = [*earlier, current]
        n_earlier, expected = sum(map(len, earlier)), len(current.earlier_reference_distance)
        if n_earlier != expected:
            raise InputError(
                f"The candidates of this round were computed with {expected} earlier ones, but {n_earlier} are given: "
                "give the candidates of the same rounds, in the same order."
            )
        self.rows = UnitRows("descriptors", self.of("descriptors"))
        self.reference_distance, eligible_for_training, eligible_for_validation, *predicted = (
            np.concatenate([getattr(current, f"earlier_{name}"), getattr(current, name)])
            for name in ("reference_distance", "for_training", "for_validation", "disagreement", "max_force")
        )
        self.trajectory, self.time = self.of("trajectory"), self.of("time")
        window = Window.of(settings, predicted[0], predicted[1])
        self.for_training = eligible_for_training & window.for_training
        self.for_validation = eligible_for_validation & window.for_validation
        eligible = eligible_for_training | eligible_for_validation
        inside = self.for_training | self.for_validation
        # Bounds, and numbers of candidates that could be picked but for them.
        self.window = {
            **{name: getattr(settings, name) for name in BOUNDS},
            **window.counts(eligible),
            "n_outside": int((eligible & ~inside).sum()),
            "n_unknown": int((eligible & np.isnan(predicted[1])).sum()),
        }

    def of(self, name: str) -> np.ndarray:
        """Return an array of the candidates of all rounds."""
        return np.concatenate([getattr(candidates, name) for candidates in self.rounds])

    def place(self, row: int) -> tuple[int, int]:
        """Return the index of the round and the row in it, for a row of all candidates."""
        for index, candidates in enumerate(self.rounds):
            if row < len(candidates):
                return index, row
            row -= len(candidates)
        raise IndexError(row)


def select_frames_of_candidates(
    settings: SelectionSettings, seed: int, current: Candidates, earlier: Sequence[Candidates] = ()
) -> FrameSelection:
    """Pick training configurations by novelty, and validation configurations that represent all frames so far.

    Training: :func:`~aiida_sicmlip.science.selection.farthest_point.choose_frames` on the candidates, with the same
    result as on all frames of the round (:func:`~aiida_sicmlip.science.selection.candidates.find_candidates`).
    A share of them, and of the fixed set, is first picked among frames with migrating atoms.
    Validation: from the largest cluster to the smallest, the candidate nearest to the centre that is no duplicate and
    not within ``separation`` of a pick in the same trajectory. The fixed set, where there is one, is drawn from these
    with the seed.

    :param current: candidates of this round.
    :param earlier: candidates of the rounds before, oldest first.
    :raises InputError: when ``earlier`` are not the candidates that ``current`` was computed with.
    """
    joined = JoinedCandidates(settings, earlier, current)
    n_training, n_validation, n_fixed = (int(count) for count in current.asked)
    if joined.window["n_outside"]:
        eligible = (joined.for_training, joined.for_validation)
        n_training, n_validation, n_fixed = picks_to_ask_for(
            settings, (n_training, n_validation, n_fixed), eligible, joined.trajectory, joined.time
        )
    migrating = joined.of("migrating")
    picked = choose_with_hops(
        settings,
        joined.rows,
        joined.reference_distance,
        (n_training, n_validation, n_fixed),
        eligibility=Eligibility(
            joined.for_training, joined.trajectory, joined.time, settings.separation, settings.tolerance
        ),
        for_validation=joined.for_validation,
        migrating=migrating,
        start=current.mean,
        keys=joined.of("keys"),
    )
    training = picked.training
    representatives = _nearest_to_centres(
        settings, joined, current.centres, current.cluster_sizes, [*training, *picked.fixed]
    )
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.permutation(len(representatives))
    n_drawn = n_fixed - len(picked.fixed)
    fixed = {int(place) for place in drawn[: min(n_drawn, max(0, len(drawn) - 1))]}
    chosen = [(0, pick) for pick in training]
    chosen += [(1, pick) for place, pick in enumerate(representatives) if place not in fixed][:n_validation]
    chosen += [(2, pick) for pick in picked.fixed]
    chosen += [(2, pick) for place, pick in enumerate(representatives) if place in fixed]
    picks = picks_at(joined, chosen)
    places = [joined.place(pick.index) for _, pick in chosen]
    # Without a reference the distance of the first random pick is infinite, which the database cannot store.
    distances = [pick.distance if np.isfinite(pick.distance) else None for pick in training]
    counts = {f"n_{name}": int(picks.of(name).sum()) for name in ROLES}
    # None in the first round, where all these distances are infinite.
    novelty = distribution([pick.reference_distance for pick in training])
    summary = {
        **counts,
        "n_training_asked": settings.n_training,
        "n_validation_asked": settings.n_validation,
        "n_fixed_validation_asked": settings.n_fixed_validation if n_fixed else 0,
        "n_candidates": len(joined.rows),
        "n_with_migrating_atoms": {
            name: sum(bool(migrating[pick.index]) for of_role, pick in chosen if of_role == role)
            for role, name in enumerate(ROLES)
        },
        "n_from_earlier_rounds": sum(place[0] < len(earlier) for place in places),
        "window": joined.window,
        "method": settings.method,
        "distances_when_picked": distances,
        "novelty": novelty,
    }
    return FrameSelection(picks, places, summary)


def picks_at(joined: JoinedCandidates, chosen: Sequence[tuple[int, Pick]]) -> Picks:
    """Return the picks for chosen candidates, each given with the index of its role in :data:`ROLES`."""
    rows = np.array([pick.index for _, pick in chosen], dtype=np.int64)
    return Picks(
        role=np.array([role for role, _ in chosen], dtype=np.int64),
        segment=joined.of("segment")[rows],
        frame=joined.of("frame")[rows],
        trajectory=joined.trajectory[rows],
        time=joined.time[rows],
        distance=np.array([pick.distance for _, pick in chosen]),
        reference_distance=np.array([pick.reference_distance for _, pick in chosen]),
        descriptors=joined.of("descriptors")[rows],
    )


def _nearest_to_centres(
    settings: SelectionSettings,
    joined: JoinedCandidates,
    centres: np.ndarray,
    sizes: np.ndarray,
    training: Sequence[Pick],
) -> list[Pick]:
    """Return a candidate for each cluster, largest cluster first, with its squared distance from the centre."""
    free = joined.for_validation.copy()
    taken: list[np.ndarray] = []

    def take(row: int) -> None:
        free[row] = False
        where = (joined.trajectory[row], joined.time[row])
        free[near_in_time(joined.trajectory, joined.time, *where, settings.separation)] = False
        taken.append(joined.rows[np.array([row])][0])

    for pick in training:
        take(pick.index)
    found = []
    distances = np.concatenate([squared_distances(joined.rows[block], centres) for block in blocks(len(joined.rows))])
    for cluster in np.argsort(-sizes, kind="stable"):
        squares = distances[:, cluster]
        for row in np.argsort(squares, kind="stable"):
            if not free[row]:
                continue
            own = joined.rows[np.array([row])][0]
            if taken and 1.0 - float((np.array(taken) @ own).max()) < settings.tolerance:
                free[row] = False
                continue
            take(int(row))
            found.append(Pick(int(row), float(squares[row]), float(joined.reference_distance[row])))
            break
    return found
