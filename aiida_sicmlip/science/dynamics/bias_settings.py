"""Settings of the bias of an exploration: OPES-Explore on collective variables, walls and restraints on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ase.units import kB

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.settings import Settings, SettingsType


@dataclass(frozen=True)
class WallSettings(Settings):
    """A wall: kappa ((x - at) / eps)^exponent beyond `at`, above it (upper wall) or below (lower wall)."""

    variable: int = 0
    """Number of the collective variable, from 0."""
    at: float = 0.0
    """Where the wall begins."""
    kappa: float = 10.0
    """Energy in eV at the distance `eps` from the wall's beginning."""
    exponent: float = 2.0
    """How the energy grows."""
    eps: float = 1.0
    """Distance at which the energy is `kappa`."""

    def __post_init__(self) -> None:
        self.require_number("variable", integer=True, at_least=0)
        self.require_number("at")
        self.require_number("exponent", at_least=1)
        for name in ("kappa", "eps"):
            self.require_number(name, positive=True)


@dataclass(frozen=True)
class RestraintSettings(Settings):
    """A restraint: kappa/2 (x - at)^2 + slope (x - at)."""

    variable: int = 0
    """Number of the collective variable, from 0."""
    at: float = 0.0
    """Where the restraint draws to."""
    kappa: float = 0.0
    """Force constant in eV."""
    slope: float = 0.0
    """Constant slope in eV."""

    def __post_init__(self) -> None:
        self.require_number("variable", integer=True, at_least=0)
        for name in ("at", "slope"):
            self.require_number(name)
        self.require_number("kappa", at_least=0)
        if self.kappa == 0 and self.slope == 0:
            raise InputError("`kappa` and `slope` are both zero: the restraint does nothing; give one of them.")


@dataclass(frozen=True)
class BiasSettings(Settings):
    """OPES-Explore on all collective variables (Invernizzi and Parrinello, JCTC 18, 3988 (2022)).

    Variables have no unit; :meth:`check` holds what depends on their number and on the run.
    """

    PREFIX = "exploration.bias."

    barrier: float = 3.0
    """Highest barrier in eV that the bias shall overcome; above kT."""
    pace: float = 0.5
    """Time in ps between two kernels; no longer than the time between two saved states."""
    sigma: list[float] | None = None
    """Width of the kernels for each variable, in the unbiased basin. By default measured as the run goes."""
    sigma_min: list[float] | None = None
    """Least width for each variable. By default none."""
    adaptive_sigma_interval: float | None = None
    """Time in ps over which widths are measured; no bias acts before it has passed. By default ten times `pace`. Only
    where `sigma` is not given."""
    biasfactor: float | None = None
    """How much flatter the sampled distribution is made, above 1. By default barrier/kT."""
    compression_threshold: float | None = None
    """Kernels nearer to each other than this, in units of their widths, are merged; 0 for never. By default 1."""
    colvar_interval: float | None = None
    """Time in ps between two rows of the variables. By default that between two frames."""
    upper_walls: tuple[WallSettings, ...] = ()
    """Walls from above: `variable`, `at`, `kappa` (eV), `exponent` (2), `eps` (1) each; energy
    kappa ((x - at)/eps)^exponent."""
    lower_walls: tuple[WallSettings, ...] = ()
    """Walls from below, likewise."""
    restraints: tuple[RestraintSettings, ...] = ()
    """Restraints: `variable`, `at`, `kappa` (eV), `slope` (eV, 0) each; energy kappa/2 (x - at)^2 + slope (x - at)."""

    def __post_init__(self) -> None:
        for name in ("barrier", "pace"):
            self.require_number(name, positive=True)
        for name in ("adaptive_sigma_interval", "colvar_interval"):
            if getattr(self, name) is not None:
                self.require_number(name, positive=True)
        for name in ("sigma", "sigma_min"):
            self._require_widths(name)
        if self.biasfactor is not None:
            self.require_number("biasfactor")
        if self.biasfactor is not None and not 1 < self.biasfactor < float("inf"):
            raise InputError(f"`{self.PREFIX}biasfactor` is {self.biasfactor!r}; give a finite number above 1.")
        if self.compression_threshold is not None:
            self.require_number("compression_threshold", at_least=0)
        if self.sigma is not None and self.adaptive_sigma_interval is not None:
            raise InputError(
                f"`{self.PREFIX}adaptive_sigma_interval` has no meaning where `sigma` gives widths; leave one out."
            )
        if self.adaptive_sigma_interval is not None and self.adaptive_sigma_interval < self.pace:
            raise InputError(
                f"`{self.PREFIX}adaptive_sigma_interval` is {self.adaptive_sigma_interval!r} ps, shorter than `pace`, "
                f"{self.pace!r} ps; make it longer."
            )
        self._read_entries("upper_walls", WallSettings)
        self._read_entries("lower_walls", WallSettings)
        self._read_entries("restraints", RestraintSettings)

    def check(self, n_variables: int, exploration: ExplorationSettings) -> None:
        """Check the settings against the number of variables and the run.

        :raises InputError: saying which setting does not fit.
        """
        kt = kB * exploration.temperature
        if self.barrier <= kt:
            raise InputError(
                f"`{self.PREFIX}barrier` is {self.barrier!r} eV, not above kT, {kt:.3f} eV at "
                f"{exploration.temperature:g} K: heat alone overcomes it. Raise it, or leave the bias out."
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
        if exploration.steps(self.pace) > exploration.restart_steps:
            raise InputError(
                f"`{self.PREFIX}pace` is {self.pace!r} ps, longer than the "
                f"{exploration.restart_steps * exploration.timestep:g} ps between two saved states: make it shorter, "
                f"or `{exploration.PREFIX}restart_interval` longer."
            )
        for name in ("sigma", "sigma_min"):
            widths = getattr(self, name)
            if widths is not None and len(widths) != n_variables:
                raise InputError(
                    f"`{self.PREFIX}{name}` gives {len(widths)} widths for {n_variables} collective variables; give "
                    "one for each."
                )
        for name in ("upper_walls", "lower_walls", "restraints"):
            for number, entry in enumerate(getattr(self, name), start=1):
                if entry.variable >= n_variables:
                    raise InputError(
                        f"Entry {number} of `{self.PREFIX}{name}` acts on variable {entry.variable}, but there are "
                        f"{n_variables} collective variables, numbered from 0."
                    )

    def _require_widths(self, name: str) -> None:
        """Raise :class:`InputError` unless field ``name`` is None or a list of positive numbers."""
        widths = getattr(self, name)
        if widths is None:
            return
        good = isinstance(widths, Sequence) and not isinstance(widths, str) and len(widths)
        if not good or not all(
            isinstance(width, (int, float)) and not isinstance(width, bool) and 0 < width < float("inf")
            for width in widths
        ):
            raise InputError(f"`{self.PREFIX}{name}` is {widths!r}; give a list of positive numbers, one a variable.")
        if name == "sigma_min" and self.sigma is not None and len(self.sigma) == len(widths):
            for width, least in zip(self.sigma, widths, strict=True):
                if least > width:
                    raise InputError(f"`{self.PREFIX}sigma_min` holds {least!r}, above the `sigma` of {width!r}.")

    def _read_entries(self, name: str, kind: type[SettingsType]) -> None:
        """Replace the mappings of field ``name`` by settings of their own."""
        entries = getattr(self, name)
        if isinstance(entries, (str, Mapping)) or not isinstance(entries, Sequence):
            raise InputError(f"`{self.PREFIX}{name}` is {entries!r}; give a list of mappings.")
        read = tuple(self._read_entry(name, kind, number, entry) for number, entry in enumerate(entries, start=1))
        # The class is frozen for its users; this is still its construction.
        object.__setattr__(self, name, read)

    def _read_entry(self, name: str, kind: type[SettingsType], number: int, entry: Any) -> SettingsType:
        where = f"Entry {number} of `{self.PREFIX}{name}`"
        if isinstance(entry, kind):
            return entry
        if not isinstance(entry, Mapping):
            raise InputError(f"{where} is {entry!r}; give a mapping with `variable`, `at` and so on.")
        for key in ("variable", "at"):
            if key not in entry:
                raise InputError(f"{where} lacks `{key}`; add it.")
        try:
            return kind.from_mapping(entry)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
