"""What users choose about the collective variables; checked without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import Settings


@dataclass(frozen=True)
class SwitchingFunction(Settings):
    """s(d) = 1 / (1 + (d / r0)^n): near 1 for bonded atoms, 1/2 at r0, near 0 for distant ones.

    r0: the distance in A at which the function is steepest and has half its height; in 3C-SiC the default lies just
        beyond the second shell, so that changes of both shells show.
    exponent: n, from 2 to 24; the larger, the steeper.
    """

    PREFIX = "switching."

    r0: float = 3.2
    exponent: int = 6

    def __post_init__(self) -> None:
        self.require_number("r0", positive=True)
        self.require_number("exponent", integer=True, at_least=2)
        if self.exponent > 24:
            raise InputError(f"`{self.PREFIX}exponent` is {self.exponent}; give 24 at most, models run in float32.")


@dataclass(frozen=True)
class AutoencoderSettings(Settings):
    """A variational autoencoder and its training; the layers are those of the PINES work on SiC.

    hidden: neurons of the encoder's hidden layers, input side first; the decoder has them in reverse.
    latent: how many collective variables.
    kl_weight: of the Kullback-Leibler term against half the summed squared error; 1 is the likelihood bound with unit
        noise (Kingma and Welling, arXiv:1312.6114).
    learning_rate, batch_size: of Adam; frames in a batch.
    max_epochs: after which training ends at the latest.
    patience: epochs without a better loss on the held-out trajectories before it ends earlier.
    held_out: fraction of the trajectories, at least one, that training does not see. 0 trains on all of them for all
        epochs.
    seed: of the choice of held-out trajectories, first weights, order of frames and noise.
    """

    PREFIX = "autoencoder."

    hidden: Sequence[int] = (64, 32, 16)
    latent: int = 3
    kl_weight: float = 1.0
    learning_rate: float = 1e-3
    batch_size: int = 256
    max_epochs: int = 300
    patience: int = 20
    held_out: float = 0.2
    seed: int = 0

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
