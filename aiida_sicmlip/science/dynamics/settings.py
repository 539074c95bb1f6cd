"""Settings of a molecular dynamics exploration, and derived quantities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.brake import min_distances, temperature_bound
from aiida_sicmlip.science.pines.atoms import AROUND
from aiida_sicmlip.science.settings import Settings, choice, flag, integer, number

SAVED_STATES = 50
"""Approximate number of states saved over the production where `restart_interval` is not given."""
LONGEST_RESTART_INTERVAL = 20.0
"""Longest time in ps between two states where `restart_interval` is not given: five minutes at 6 ns a day.

A run ends normally only at a state, and has to reach the next one in the part of its walltime reserved for that.
"""


LARGEST_NUMBER_OF_FRAMES = 10_000_000
"""Frames of a run beyond which its settings are taken for a mistake; each of 62 atoms takes a kilobyte."""


@dataclass(frozen=True)
class ExplorationSettings(Settings):
    """A run at constant volume and temperature (Nose-Hoover), as in the paper: 1500 K, 1 fs, damping 0.1 ps.

    Steps and times count from the start of the production in all segments of a run.
    """

    PREFIX = "exploration.parameters."

    temperature: float = number(1500.0, "temperature of the thermostat", unit="K", above=0)
    timestep: float = number(0.001, "time step", unit="ps", above=0)
    damping: float = number(0.1, "damping time of the thermostat", unit="ps", above=0)
    equilibration: float = number(15.0, "time before frames are kept", unit="ps", at_least=0)
    production: float = number(1000.0, "time over which frames are kept", unit="ps", above=0)
    frame_interval: float = number(0.1, "time between two kept frames", unit="ps", above=0)
    temperature_deviations: float | None = number(
        10.0,
        "the run is stopped when the temperature of its production is so many standard deviations above the "
        "thermostat's T; that of N atoms is T sqrt(2 / (3 N)) (Frenkel and Smit, Understanding Molecular Simulation, "
        "section 6.1), so that 10 of them mean 2.0 T for 62 atoms and 3.2 T for 14; null for no bound",
        at_least=3,
        nullable=True,
    )
    min_distance_ratio: float | None = number(
        0.75,
        "the run is stopped when two atoms are nearer than this fraction of the sum of their covalent radii (Cordero "
        "et al., Dalton Trans. 2008, 2832): 0.75 is 1.40 A for Si-C, 1.14 A for C-C, 1.67 A for Si-Si; null for no "
        "bound",
        above=0,
        below=1,
        nullable=True,
    )
    max_disagreement: float | None = number(
        4.0,
        "a run that a committee of potentials accompanies is stopped when they disagree by more than this on the force "
        "on an atom (root mean square distance from their mean); replaced by that of `calibration` once there is one; "
        "null for no bound",
        unit="eV/A",
        above=0,
        nullable=True,
    )
    check_interval: float = number(
        0.01,
        "time between two checks of distances and disagreement; shortened where it does not divide `frame_interval`",
        unit="ps",
        above=0,
    )
    discarded_end: float = number(
        0.2,
        "time before a stop whose frames do not count: in them, the potential was failing already",
        unit="ps",
        at_least=0,
    )
    restart_interval: float | None = number(
        None,
        "time between two saved states, from which a stopped run continues; a multiple of `frame_interval`; "
        "null for about a fiftieth of the production, 20 ps at most, and no less than `bias.pace`",
        unit="ps",
        above=0,
    )
    restrained_shell: int | None = integer(
        None,
        "coordination shell of the defect whose atoms are restrained by springs to the initial structure, the third "
        "in the paper; null restrains no atom",
        at_least=1,
        limit=100,
    )
    held_around: str = choice(
        "defect", AROUND, "shells are counted around the centre of the `defect`, or around each of its `sites`"
    )
    spring_constant: float = number(10.0, "spring constant of the restrained atoms", unit="eV/A^2", above=0)
    retrieve_trajectory: bool = flag(True, "whether trajectories are retrieved from the computer and stored")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("equilibration", "production", "frame_interval"):
            self._require_whole_steps(name)
        if self.frame_interval > self.production:
            raise InputError(
                f"`{self.PREFIX}frame_interval` is {self.frame_interval!r} ps, longer than the production of "
                f"{self.production!r} ps: no frame would be kept. Make it shorter."
            )
        if self.production / self.frame_interval > LARGEST_NUMBER_OF_FRAMES:
            raise InputError(
                f"`{self.PREFIX}production` is {self.production!r} ps, which are more than "
                f"{LARGEST_NUMBER_OF_FRAMES:,} frames with a `frame_interval` of {self.frame_interval!r} ps: make the "
                "one shorter, or the other longer."
            )
        if self.restart_interval is not None:
            self._require_whole_steps("restart_interval")
            if self.steps(self.restart_interval) % self.steps(self.frame_interval):
                raise InputError(
                    f"`{self.PREFIX}restart_interval` is {self.restart_interval!r} ps, no multiple of "
                    f"`frame_interval`, {self.frame_interval!r} ps: change one of the two."
                )

    def steps(self, time: float) -> int:
        """Return the number of time steps in ``time`` ps."""
        return round(time / self.timestep)

    def maximum_temperature(self, n_atoms: int) -> float | None:
        """Return the temperature in K above which a run of so many atoms is stopped; None for no bound."""
        if self.temperature_deviations is None:
            return None
        return temperature_bound(self.temperature, n_atoms, self.temperature_deviations)

    def min_distances(self, species: Sequence[str]) -> dict[tuple[str, str], float]:
        """Return the distances in A of pairs of species below which a run is stopped; empty for no bound."""
        return {} if self.min_distance_ratio is None else min_distances(species, self.min_distance_ratio)

    @property
    def check_steps(self) -> int:
        """Number of steps between two checks, which divides that between two frames."""
        return math.gcd(max(1, self.steps(self.check_interval)), self.steps(self.frame_interval))

    def restart_steps(self, pace: float = 0.0) -> int:
        """Return the number of steps between two saved states, a multiple of the steps between two frames.

        :param pace: time between two kernels of the bias, ps; unless the interval was given, no state comes earlier.
        """
        if self.restart_interval is not None:
            return self.steps(self.restart_interval)
        between_frames = self.steps(self.frame_interval)
        interval = min(self.production / SAVED_STATES, LONGEST_RESTART_INTERVAL)
        frames = max(1, round(interval / self.timestep / between_frames))
        return max(frames, math.ceil(self.steps(pace) / between_frames)) * between_frames

    @property
    def n_frames(self) -> int:
        """Number of frames that a complete run keeps."""
        return len(self.frame_steps())

    def frame_steps(self, first: int = 0) -> np.ndarray:
        """Return the steps (F,) int64 of the frames of a complete run that continues after step ``first``.

        From the start (0) they are 0, n, 2n, ... with n the steps of ``frame_interval``; later those above ``first``. A
        run that is stopped writes the first of them.
        """
        between = self.steps(self.frame_interval)
        start = (first // between + 1) * between if first else 0
        return np.arange(start, self.steps(self.production) + 1, between, dtype=np.int64)

    def _require_whole_steps(self, name: str) -> None:
        """Raise :class:`InputError` unless time ``name`` is a whole number of steps."""
        steps = getattr(self, name) / self.timestep
        if abs(steps - round(steps)) > 1e-6 * max(1.0, steps):
            raise InputError(
                f"`{self.PREFIX}{name}` is {getattr(self, name)!r} ps, which is not a whole number of time steps "
                f"of {self.timestep!r} ps; change one of the two."
            )
