"""What users choose about the collective variables; checked without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.settings import Settings

AROUND = ("defect", "sites")
"""How shells are counted: around the whole defect, or around each of its sites."""


@dataclass(frozen=True)
class SwitchingFunction(Settings):
    """s(d) = 1 / (1 + (d / r0)^n): near 1 for bonded atoms, 1/2 at r0, near 0 for distant ones."""

    PREFIX = "switching."

    r0: float = 3.2
    """Distance in A at which the function is 1/2; in 3C-SiC the default lies just beyond the second shell."""
    exponent: int = 6
    """n, from 2 to 24; the larger, the steeper."""

    def __post_init__(self) -> None:
        self.require_number("r0", positive=True)
        self.require_number("exponent", integer=True, at_least=2)
        if self.exponent > 24:
            raise InputError(f"`{self.PREFIX}exponent` is {self.exponent}; give 24 at most, models run in float32.")


@dataclass(frozen=True)
class AutoencoderSettings(Settings):
    """A variational autoencoder and its training; the layers are those of the PINES work on SiC."""

    PREFIX = "autoencoder."

    hidden: Sequence[int] = (64, 32, 16)
    """Neurons of the encoder's hidden layers, input side first; the decoder has them in reverse."""
    latent: int = 3
    """Number of collective variables."""
    kl_weight: float = 1.0
    """Weight of the Kullback-Leibler term against half the summed squared error; 1 gives the likelihood bound with unit
    noise (Kingma and Welling, arXiv:1312.6114)."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    batch_size: int = 256
    """Frames in a batch."""
    max_epochs: int = 300
    """Epochs after which training ends at the latest."""
    patience: int = 20
    """Epochs without a better loss on the held-out trajectories after which it ends earlier."""
    held_out: float = 0.2
    """Fraction of the trajectories, at least one, that training does not see; 0 trains on all of them to the end."""
    seed: int = 0
    """Seed of the choice of held-out trajectories, the first weights, the order of frames and the noise."""

    def __post_init__(self) -> None:
        for name in ("latent", "batch_size", "max_epochs", "patience"):
            self.require_number(name, integer=True, at_least=1)
        self.require_number("learning_rate", positive=True)
        self.require_number("kl_weight", at_least=0)
        self.require_number("held_out", at_least=0)
        self.require_number("seed", integer=True, at_least=0)
        if self.held_out >= 1:
            raise InputError(f"`{self.PREFIX}held_out` is {self.held_out!r}; give a fraction from 0 to below 1.")
        if isinstance(self.hidden, str) or not isinstance(self.hidden, Sequence) or not self.hidden:
            raise InputError(
                f"`{self.PREFIX}hidden` is {self.hidden!r}; give a list of whole numbers, as [64, 32, 16]."
            )
        for size in self.hidden:
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise InputError(f"`{self.PREFIX}hidden` holds {size!r}; give whole numbers from 1.")
        # Lists and tuples of the same layers are the same settings.
        object.__setattr__(self, "hidden", tuple(self.hidden))


@dataclass(frozen=True)
class CollectiveVariableSettings(Settings):
    """What is chosen about collective variables that a calculation learns from trajectories."""

    PREFIX = "collective_variables."

    shells: int = 2
    """Coordination shells of the defect whose atoms the variables see."""
    around: str = "defect"
    """`defect`: shells are spheres around the whole defect; `sites`: each atom has the nearest shell of any site."""
    maximum_frames: int = 20000
    """Train on each k-th frame of each file, with the least k that leaves no more frames than this."""
    threads: int = 1
    """Threads of torch; with another number the weights differ in their last digits."""
    switching: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the switching function."""
    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the autoencoder; its seed is an input of its own."""

    def __post_init__(self) -> None:
        for name in ("shells", "maximum_frames", "threads"):
            self.require_number(name, integer=True, at_least=1)
        if self.around not in AROUND:
            raise InputError(f"`{self.PREFIX}around` is {self.around!r}. {nearest_name(str(self.around), AROUND)}")
        for name in ("switching", "autoencoder"):
            if not isinstance(getattr(self, name), Mapping):
                raise InputError(f"`{self.PREFIX}{name}` is {getattr(self, name)!r}; give a mapping.")
        if "seed" in self.autoencoder:
            raise InputError(
                f"`{self.PREFIX}autoencoder.seed` is taken from another input, `seed`; leave it out of the parameters."
            )
        SwitchingFunction.from_mapping(self.switching)
        AutoencoderSettings.from_mapping(self.autoencoder)

    def every(self, n_frames: Sequence[int]) -> int:
        """Return the least k for which each k-th frame of files of these lengths are :attr:`maximum_frames` at most.

        :raises InputError: when there are more files than that.
        """
        if len(n_frames) > self.maximum_frames:
            raise InputError(
                f"`{self.PREFIX}maximum_frames` is {self.maximum_frames}, but there are {len(n_frames)} segments, each "
                f"of which gives one frame at least: raise it."
            )
        k = max(1, -(-sum(n_frames) // self.maximum_frames))
        while sum(-(-count // k) for count in n_frames) > self.maximum_frames:
            k += 1
        return k
