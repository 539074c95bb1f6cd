"""Settings of the selection of frames to label."""

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
AFTER_VALIDATION = ("train", "drop")


def _are_centres(value: Any) -> bool:
    """Return whether ``value`` is a valid choice of the atoms that descriptors are averaged over."""
    if isinstance(value, str):
        return value in CENTRES
    if not is_sequence(value) or not value or not all(is_integer(atom) and atom >= 0 for atom in value):
        return False
    return len(set(value)) == len(value)


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """Number of frames picked in each round, and the criterion by which they differ."""

    PREFIX = "selection.parameters."

    n_training: int = integer(300, "number of training configurations picked in each round", at_least=1)
    n_validation: int = integer(100, "number of validation configurations picked in each round", at_least=1)
    method: str = choice(
        "farthest-point",
        METHODS,
        "how training configurations are picked: `farthest-point` (each is the farthest from the training set and the "
        "earlier picks), `top-k` (those farthest from the training set, as in the paper), or `random` (a baseline)",
    )
    use_earlier_rounds: bool = flag(
        True,
        "whether candidates of earlier rounds that were not picked may become training configurations; not with "
        "`random`, since they are not a random sample",
    )
    validation_update: str = choice(
        "replace",
        VALIDATION_UPDATES,
        "`replace`: the validation set is replaced by representatives of all frames sampled so far, as in the paper; "
        "`extend`: new configurations are added to it",
    )
    replaced_validation: str = choice(
        "train",
        AFTER_VALIDATION,
        "use of validation configurations that are replaced: `train`: they are added to the training set; `drop`: "
        "none, as in the paper",
    )
    n_fixed_validation: int = integer(
        0,
        "number of additional validation configurations that are picked in the first round and form a separate set, "
        "which does not change; frames close to them in time are not trained on",
        at_least=0,
    )
    hop_share: float = number(
        0.0,
        "share of the training and of the fixed validation configurations that is picked first, by farthest point, "
        "among frames in which an atom is between two sites; as many as there are, where there are fewer",
        at_least=0,
        at_most=1,
    )
    held_out_trajectories: int = integer(
        0,
        "number of randomly chosen trajectories of each round that are never trained on; validation configurations are "
        "then picked from held-out trajectories only",
        at_least=0,
    )
    held_out_structures: tuple[str, ...] = sequence(
        (),
        "names of start structures (defects) that are never trained on; validation configurations are then picked from "
        "held-out trajectories only",
        "a list of names",
        lambda name: isinstance(name, str),
        empty=True,
    )
    separation: float = number(
        0.1,
        "minimum time between two picks of the same trajectory, over all rounds, so that validation frames are not "
        "close in time to training frames",
        unit="ps",
        at_least=0,
    )
    centres: str | tuple[int, ...] = setting(
        "defect",
        "atoms that SOAP is averaged over: `defect` (those around the vacant sites, antisites and interstitials of "
        "each frame), `all`, or a list of atom indices, the same for all frames; an average over all atoms of a large "
        "cell hides a defect",
        "`defect`, `all`, or a list of different atom indices, from 0",
        _are_centres,
        convert=lambda value: value if isinstance(value, str) else tuple(value),
    )
    centre_radius: float | None = number(
        None,
        "atoms on sites within this distance of a defect are averaged over; null: 1.78 times the nearest-neighbour "
        "distance, 3.4 A in 3C-SiC, which includes two shells",
        unit="A",
        above=0,
        limit=30,
    )
    cutoff: float = number(5.0, "cutoff radius of SOAP", unit="A", at_least=1.5, limit=30)
    n_max: int = integer(8, "number of radial functions of SOAP", at_least=1, limit=50)
    l_max: int = integer(6, "maximum degree of the spherical harmonics of SOAP", at_least=0, limit=20)
    sigma: float = number(0.5, "width of the Gaussians of SOAP", unit="A", above=0, limit=10)
    n_candidates: int = integer(
        3000,
        "number of frames of each round that are kept as candidates: the picks and the next most novel frames",
        at_least=1,
    )
    clustered_at_once: int = integer(50000, "number of frames above which clustering uses mini-batches", at_least=1)
    tolerance: float = number(
        1e-10,
        "frames closer than this (1 - kernel) to a labelled or picked frame are duplicates and are not picked",
        at_least=0,
    )
    overlap_fraction: float = number(
        0.7,
        "frames with two atoms closer than this fraction of the sum of their covalent radii are not picked",
        at_least=0,
    )
    max_disagreement: float | None = number(
        None,
        "frames on which the committee disagrees more about the force on an atom are not picked; null: no bound",
        unit="eV/A",
        above=0,
    )
    min_disagreement: float | None = number(
        None,
        "frames on which the committee disagrees less about the force on every atom are not picked for training; "
        "null: no bound",
        unit="eV/A",
        at_least=0,
    )
    max_force: float | None = number(
        None,
        "frames for which the exploring potential, or another member of its committee, predicts a larger force on an "
        "atom are not picked; null: no bound",
        unit="eV/A",
        above=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        least, most = self.min_disagreement, self.max_disagreement
        if least is not None and most is not None and least >= most:
            raise InputError(
                f"`{self.PREFIX}min_disagreement` is {least:g} eV/A, not below `max_disagreement`, {most:g} eV/A: no "
                "frame would be picked. Lower the first, or raise the second."
            )
        if self.n_candidates < self.n_training:
            raise InputError(
                f"`{self.PREFIX}n_candidates` is {self.n_candidates}, below `n_training` ({self.n_training}); the "
                "candidates include the picks, so give at least as many."
            )

    @property
    def n_picks(self) -> int:
        """Number of frames picked in each round, without the fixed validation configurations of the first round."""
        return self.n_training + self.n_validation

    def n_hops(self, count: int) -> int:
        """Return how many of `count` configurations are picked among frames with migrating atoms."""
        return int(np.ceil(self.hop_share * count - 1e-9))

    @property
    def trains_on_replaced(self) -> bool:
        """Whether validation configurations that are replaced become training configurations."""
        return self.validation_update == "replace" and self.replaced_validation == "train"

    @property
    def has_window(self) -> bool:
        """Whether frames are left out by what the exploring potential predicts of them."""
        return any(bound is not None for bound in (self.max_disagreement, self.min_disagreement, self.max_force))

    @property
    def holds_out(self) -> bool:
        """Whether some trajectories are never trained on."""
        return bool(self.held_out_trajectories or self.held_out_structures)

    @property
    def soap(self) -> dict[str, Any]:
        """Arguments of :func:`~aiida_sicmlip.science.selection.descriptors.averaged_soap`."""
        return {"r_cut": self.cutoff, "n_max": self.n_max, "l_max": self.l_max, "sigma": self.sigma}

    def frames_apart(self, frame_interval: float) -> int:
        """Return the minimum difference of frame indices of two picks of a trajectory.

        :param frame_interval: ps.
        """
        return max(1, int(np.ceil(self.separation / frame_interval - 1e-9)))

    def largest_count(self, segments: Sequence[tuple[int, float]]) -> int:
        """Return the maximum number of picks from segments.

        :param segments: number of frames and frame interval (ps) of each.
        """
        return sum(-(-count // self.frames_apart(interval)) for count, interval in segments)


def require_enough_frames(settings: SelectionSettings, segments: Sequence[tuple[int, float]]) -> None:
    """Raise :class:`InputError` if the first round needs more frames than its exploration gives.

    :param segments: number of frames and frame interval (ps) of each.
    """
    available = settings.largest_count(segments)
    n_frames = sum(count for count, _ in segments)
    wanted = settings.n_picks + settings.n_fixed_validation
    if wanted > available:
        fixed = f" and {settings.n_fixed_validation} fixed ones" if settings.n_fixed_validation else ""
        raise InputError(
            f"`selection.parameters` asks for {settings.n_training} training and {settings.n_validation} validation "
            f"frames a round{fixed}, but exploration gives {n_frames} frames, of which at "
            f"most {available} are {settings.separation:g} ps apart. Explore longer, with more walkers, keep frames "
            "more often, or ask for fewer."
        )
