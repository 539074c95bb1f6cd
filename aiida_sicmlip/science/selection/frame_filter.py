"""Filter of the frames of an exploration: unphysical frames of a failing potential are not labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import Settings, number

COLUMNS = ("potential_energy", "min_distance", "max_force")
"""Quantities of each frame that the filter uses: eV, A, eV/A."""


@dataclass(frozen=True)
class FrameFilterSettings(Settings):
    """Bounds of frames that may be labelled. Frames with a number that is not finite are always left out."""

    PREFIX = "exploration.filter."

    min_distance: float | None = number(
        None, "frames with two atoms nearer than this are left out; null for no bound", unit="A", above=0
    )
    max_force: float | None = number(
        None,
        "frames with a larger force of the potential on an atom are left out; null for no bound",
        unit="eV/A",
        above=0,
    )
    energy_window: float | None = number(
        None,
        "frames whose potential energy per atom differs from the run's median by more than this are left out, in both "
        "directions: a failing potential often predicts energies that are much too low; null for no bound",
        unit="eV/atom",
        above=0,
    )


def filter_frames(
    settings: FrameFilterSettings, thermodynamics: Mapping[str, np.ndarray], n_atoms: int
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the indices of the frames to keep, (K,) int64 ascending, and how many were left out for each reason.

    A frame counts for the first reason that applies: `not_finite`, `min_distance`, `max_force`, `energy_window`. The
    median of the energy is that of the frames to which none of the reasons before applies.

    :param thermodynamics: `potential_energy` (eV), `min_distance` (A) and `max_force` (eV/A) of the same
        frames, (F,) each.
    :raises InputError: when one of them is missing, or they differ in length.
    """
    missing = [name for name in COLUMNS if name not in thermodynamics]
    if missing:
        raise InputError(f"The frames lack {', '.join(missing)}: these columns of the log are needed to filter them.")
    energy, distance, force = (np.asarray(thermodynamics[name], dtype=np.float64) for name in COLUMNS)
    if not energy.shape == distance.shape == force.shape or energy.ndim != 1:
        raise InputError(
            f"The columns have the shapes {energy.shape}, {distance.shape}, {force.shape}; give (F,) each."
        )
    if n_atoms < 1:
        raise InputError(f"`n_atoms` is {n_atoms}: give the number of atoms of the structure.")

    kept = np.isfinite(energy) & np.isfinite(distance) & np.isfinite(force)
    counts = {"not_finite": int((~kept).sum())}

    def leave_out(reason: str, spoilt: np.ndarray) -> None:
        nonlocal kept
        counts[reason] = int((kept & spoilt).sum())
        kept = kept & ~spoilt

    nobody = np.zeros(len(energy), dtype=bool)
    leave_out("min_distance", nobody if settings.min_distance is None else distance < settings.min_distance)
    leave_out("max_force", nobody if settings.max_force is None else force > settings.max_force)
    if settings.energy_window is None or not kept.any():
        leave_out("energy_window", nobody)
    else:
        away = np.abs(energy - np.median(energy[kept])) / n_atoms
        leave_out("energy_window", away > settings.energy_window)
    return np.flatnonzero(kept).astype(np.int64), counts
