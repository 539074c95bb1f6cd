"""Settings of a molecular dynamics exploration, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.io.lammps_input import frame_steps
from aiida_sicmlip.science.settings import Settings


@dataclass(frozen=True)
class ExplorationSettings(Settings):
    """A run at constant volume and temperature (Nose-Hoover), as in the paper: 1500 K, 1 fs, damping 0.1 ps."""

    PREFIX = "exploration.parameters."

    temperature: float = 1500.0
    """Temperature of the thermostat in K."""
    timestep: float = 0.001
    """Time step in ps."""
    damping: float = 0.1
    """Damping time of the thermostat in ps."""
    equilibration: float = 15.0
    """Time in ps before frames are kept."""
    production: float = 1000.0
    """Time in ps over which frames are kept."""
    frame_interval: float = 0.1
    """Time between two kept frames in ps."""
    maximum_temperature_ratio: float = 5.0
    """The run is stopped when the temperature exceeds this multiple of the thermostat's: the potential has failed."""

    def __post_init__(self) -> None:
        for name in ("temperature", "timestep", "damping", "production", "frame_interval"):
            self.require_number(name, positive=True)
        self.require_number("equilibration", at_least=0)
        self.require_number("maximum_temperature_ratio", at_least=1.5)
        for name in ("equilibration", "production", "frame_interval"):
            steps = getattr(self, name) / self.timestep
            if abs(steps - round(steps)) > 1e-6 * max(1.0, steps):
                raise InputError(
                    f"`{self.PREFIX}{name}` is {getattr(self, name)!r} ps, which is not a whole number of time steps "
                    f"of {self.timestep!r} ps; change one of the two."
                )
        if self.frame_interval > self.production:
            raise InputError(
                f"`{self.PREFIX}frame_interval` is {self.frame_interval!r} ps, longer than the production of "
                f"{self.production!r} ps: no frame would be kept. Make it shorter."
            )

    def steps(self, time: float) -> int:
        """Return the number of time steps in ``time`` ps."""
        return round(time / self.timestep)

    @property
    def maximum_temperature(self) -> float:
        """Temperature in K above which a run is stopped."""
        return self.temperature * self.maximum_temperature_ratio

    @property
    def n_frames(self) -> int:
        """Number of frames that a complete run keeps."""
        return len(self.frame_steps())

    def frame_steps(self) -> np.ndarray:
        """Return the time step of each frame that a complete run keeps, (n_frames,)."""
        return frame_steps(self.steps(self.equilibration), self.steps(self.production), self.steps(self.frame_interval))
