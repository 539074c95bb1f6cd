"""The window of the selection: novel, but believed in; planted frames are never picked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.frames import select_frames_of_candidates
from aiida_sicmlip.science.selection.replacements import select_replacements_of_candidates
from aiida_sicmlip.science.selection.window import with_thresholds
from tests.science.selection.test_candidates import FRAMES, TRAJECTORIES, Round, Run, settings

NEW = FRAMES * TRAJECTORIES
BOUNDS = {"max_disagreement": 1.5, "max_force": 30.0}


def predictions(**changed: tuple[list[int], float]) -> tuple[np.ndarray, np.ndarray]:
    """Return disagreement and largest force of the new frames of a round: ordinary ones, but for what is given."""
    arrays = {"disagreement": np.full(NEW, 0.5), "max_force": np.full(NEW, 9.0)}
    for name, (rows, value) in changed.items():
        arrays[name][rows] = value
    return arrays["disagreement"], arrays["max_force"]


def picked(entry: Round) -> set[tuple[int, int]]:
    """Return trajectory and time of all picks."""
    picks = entry.selection.picks
    return {(int(t), int(time)) for t, time in zip(picks.trajectory, picks.time, strict=True)}


def places(rows: list[int]) -> set[tuple[int, int]]:
    """Return trajectory and time of frames of the first round."""
    return {(row // FRAMES, row % FRAMES) for row in rows}


def rows_of_picks(entry: Round) -> list[int]:
    """Return the frames of the first round that were picked for training, in their order."""
    picks = entry.selection.picks
    chosen = picks.of("training")
    return [int(FRAMES * t + time) for t, time in zip(picks.trajectory[chosen], picks.time[chosen], strict=True)]


@pytest.mark.parametrize("method", ["farthest-point", "top-k", "random"])
@pytest.mark.parametrize("kind", ["disagreement", "max_force"])
def test_frames_that_are_not_believed_in_are_never_picked(method: str, kind: str) -> None:
    """The most novel ones of all are those of a failure: without a window they come first."""
    bounds = settings(method=method, n_candidates=NEW, **BOUNDS)
    first = rows_of_picks(Run(settings(method=method, n_candidates=NEW)).next())[:5]
    beyond = {"disagreement": 3.0, "max_force": 40.0}[kind]
    entry = Run(bounds).next(predicted=predictions(**{kind: (first, beyond)}))
    assert len(rows_of_picks(entry)) == 10 and not places(first) & picked(entry)
    window = entry.selection.summary["window"]
    assert window["n_outside"] == 5
    assert (window["n_above_disagreement"], window["n_above_force"]) == ((5, 0) if kind == "disagreement" else (0, 5))
    # What is believed in is picked as among frames of which the others are no part.
    allowed = np.ones(NEW, dtype=bool)
    allowed[first] = False
    assert rows_of_picks(entry) == rows_of_picks(Run(bounds).next(allowed))


def test_a_novel_frame_that_is_believed_in_is_picked() -> None:
    """Just inside both bounds; and what is not known is inside."""
    first = rows_of_picks(Run(settings(n_candidates=NEW)).next())
    inside = predictions(disagreement=(first, 1.5), max_force=(first, 30.0))
    assert rows_of_picks(Run(settings(n_candidates=NEW, **BOUNDS)).next(predicted=inside)) == first
    unknown = predictions(disagreement=(first, np.nan), max_force=(first, np.nan))
    entry = Run(settings(n_candidates=NEW, **BOUNDS)).next(predicted=unknown)
    assert rows_of_picks(entry) == first
    assert entry.selection.summary["window"]["n_unknown"] == len(first)


def test_what_is_known_well_is_validated_on_but_not_trained_on() -> None:
    known = list(range(0, NEW, 2))
    chosen = settings(n_candidates=NEW, min_disagreement=0.2)
    entry = Run(chosen).next(predicted=predictions(disagreement=(known, 0.1)))
    assert not set(known) & set(rows_of_picks(entry))
    picks = entry.selection.picks
    validation = picks.of("validation")
    assert set(known) & {
        int(FRAMES * t + time) for t, time in zip(picks.trajectory[validation], picks.time[validation], strict=True)
    }
    assert entry.selection.summary["window"]["n_below_disagreement"] == len(known)


def test_earlier_candidates_are_predicted_by_the_potential_of_now() -> None:
    """What an earlier potential could not be believed in may be picked once a later one agrees, and the other way."""
    run = Run(settings(n_candidates=NEW, **BOUNDS))
    lost = list(range(FRAMES))
    run.next(predicted=predictions(disagreement=(lost, 3.0)))
    assert not {row // FRAMES for row in rows_of_picks(run.rounds[0])} & {0}
    entry = run.next(predicted=predictions(disagreement=(list(range(NEW)), 3.0)))
    # Of the new ones none is believed in; of the earlier ones all but those of the first trajectory.
    trajectories = set(entry.selection.picks.trajectory.tolist())
    assert trajectories and trajectories <= {1, 2, 3}
    assert entry.selection.summary["window"]["n_above_disagreement"] >= NEW


def test_both_roles_get_something_where_little_is_inside() -> None:
    inside = list(range(0, 30, 3))
    outside = [row for row in range(NEW) if row not in inside]
    entry = Run(settings(n_candidates=NEW, **BOUNDS)).next(predicted=predictions(disagreement=(outside, 9.0)))
    picks = entry.selection.picks
    assert picks.of("training").sum() >= 1 and picks.of("validation").sum() >= 1
    assert picked(entry) <= places(inside) and len(picks) <= 10


def test_nothing_is_picked_where_nothing_is_inside() -> None:
    entry = Run(settings(**BOUNDS)).next(predicted=predictions(disagreement=(list(range(NEW)), np.inf)))
    assert len(entry.selection.picks) == 0


def test_replacements_obey_the_window() -> None:
    bounds = settings(n_candidates=NEW, **BOUNDS)
    untouched = Run(bounds).next(predicted=predictions())
    picks = untouched.selection.picks
    failed = [(int(segment), int(frame)) for segment, frame in zip(picks.segment, picks.frame, strict=True)]
    found = select_replacements_of_candidates(bounds, failed[:4], picks, untouched.candidates)
    planted = [int(FRAMES * t + time) for t, time in zip(found.picks.trajectory, found.picks.time, strict=True)]
    assert len(planted) == 4
    entry = Run(bounds).next(predicted=predictions(max_force=(planted, 50.0)))
    assert picked(entry) == picked(untouched)
    other = select_replacements_of_candidates(bounds, failed[:4], entry.selection.picks, entry.candidates)
    assert len(other.picks) == 4
    times = zip(other.picks.trajectory, other.picks.time, strict=True)
    assert not {(int(trajectory), int(time)) for trajectory, time in times} & places(planted)


def test_thresholds_of_a_round_take_the_place_of_the_settings() -> None:
    run = Run(settings(n_candidates=NEW))
    entry = run.next(predicted=predictions(disagreement=(list(range(0, NEW, 2)), 1.0)))
    for nothing in (None, {}, {"max_disagreement": None, "slope": 2.0}):
        assert with_thresholds(run.settings, nothing) == run.settings
    assert entry.selection.summary["window"]["n_outside"] == 0
    strict = with_thresholds(run.settings, {"max_disagreement": 0.8})
    selection = select_frames_of_candidates(strict, 7, entry.candidates)
    assert selection.summary["window"]["max_disagreement"] == 0.8
    assert selection.summary["window"]["n_outside"] == NEW // 2
    assert (selection.picks.time.astype(int) % 2 == 1).all()


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({"max_force": -1.0}, "`thresholds` do not fit.*max_force"),
        ({"min_disagreement": 2.0, "max_disagreement": 1.0}, "not below `max_disagreement`, 1 eV/A"),
    ],
)
def test_thresholds_that_make_no_sense(thresholds: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_thresholds(settings(), thresholds)
