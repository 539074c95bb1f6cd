"""Explorations that become hotter and more strongly biased from round to round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiida_sicmlip.science.settings import Settings, integer, number

RAMPED = ("temperature", "barrier")
"""Settings of explorations and biases that rise with the rounds."""


@dataclass(frozen=True)
class RampSettings(Settings):
    """Walkers of the first rounds: a share of their temperature and of the barrier of the bias, rising linearly."""

    PREFIX = "exploration.ramp."

    first: float = number(0.6, "share of both in round 0", above=0, at_most=1)
    rounds: int = integer(3, "number of rounds up to the first one with all of both", at_least=2)

    def share(self, round_number: int) -> float:
        """Return the share of temperature and barrier in a round, which is counted from 0."""
        if round_number >= self.rounds - 1:
            return 1.0
        return self.first + (1.0 - self.first) * round_number / (self.rounds - 1)

    def message(self, round_number: int) -> str:
        """Return what is said of a round."""
        percent = 100 * self.share(round_number)
        return f"ramp: walkers of round {round_number} have {percent:.0f} % of the temperature and the barrier"

    def scale(self, settings: Mapping[str, Any], round_number: int) -> dict[str, Any]:
        """Return settings of an exploration or a bias with temperature and barrier of a round.

        Both are scaled alike, so that the bias factor, barrier / kT, is that of the last rounds.
        """
        share = self.share(round_number)
        # Six decimals: without rounding errors, temperatures of a round that are equal are told to be.
        return {name: round(value * share, 6) if name in RAMPED else value for name, value in settings.items()}
