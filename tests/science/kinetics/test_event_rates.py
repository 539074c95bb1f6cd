"""Rates of rare events."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.kinetics.event_rates import event_rate


def test_known_intervals():
    # No event: 95 % of all outcomes with a rate of 3.00 per unit of time hold one. Ten events: Garwood's table.
    none = event_rate(0, 2.0)
    assert none.highest_rate * 2.0 == pytest.approx(-np.log(0.05))
    assert (none.rate, none.lowest_rate, none.waiting_time, none.longest_waiting_time) == (0, 0, np.inf, np.inf)
    assert none.shortest_waiting_time == pytest.approx(2.0 / 2.9957, rel=1e-4)
    ten = event_rate(10, 5.0)
    assert (ten.lowest_rate * 5, ten.highest_rate * 5) == (
        pytest.approx(4.795, abs=1e-3),
        pytest.approx(18.39, abs=1e-2),
    )
    assert ten.waiting_time == 0.5
    assert ten.shortest_waiting_time < 0.5 < ten.longest_waiting_time


@pytest.mark.parametrize("cut", [0.3, 1.0, 3.0])
def test_interval_holds_the_truth_as_often_as_it_says(cut):
    """Eight runs with a mean waiting time of 1, cut off at some time."""
    times = np.random.default_rng(6).exponential(1.0, size=(2000, 8))
    found = [event_rate(int((row < cut).sum()), float(np.minimum(row, cut).sum())) for row in times]
    assert np.mean([rate.lowest_rate <= 1.0 <= rate.highest_rate for rate in found]) >= 0.94
    events, time = sum(rate.events for rate in found), sum(rate.time for rate in found)
    assert events / time == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(("events", "time", "confidence"), [(-1, 1.0, 0.95), (1, 0.0, 0.95), (1, 1.0, 1.0)])
def test_wrong_input(events, time, confidence):
    with pytest.raises(InputError, match="give no negative number"):
        event_rate(events, time, confidence)
