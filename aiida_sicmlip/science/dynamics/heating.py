"""What a bias does to a run besides biasing it: energy that its time steps add, and atoms that it heats.

The force of a bias on sorted distances jumps where two of them exchange their order. Steps across such jumps do not
conserve energy: the atoms of the variables are heated, and the thermostat cools all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase.units import kB

from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

BLOCKS = 10
"""Blocks of a run between which errors are estimated."""
LARGEST_DIFFERENCE = 0.02
"""Largest difference of the two temperatures, as a fraction, that goes without a warning: 2 % at 1500 K change a rate
over 3 eV by a factor of 1.6."""
LARGEST_GAIN = 0.01
"""Largest energy gained in one damping time of the thermostat, as a fraction of the kinetic energy, that goes without a
warning."""
_Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error, None where there are too few values for it."""

    value: float
    error: float | None

    def __str__(self) -> str:
        return f"{self.value:.4g}" if self.error is None else f"{self.value:.4g} ± {self.error:.2g}"


@dataclass(frozen=True)
class Heating:
    """Temperatures and drift of a production run; None where the run does not tell.

    biased: temperature of the atoms of the variables, K.
    others: temperature of all other atoms, K.
    drift: energy (eV/ps) that the time steps add to potential, springs, bias, kinetic energy and thermostat together,
        which exact dynamics conserve. Rows between which the bias changes by a kernel are left out.
    drift_time: length of what it is taken from, ps.
    """

    biased: Mean | None = None
    others: Mean | None = None
    drift: Mean | None = None
    drift_time: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def warnings(self, settings: ExplorationSettings, n_atoms: int) -> list[str]:
        """Return what exceeds :data:`LARGEST_DIFFERENCE` and :data:`LARGEST_GAIN` by three standard errors or more.

        A run that is too short for an error gives no warning.
        """
        found = []
        if self.biased and self.others and self.biased.error is not None and self.others.error is not None:
            difference = self.biased.value - self.others.value
            error = np.hypot(self.biased.error, self.others.error)
            if difference - 3 * error > LARGEST_DIFFERENCE * settings.temperature:
                found.append(
                    f"the atoms of the variables are {difference:.0f} ± {error:.0f} K hotter than the others: the bias "
                    "heats them, and rates and weights are not those of the thermostat's temperature"
                )
        if self.drift and self.drift.error is not None:
            kinetic_energy = 1.5 * n_atoms * kB * settings.temperature
            largest = LARGEST_GAIN * kinetic_energy / settings.damping
            if self.drift.value - 3 * self.drift.error > largest:
                found.append(
                    f"the time steps add {self.drift} eV/ps, above {largest:.2g} eV/ps ({LARGEST_GAIN:.0%} of the "
                    "kinetic energy in a damping time of the thermostat): shorten `timestep`"
                )
        return found


def heating(segments: Sequence[tuple[_Arrays, _Arrays]], timestep: float, pace: int | None = None) -> Heating:
    """Return temperatures and drift of the segments of a run.

    :param segments: `step`, `production`, `conserved_energy` (eV) and, where there are any, `spring_energy` (eV),
        `biased_temperature` and `others_temperature` (K) of the rows of each log, (L,); and `time` (ps) and `bias`
        (eV) of the rows of its variables, (F,), nothing for an unbiased run.
    :param timestep: in ps.
    :param pace: steps between two kernels; None where the bias is static.
    """
    temperatures: dict[str, list[np.ndarray]] = {"biased_temperature": [], "others_temperature": []}
    gains, lengths = [], []
    for thermodynamics, variables in segments:
        if not len(thermodynamics.get("step", ())):
            continue
        rows = np.asarray(thermodynamics["production"], dtype=bool)
        for name, columns in temperatures.items():
            if name in thermodynamics:
                columns.append(thermodynamics[name][rows])
        if "conserved_energy" in thermodynamics:
            steps, energies = _conserved(
                {name: column[rows] for name, column in thermodynamics.items()}, variables, timestep
            )
            gain, length = _gains(steps, energies, pace)
            gains.append(gain)
            lengths.append(length * timestep)
    gain, length = (np.concatenate(parts) if parts else np.zeros(0) for parts in (gains, lengths))
    return Heating(
        biased=_mean(temperatures["biased_temperature"]),
        others=_mean(temperatures["others_temperature"]),
        drift=_ratio(gain, length),
        drift_time=float(length.sum()),
    )


def _conserved(thermodynamics: _Arrays, variables: _Arrays, timestep: float) -> tuple[np.ndarray, np.ndarray]:
    """Return steps, and the energy (eV) that exact dynamics conserve between two kernels."""
    steps = np.asarray(thermodynamics["step"], dtype=np.int64)
    energies = thermodynamics["conserved_energy"] + thermodynamics.get("spring_energy", 0.0)
    if len(variables.get("time", ())):
        steps_of_bias = np.round(variables["time"] / timestep).astype(np.int64)
        _, rows, rows_of_bias = np.intersect1d(steps, steps_of_bias, return_indices=True)
        steps, energies = steps[rows], energies[rows] + variables["bias"][rows_of_bias]
    return steps, energies


def _gains(steps: np.ndarray, energies: np.ndarray, pace: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return what the energy gains from row to row, and the steps between these, where no kernel comes in between.

    The bias of a step is written before the kernel of that step is laid.
    """
    first, second = steps[:-1], steps[1:]
    kept = np.isfinite(energies[:-1]) & np.isfinite(energies[1:]) & (second > first)
    if pace is not None:
        kept &= -(-first // pace) * pace >= second
    return np.diff(energies)[kept], (second - first)[kept].astype(float)


def _ratio(parts: np.ndarray, weights: np.ndarray) -> Mean | None:
    """Return the sum of the parts (K,) divided by that of their weights (K,), with the error between blocks."""
    if not len(parts):
        return None
    value = float(parts.sum() / weights.sum())
    if len(parts) < 2 * BLOCKS:
        return Mean(value, None)
    ratios = [
        part.sum() / weight.sum()
        for part, weight in zip(np.array_split(parts, BLOCKS), np.array_split(weights, BLOCKS), strict=True)
    ]
    return Mean(value, float(np.std(ratios, ddof=1) / np.sqrt(BLOCKS)))


def _mean(parts: Sequence[np.ndarray]) -> Mean | None:
    """Return the mean of all values that are finite, with the error between blocks."""
    values = np.concatenate(parts) if parts else np.zeros(0)
    values = values[np.isfinite(values)]
    return _ratio(values, np.ones(len(values)))
