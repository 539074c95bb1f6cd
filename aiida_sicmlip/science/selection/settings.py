"""How many frames are picked each round, and what makes two of them different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.selection_choices import CENTRES, METHODS
from aiida_sicmlip.science.settings import Settings, choice, flag, integer, number, sequence, setting
from aiida_sicmlip.science.value_tests import is_integer, is_sequence

VALIDATION_UPDATES = ("replace", "extend")


def _are_centres(value: Any) -> bool:
    """Return whether ``value`` is valid for the atoms that descriptors are averaged over."""
    if isinstance(value, str):
        return value in CENTRES
    if not is_sequence(value) or not value or not all(is_integer(atom) and atom >= 0 for atom in value):
        return False
    return len(set(value)) == len(value)


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """How many frames are picked each round, and what makes two of them different."""

    PREFIX = "selection.parameters."

    n_training: int = integer(300, "new training configurations a round", at_least=1)
    n_validation: int = integer(100, "new validation configurations a round", at_least=1)
    method: str = choice(
        "farthest-point",
        METHODS,
        "how training configurations are picked: `farthest-point` (each the farthest from the training set and the "
        "picks before it), `top-k` (those farthest from the training set, the paper's wording), or `random` (a "
        "baseline)",
    )
    use_earlier_rounds: bool = flag(
        True,
        "whether unpicked candidates of earlier rounds may be picked as training configurations; with `random` they "
        "never are, since they are no random sample",
    )
    validation_update: str = choice(
        "replace",
        VALIDATION_UPDATES,
        "`replace`: the validation set consists of the representatives of all frames sampled so far, as in the paper; "
        "`extend`: it keeps those of earlier rounds as well",
    )
    n_fixed_validation: int = integer(
        0,
        "number of further validation configurations picked in the first round and kept as a separate set to the last; "
        "nothing near them in time is trained on",
        at_least=0,
    )
    held_out_trajectories: int = integer(
        0,
        "number of trajectories of each round, drawn at random, that are never trained on; validation configurations "
        "then come from held-out trajectories alone",
        at_least=0,
    )
    held_out_structures: tuple[str, ...] = sequence(
        (),
        "names of initial structures (defects) that are never trained on; validation configurations then come from "
        "held-out trajectories alone",
        "a list of names",
        lambda name: isinstance(name, str),
        empty=True,
    )
    separation: float = number(
        0.1,
        "minimum time between two picks of one trajectory, so that a validation frame is never the neighbour in time "
        "of a training frame",
        unit="ps",
        at_least=0,
    )
    centres: str | tuple[int, ...] = setting(
        "defect",
        "atoms that SOAP is averaged over: `defect`, those around the vacant sites, antisites and interstitials that "
        "of each frame, `all`, or a list of atoms, the same in all frames; an average over all atoms of a large cell "
        "hides a defect",
        "`defect`, `all`, or a list of different atoms, from 0",
        _are_centres,
        convert=lambda value: value if isinstance(value, str) else tuple(value),
    )
    centre_radius: float | None = number(
        None,
        "atoms on sites within this distance of a defect are averaged over; null for 1.78 distances of nearest sites, "
        "3.4 A in 3C-SiC, which covers two shells",
        unit="A",
        above=0,
    )
    cutoff: float = number(5.0, "radius of SOAP's local environments", unit="A", at_least=1.5)
    n_max: int = integer(8, "number of SOAP's radial functions", at_least=1)
    l_max: int = integer(6, "highest degree of SOAP's spherical harmonics", at_least=0)
    sigma: float = number(0.5, "width of SOAP's Gaussians", unit="A", above=0)
    n_candidates: int = integer(
        3000,
        "number of frames of a round kept as candidates: the picks, and the most novel frames after them",
        at_least=1,
    )
    clustered_at_once: int = integer(50000, "above this number of frames the clustering uses mini-batches", at_least=1)
    tolerance: float = number(
        1e-10,
        "frames closer than this (1 - kernel) to a labelled or picked one are duplicates and never picked",
        at_least=0,
    )
    overlap_fraction: float = number(
        0.5,
        "a frame in which two atoms are closer than this fraction of the sum of their covalent radii is not picked",
        at_least=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_candidates < self.n_training:
            raise InputError(
                f"`{self.PREFIX}n_candidates` is {self.n_candidates}, fewer than `n_training`, {self.n_training}: the "
                "picks are among the candidates, so give at least as many."
            )

    @property
    def n_picks(self) -> int:
        """Number of frames picked a round, without the fixed validation configurations of the first."""
        return self.n_training + self.n_validation

    @property
    def holds_out(self) -> bool:
        """Whether some trajectories are never trained on."""
        return bool(self.held_out_trajectories or self.held_out_structures)

    @property
    def soap(self) -> dict[str, Any]:
        """Arguments of :func:`~aiida_sicmlip.science.selection.descriptors.averaged_soap`."""
        return {"r_cut": self.cutoff, "n_max": self.n_max, "l_max": self.l_max, "sigma": self.sigma}

    def frames_apart(self, frame_interval: float) -> int:
        """Return the minimum difference of frame indices of two picks of one trajectory, for an interval in ps."""
        return max(1, int(np.ceil(self.separation / frame_interval - 1e-9)))

    def largest_count(self, segments: Sequence[tuple[int, float]]) -> int:
        """Return the largest number of picks from segments, each given by number of frames and interval in ps."""
        return sum(-(-count // self.frames_apart(interval)) for count, interval in segments)


def require_enough_frames(settings: SelectionSettings, segments: Sequence[tuple[int, float]]) -> None:
    """Raise :class:`InputError` if the first round asks for more frames than its exploration gives.

    :param segments: number of frames and interval (ps) of each.
    """
    available = settings.largest_count(segments)
    n_frames = sum(count for count, _ in segments)
    wanted = settings.n_picks + settings.n_fixed_validation
    if wanted > available:
        fixed = f", and {settings.n_fixed_validation} fixed ones" if settings.n_fixed_validation else ""
        raise InputError(
            f"`selection.parameters` asks for {settings.n_training} training and {settings.n_validation} validation "
            f"frames a round{fixed}, but exploration gives {n_frames} frames, of which at "
            f"most {available} are {settings.separation:g} ps apart. Explore longer, with more walkers, keep frames "
            "more often, or ask for fewer."
        )
