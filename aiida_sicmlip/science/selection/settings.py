"""How many frames are picked each round, and what makes two of them different."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.common.selection_choices import CENTRES, METHODS
from aiida_sicmlip.science.settings import Settings

VALIDATION_UPDATES = ("replace", "extend")


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """How many frames are picked each round, and what makes two of them different."""

    PREFIX = "selection.parameters."

    n_training: int = 300
    """New training configurations a round."""
    n_validation: int = 100
    """New validation configurations a round."""
    method: str = "farthest-point"
    """How training configurations are picked: `farthest-point` (each the farthest from the training set and the picks
    before it), `top-k` (those farthest from the training set, the paper's wording), or `random` (a baseline)."""
    use_earlier_rounds: bool = True
    """Whether candidates of earlier rounds that were not picked then may be picked as training configurations now; with
    `random` they never are, since they are no random sample."""
    validation_update: str = "replace"
    """`replace`: the validation set consists of the representatives of all frames sampled so far, as in the paper.
    `extend`: it keeps those of earlier rounds as well."""
    n_fixed_validation: int = 0
    """So many further validation configurations are picked in the first round and kept, in a set of their own, to the
    last. Nothing near them in time is trained on."""
    held_out_trajectories: int = 0
    """So many trajectories of each round, drawn at random, are never trained on; validation configurations then come
    from held-out trajectories alone."""
    held_out_structures: tuple[str, ...] = ()
    """Names of start structures (defects) that are never trained on; validation configurations then come from held-out
    trajectories alone."""
    separation: float = 0.1
    """Two picks of one trajectory are at least so far apart in ps, so that a validation frame is never the neighbour in
    time of a training frame."""
    centres: str | Sequence[int] = "defect"
    """Atoms that SOAP is averaged over: `defect`, those around the vacant sites, antisites and interstitials that each
    frame shows, `all`, or a list of atoms (from 0), the same in all frames. In an average over all atoms of a large
    cell a defect is hardly seen."""
    centre_radius: float = 3.4
    """Around a defect, atoms of sites within this distance in A count; the default covers two shells of 3C-SiC."""
    cutoff: float = 5.0
    """Radius of SOAP's local environments in A."""
    n_max: int = 8
    """Number of SOAP's radial functions."""
    l_max: int = 6
    """Highest degree of SOAP's spherical harmonics."""
    sigma: float = 0.5
    """Width of SOAP's Gaussians in A."""
    n_candidates: int = 3000
    """Frames of a round that are kept as candidates: those that are picked, and the most novel ones after them."""
    clustered_at_once: int = 50000
    """Above so many frames the clustering works on mini-batches."""
    tolerance: float = 1e-10
    """Frames closer than this (1 - kernel) to one that is labelled or picked are duplicates and never picked."""
    overlap_fraction: float = 0.5
    """A frame in which two atoms are closer than this fraction of the sum of their covalent radii is not picked."""

    def __post_init__(self) -> None:
        for name in ("n_training", "n_validation", "n_max", "n_candidates", "clustered_at_once"):
            self.require_number(name, positive=True, integer=True)
        for name in ("l_max", "n_fixed_validation", "held_out_trajectories"):
            self.require_number(name, integer=True, at_least=0)
        self.require_number("cutoff", at_least=1.5)
        for name in ("sigma", "centre_radius"):
            self.require_number(name, positive=True)
        for name in ("separation", "tolerance", "overlap_fraction"):
            self.require_number(name, at_least=0)
        for name, known in (("method", METHODS), ("centres", CENTRES), ("validation_update", VALIDATION_UPDATES)):
            if name == "centres" and not isinstance(self.centres, str):
                continue
            if getattr(self, name) not in known:
                hint = nearest_name(str(getattr(self, name)), known)
                raise InputError(f"`{self.PREFIX}{name}` is {getattr(self, name)!r}. {hint}")
        if not isinstance(self.use_earlier_rounds, bool):
            raise InputError(f"`{self.PREFIX}use_earlier_rounds` is {self.use_earlier_rounds!r}; give true or false.")
        if not isinstance(self.centres, str):
            object.__setattr__(self, "centres", _checked_atoms(self.centres, f"{self.PREFIX}centres"))
        held_out = self.held_out_structures
        if isinstance(held_out, str) or not all(isinstance(name, str) for name in held_out):
            raise InputError(f"`{self.PREFIX}held_out_structures` is {held_out!r}; give a list of names.")
        # Lists of a YAML file and of a node become what they are compared as.
        object.__setattr__(self, "held_out_structures", tuple(held_out))
        if self.n_candidates < self.n_training:
            raise InputError(
                f"`{self.PREFIX}n_candidates` is {self.n_candidates}, fewer than `n_training`, {self.n_training}: the "
                "picks are among the candidates, so give at least as many."
            )

    @property
    def n_picks(self) -> int:
        """Number of frames picked a round, but for the fixed validation configurations of the first."""
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
        """Return the least difference of frame indices of two picks of one trajectory with frames each so many ps."""
        return max(1, int(np.ceil(self.separation / frame_interval - 1e-9)))

    def largest_count(self, segments: Sequence[tuple[int, float]]) -> int:
        """Return how many frames can be picked at most from segments of so many frames, so many ps apart."""
        return sum(-(-count // self.frames_apart(interval)) for count, interval in segments)


def _checked_atoms(given: Any, field: str) -> tuple[int, ...]:
    """Return a list of atoms.

    :raises InputError: when it is none, empty, or names an atom twice.
    """
    atoms = tuple(given) if isinstance(given, Sequence) else ()
    if not atoms or any(isinstance(atom, bool) or not isinstance(atom, int) or atom < 0 for atom in atoms):
        raise InputError(f"`{field}` is {given!r}; give `defect`, `all`, or a list of atoms, from 0.")
    if len(set(atoms)) < len(atoms):
        raise InputError(f"`{field}` names an atom twice: {list(atoms)}.")
    return atoms


def require_enough_frames(settings: SelectionSettings, segments: Sequence[tuple[int, float]]) -> None:
    """Raise :class:`InputError` if the first round asks for more frames than its exploration can give.

    :param segments: number of frames and time between two of them (ps) of each.
    """
    available = settings.largest_count(segments)
    n_frames = sum(count for count, _ in segments)
    wanted = settings.n_picks + settings.n_fixed_validation
    if wanted > available:
        fixed = f", and {settings.n_fixed_validation} fixed ones" if settings.n_fixed_validation else ""
        raise InputError(
            f"`selection.parameters` asks for {settings.n_training} training and {settings.n_validation} validation "
            f"frames a round{fixed}, but exploration gives {n_frames} frames, of which at most "
            f"{available} are {settings.separation:g} ps apart. Explore longer, with more walkers, keep frames more "
            "often, or ask for less."
        )
