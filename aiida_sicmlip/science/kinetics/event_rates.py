"""How often something happened in runs of limited length, with what such a count leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import chi2

from aiida_sicmlip.common.exceptions import InputError


@dataclass(frozen=True)
class EventRate:
    """Events per unit of time, with the lower and upper end of a confidence interval; the same as waiting times.

    Without events the rate is zero, the waiting time infinite, and the other ends are what can be said.
    """

    events: int
    time: float
    rate: float
    lowest_rate: float
    highest_rate: float

    @property
    def waiting_time(self) -> float:
        """Mean time to an event."""
        return 1 / self.rate if self.events else float("inf")

    @property
    def shortest_waiting_time(self) -> float:
        """Lower end of the interval of the waiting time."""
        return 1 / self.highest_rate

    @property
    def longest_waiting_time(self) -> float:
        """Upper end of the interval of the waiting time; infinite without events."""
        return 1 / self.lowest_rate if self.events else float("inf")


def event_rate(events: int, time: float, confidence: float = 0.95) -> EventRate:
    """Return the rate of events that happened at random, at a constant rate.

    Of runs that end with their first event or after a fixed time, give how many had one, and the time of all runs up to
    their event or end: the maximum likelihood estimate of an exponential waiting time with censored runs. The interval
    is that of Garwood, Biometrika 28, 437 (1936), exact for a fixed total time and a little too wide otherwise.

    :raises InputError: for a negative number of events, a time that is not positive, or a confidence outside 0 to 1.
    """
    if events < 0 or not time > 0 or not 0 < confidence < 1:
        raise InputError(
            f"{events} events in a time of {time} at a confidence of {confidence}: give no negative number of events, "
            "a time above zero and a confidence between 0 and 1."
        )
    outside = (1 - confidence) / 2
    lowest = chi2.ppf(outside, 2 * events) / (2 * time) if events else 0.0
    # Without events nothing is below: the whole probability lies above.
    highest = chi2.ppf(1 - (outside if events else 2 * outside), 2 * events + 2) / (2 * time)
    return EventRate(events, time, events / time, float(lowest), float(highest))
