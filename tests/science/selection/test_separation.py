"""Picks of all rounds, and their distances in time."""

from __future__ import annotations

import numpy as np

from aiida_sicmlip.science.selection.picks import Picks
from tests.science.selection.test_candidates import TRAJECTORIES, Run, settings


def test_picks_of_all_rounds_are_apart_in_time() -> None:
    """Validation configurations of earlier rounds are training configurations by now, so they count as well."""
    run = Run(settings(n_candidates=200, n_validation=10))
    for _ in range(4):
        run.next()
    picks = Picks.joined([entry.selection.picks for entry in run.rounds])
    assert picks is not None
    rounds = np.repeat(np.arange(4), [len(entry.selection.picks) for entry in run.rounds])
    # Frames of earlier rounds are picked, so that there is something to keep apart.
    assert (picks.trajectory < TRAJECTORIES * rounds).sum() > 3
    for trajectory in np.unique(picks.trajectory):
        times = np.sort(picks.time[picks.trajectory == trajectory])
        assert (np.diff(times) >= 3.0).all()
