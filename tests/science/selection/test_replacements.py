"""Candidates instead of frames whose labels failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.frames import FrameSelection
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.replacements import select_replacements_of_candidates
from aiida_sicmlip.science.selection.settings import SelectionSettings
from tests.graphs.selections import MadeSelection, made_selection

SETTINGS = SelectionSettings(n_training=6, n_validation=4, separation=0.5, n_candidates=60)


@pytest.fixture
def rounds(divacancy: Any) -> list[MadeSelection]:
    """Two rounds of three trajectories each."""
    found: list[MadeSelection] = []
    for _ in range(2):
        found.append(made_selection(SETTINGS, divacancy, 3, None, found))
    return found


def places(picks: Picks, role: int | None = None) -> list[tuple[int, int]]:
    """Return segment and frame of picks, of one role or of all."""
    return [
        (int(segment), int(frame))
        for segment, frame, own in zip(picks.segment, picks.frame, picks.role, strict=True)
        if role is None or own == role
    ]


def replaced(rounds: list[MadeSelection], failed: list[tuple[int, int]]) -> FrameSelection:
    """Return what is picked instead of frames of the last round."""
    *earlier, last = rounds
    return select_replacements_of_candidates(
        SETTINGS, failed, last.picks, last.candidates, [entry.candidates for entry in earlier]
    )


def test_training_picks_are_replaced_by_those_that_come_next(divacancy: Any) -> None:
    """A selection that is asked for more picks the same frames first: its further ones are the replacements."""
    settings = SelectionSettings(n_training=6, n_validation=1, separation=0.0, n_candidates=60)
    more = SelectionSettings(n_training=9, n_validation=1, separation=0.0, n_candidates=60)
    few = made_selection(settings, divacancy, 3, None, [])
    many = made_selection(more, divacancy, 3, None, [])
    assert places(many.picks, 0)[:6] == places(few.picks, 0)
    failed = [places(few.picks, 0)[index] for index in (4, 0, 2)]
    found = select_replacements_of_candidates(settings, failed, few.picks, few.candidates)
    expected = [place for place in places(many.picks, 0)[6:] if place not in places(few.picks, 1)]
    assert places(found.picks)[: len(expected)] == expected and len(expected) >= 2
    assert list(found.picks.distance) == sorted(found.picks.distance, reverse=True)


def test_replacements_are_no_picks_nor_near_them(rounds: list[MadeSelection]) -> None:
    picks = rounds[-1].picks
    failed = places(picks)[::2]
    found = replaced(rounds, failed)
    assert len(found.picks) == len(failed) == found.summary["n_failed"]
    assert [found.picks.of(name).sum() for name in ("training", "validation")] == [
        sum(place in places(picks, role) for place in failed) for role in (0, 1)
    ]
    everything = Picks.joined([picks, found.picks])
    assert everything is not None and len(set(places(everything))) == len(everything)
    for number in np.unique(everything.trajectory):
        times = np.sort(everything.time[everything.trajectory == number])
        assert (np.diff(times) >= SETTINGS.separation - 1e-9).all()


def test_representative_is_of_the_cluster_of_what_it_replaces(rounds: list[MadeSelection]) -> None:
    """No free candidate is nearer to the centre that is nearest to the failed one."""
    last = rounds[-1]
    centres = last.candidates.centres
    for place in places(last.picks, 1):
        row = places(last.picks).index(place)
        own = last.picks.descriptors[row].astype(float)
        centre = centres[np.argmin(np.square(centres - own / np.linalg.norm(own)).sum(axis=1))]
        found = replaced(rounds, [place]).picks
        assert len(found) == 1 and found.role[0] == 1
        new = found.descriptors[0].astype(float)
        squared = np.square(new / np.linalg.norm(new) - centre).sum()
        assert found.distance[0] == pytest.approx(squared)
        apart = np.ones(len(last.candidates), dtype=bool)
        for trajectory, time in zip(last.picks.trajectory, last.picks.time, strict=True):
            same = last.candidates.trajectory == trajectory
            apart &= ~(same & (np.abs(last.candidates.time - time) < SETTINGS.separation))
        apart &= last.candidates.for_validation
        others = last.candidates.descriptors[apart].astype(float)
        others /= np.linalg.norm(others, axis=1, keepdims=True)
        assert squared <= np.square(others - centre).sum(axis=1).min() + 1e-9


def test_same_failures_give_the_same_replacements(rounds: list[MadeSelection]) -> None:
    failed = places(rounds[-1].picks)[:3]
    assert places(replaced(rounds, failed).picks) == places(replaced(rounds, failed).picks)


def test_fewer_replacements_than_failures_where_little_is_left(divacancy: Any) -> None:
    """With eight frames that may be picked at all, two are left for three failures."""
    settings = SelectionSettings(n_training=4, n_validation=2, separation=0.0, n_candidates=20)
    few = made_selection(settings, divacancy, 1, [(0, index) for index in range(0, 24, 3)], [])
    assert len(few.picks) == 6
    found = select_replacements_of_candidates(settings, places(few.picks)[:3], few.picks, few.candidates)
    assert len(found.picks) == 2


def test_frame_that_was_not_picked_is_refused(rounds: list[MadeSelection]) -> None:
    with pytest.raises(InputError, match="Frame 999 of segment 3 is none of the"):
        replaced(rounds, [(3, 999)])
