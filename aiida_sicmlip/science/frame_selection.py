"""Which frames of the new trajectories are worth labelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.crystals import overlapping_pairs
from aiida_sicmlip.science.descriptors import averaged_soap
from aiida_sicmlip.science.selection import Pick, farthest_point, split_training_validation
from aiida_sicmlip.science.settings import Settings


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """How many frames are picked each round, and what makes two of them different."""

    PREFIX = "selection.parameters."

    n_training: int = 300
    """New training configurations a round."""
    n_validation: int = 100
    """New validation configurations a round."""
    separation: float = 0.1
    """Two picks of one trajectory are at least so far apart in ps, so that a validation frame is never the neighbour in
    time of a training frame."""
    cutoff: float = 5.0
    """Radius of SOAP's local environments in A."""
    n_max: int = 8
    """Number of SOAP's radial functions."""
    l_max: int = 6
    """Highest degree of SOAP's spherical harmonics."""
    sigma: float = 0.5
    """Width of SOAP's Gaussians in A."""
    tolerance: float = 1e-10
    """Frames closer than this (1 - kernel) to one that is labelled or picked are duplicates and never picked."""
    overlap_fraction: float = 0.5
    """A frame in which two atoms are closer than this fraction of the sum of their covalent radii is not picked."""

    def __post_init__(self) -> None:
        for name in ("n_training", "n_validation", "n_max"):
            self.require_number(name, positive=True, integer=True)
        self.require_number("l_max", integer=True, at_least=0)
        self.require_number("cutoff", at_least=1.5)
        self.require_number("sigma", positive=True)
        for name in ("separation", "tolerance", "overlap_fraction"):
            self.require_number(name, at_least=0)

    @property
    def n_picks(self) -> int:
        """Number of frames picked a round."""
        return self.n_training + self.n_validation

    def largest_count(self, frames_of_segments: Sequence[int], frame_interval: float) -> int:
        """Return how many frames can be picked at most from segments of so many frames, ``frame_interval`` ps apart."""
        apart = self.frames_apart(frame_interval)
        return sum(-(-count // apart) for count in frames_of_segments)

    def frames_apart(self, frame_interval: float) -> int:
        """Return the least difference of frame indices of two picks of one trajectory."""
        return max(1, int(np.ceil(self.separation / frame_interval - 1e-9)))


def require_enough_frames(
    settings: SelectionSettings, frames_of_segments: Sequence[int], frame_interval: float
) -> None:
    """Raise :class:`InputError` if a round asks for more frames than its exploration can give."""
    available = settings.largest_count(frames_of_segments, frame_interval)
    if settings.n_picks > available:
        raise InputError(
            f"`selection.parameters` asks for {settings.n_training} training and {settings.n_validation} validation "
            f"frames a round, but exploration gives {sum(frames_of_segments)} frames, of which at most {available} are "
            f"{settings.separation:g} ps apart. Explore longer, with more walkers, keep frames more often, or ask for "
            "less."
        )


@dataclass(frozen=True)
class FrameSelection:
    """Picked frames as (segment, frame) pairs with their distance when picked, and a summary."""

    training: list[tuple[int, int, float]]
    validation: list[tuple[int, int, float]]
    summary: dict[str, Any]


def select_frames_of_segments(
    settings: SelectionSettings,
    seed: int,
    segments: Sequence[Sequence[Atoms]],
    frame_interval: float,
    labelled: Sequence[Atoms] = (),
    *,
    continues: Sequence[bool] | None = None,
    kept: Sequence[np.ndarray | None] | None = None,
) -> FrameSelection:
    """Pick the frames that differ most from everything labelled and from each other, and share them out.

    Averaged SOAP and greedy farthest-point selection; a seeded draw decides which picks become validation, so that
    both sets follow the same distribution. Cost: descriptors of all frames, then frames x picks.

    :param segments: frames of each trajectory, in order.
    :param frame_interval: time between two frames in ps.
    :param labelled: configurations that already have labels, of training and validation.
    :param continues: whether each segment goes on where the one before it ended; none does by default.
    :param kept: frames of each segment that pass a filter, (K,) indices; ``None`` where all do.
    """
    pool = [frame for segment in segments for frame in segment]
    segment_of = np.concatenate([np.full(len(segment), index) for index, segment in enumerate(segments)])
    frame_of = np.concatenate([np.arange(len(segment)) for segment in segments])
    lengths = [len(segment) for segment in segments]
    trajectory_of, time_of = _trajectories(lengths, continues or [False] * len(segments))
    passed = np.concatenate(
        [
            np.ones(length, dtype=bool) if indices is None else np.isin(np.arange(length), indices)
            for length, indices in zip(lengths, kept or [None] * len(segments), strict=True)
        ]
    )
    sound = np.array([not overlapping_pairs(frame, settings.overlap_fraction) for frame in pool])
    allowed = sound & passed
    species = sorted({symbol for frame in (*pool, *labelled) for symbol in frame.symbols})
    soap: dict[str, Any] = {
        "r_cut": settings.cutoff,
        "n_max": settings.n_max,
        "l_max": settings.l_max,
        "sigma": settings.sigma,
    }
    picks: list[Pick] = []
    if allowed.any():
        picks = farthest_point(
            averaged_soap(pool, species, **soap),
            averaged_soap(labelled, species, **soap) if labelled else None,
            settings.n_picks,
            allowed=allowed,
            trajectory=trajectory_of,
            frame=time_of,
            separation=settings.frames_apart(frame_interval),
            tolerance=settings.tolerance,
        )
    n_validation = min(settings.n_validation, round(len(picks) * settings.n_validation / settings.n_picks))
    training, validation = split_training_validation(picks, len(picks) - n_validation, n_validation, seed)

    def places(chosen: Sequence[Pick]) -> list[tuple[int, int, float]]:
        return sorted((int(segment_of[pick.index]), int(frame_of[pick.index]), float(pick.distance)) for pick in chosen)

    summary = {
        "n_frames": len(pool),
        "n_overlapping": int((~sound).sum()),
        "n_filtered": int((~passed).sum()),
        "n_training_asked": settings.n_training,
        "n_validation_asked": settings.n_validation,
        "n_training": len(training),
        "n_validation": len(validation),
        "distances_when_picked": [float(pick.distance) for pick in picks],
    }
    return FrameSelection(places(training), places(validation), summary)


def _trajectories(lengths: Sequence[int], continues: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Return the trajectory of each frame, and its place there in units of the frame interval, (F,) each.

    Two frames on both sides of a continuation are as near in time as any other two neighbours.
    """
    trajectories, places = [], []
    number, first = -1, 0
    for length, goes_on in zip(lengths, continues, strict=True):
        if not goes_on or number < 0:
            number, first = number + 1, 0
        trajectories.append(np.full(length, number))
        places.append(np.arange(first, first + length))
        first += length
    return np.concatenate(trajectories), np.concatenate(places)
