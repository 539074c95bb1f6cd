"""Settings of the bias of an exploration: OPES-Explore on collective variables, walls and restraints on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ase.units import kB

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.settings import REQUIRED, Settings, groups, integer, number, sequence
from aiida_sicmlip.science.value_tests import is_number


def _is_width(value: Any) -> bool:
    return is_number(value) and value > 0


@dataclass(frozen=True)
class WallSettings(Settings):
    """A wall: kappa ((x - at) / eps)^exponent beyond `at`, above it (upper wall) or below (lower wall)."""

    variable: int = integer(REQUIRED, "number of the collective variable, from 0", at_least=0)
    at: float = number(REQUIRED, "position of the wall")
    kappa: float = number(10.0, "energy at the distance `eps` from the wall", unit="eV", above=0)
    exponent: float = number(2.0, "exponent of the energy", at_least=1)
    eps: float = number(1.0, "distance at which the energy is `kappa`", above=0)


@dataclass(frozen=True)
class RestraintSettings(Settings):
    """A restraint: kappa/2 (x - at)^2 + slope (x - at)."""

    variable: int = integer(REQUIRED, "number of the collective variable, from 0", at_least=0)
    at: float = number(REQUIRED, "centre of the restraint")
    kappa: float = number(0.0, "force constant", unit="eV", at_least=0)
    slope: float = number(0.0, "constant slope", unit="eV")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kappa == 0 and self.slope == 0:
            raise InputError("`kappa` and `slope` are both zero: the restraint does nothing; give one of them.")


@dataclass(frozen=True)
class BiasSettings(Settings):
    """OPES-Explore on all collective variables (Invernizzi and Parrinello, JCTC 18, 3988 (2022)).

    Variables have no unit; :meth:`check` tests the conditions that depend on their number and on the run.
    """

    PREFIX = "exploration.bias."

    barrier: float = number(3.0, "highest barrier that the bias is to overcome; above kT", unit="eV", above=0)
    pace: float = number(
        0.5, "time between two kernels; no longer than the time between two saved states", unit="ps", above=0
    )
    sigma: tuple[float, ...] | None = sequence(
        None,
        "width of the kernels for each variable, in the unbiased basin; null to measure it during the run",
        "a list of positive numbers, one a variable",
        _is_width,
    )
    sigma_min: tuple[float, ...] | None = sequence(
        None,
        "minimum width for each variable; null for none",
        "a list of positive numbers, one a variable",
        _is_width,
    )
    adaptive_sigma_interval: float | None = number(
        None,
        "time over which widths are measured, where `sigma` is not given; no bias acts before it has passed; null for "
        "ten times `pace`",
        unit="ps",
        above=0,
    )
    biasfactor: float | None = number(
        None, "bias factor, by which the sampled distribution is flattened; null for barrier/kT", above=1
    )
    compression_threshold: float | None = number(
        None,
        "kernels nearer to each other than this, in units of their widths, are merged; 0 for never, null for 1",
        at_least=0,
    )
    colvar_interval: float | None = number(
        None, "time between two rows of the variables; null for that between two frames", unit="ps", above=0
    )
    upper_walls: tuple[WallSettings, ...] = groups(
        WallSettings, "walls from above; energy kappa ((x - at)/eps)^exponent"
    )
    lower_walls: tuple[WallSettings, ...] = groups(WallSettings, "walls from below, likewise")
    restraints: tuple[RestraintSettings, ...] = groups(
        RestraintSettings, "restraints; energy kappa/2 (x - at)^2 + slope (x - at)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma is not None and self.adaptive_sigma_interval is not None:
            raise InputError(
                f"`{self.PREFIX}adaptive_sigma_interval` has no meaning where `sigma` gives widths; leave one out."
            )
        if self.adaptive_sigma_interval is not None and self.adaptive_sigma_interval < self.pace:
            raise InputError(
                f"`{self.PREFIX}adaptive_sigma_interval` is {self.adaptive_sigma_interval!r} ps, shorter than `pace`, "
                f"{self.pace!r} ps; make it longer."
            )
        for width, least in zip(self.sigma or (), self.sigma_min or (), strict=False):
            if least > width:
                raise InputError(f"`{self.PREFIX}sigma_min` holds {least!r}, above the `sigma` of {width!r}.")

    def check(self, n_variables: int, exploration: ExplorationSettings) -> None:
        """Check the settings against the number of variables and the run.

        :raises InputError: naming the setting that does not fit.
        """
        kt = kB * exploration.temperature
        if self.barrier <= kt:
            raise InputError(
                f"`{self.PREFIX}barrier` is {self.barrier!r} eV, not above kT, {kt:.3f} eV at "
                f"{exploration.temperature:g} K: it needs no bias. Raise it, or leave the bias out."
            )
        for name in ("pace", "adaptive_sigma_interval", "colvar_interval"):
            time = getattr(self, name)
            if time is None:
                continue
            steps = time / exploration.timestep
            if abs(steps - round(steps)) > 1e-6 * max(1.0, steps):
                raise InputError(
                    f"`{self.PREFIX}{name}` is {time!r} ps, which is not a whole number of time steps of "
                    f"{exploration.timestep!r} ps; change one of the two."
                )
        if exploration.steps(self.pace) > exploration.restart_steps(self.pace):
            raise InputError(
                f"`{self.PREFIX}pace` is {self.pace!r} ps, longer than the "
                f"{exploration.restart_interval:g} ps between two saved states: make it shorter, or "
                f"`{exploration.PREFIX}restart_interval` longer."
            )
        for name in ("sigma", "sigma_min"):
            widths = getattr(self, name)
            if widths is not None and len(widths) != n_variables:
                raise InputError(
                    f"`{self.PREFIX}{name}` gives {len(widths)} widths for {n_variables} collective variables; give "
                    "one for each."
                )
        for name in ("upper_walls", "lower_walls", "restraints"):
            for count, entry in enumerate(getattr(self, name), start=1):
                if entry.variable >= n_variables:
                    raise InputError(
                        f"Entry {count} of `{self.PREFIX}{name}` acts on variable {entry.variable}, but there are "
                        f"{n_variables} collective variables, numbered from 0."
                    )
