"""Settings of the collective variables; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import REQUIRED, Settings, choice, group, integer, number, sequence
from aiida_sicmlip.science.value_tests import is_integer

AROUND = ("defect", "sites")
"""Definitions of coordination shells: around the whole defect, or around each of its sites."""
STANDARDISATIONS = ("vector", "block", "entry")
"""What shares a standard deviation: all entries of the vector, those of a block, or none."""

SWITCHING_DISTANCE = 3.2 / 1.912
"""Distance at which the switching function is 1/2, just beyond the second shell (1.63). In distances of nearest sites:
3.2 A in 3C-SiC.
"""


@dataclass(frozen=True)
class SwitchingFunction(Settings):
    """Switching function 1 / (1 + (d / r0)^n) of distances d: close to 1 for bonded atoms and to 0 for distant ones."""

    PREFIX = "switching."

    r0: float = number(REQUIRED, "distance at which the function is 1/2", unit="A", above=0)
    exponent: int = integer(REQUIRED, "exponent n", at_least=2, at_most=24)


@dataclass(frozen=True)
class SwitchingSettings(Settings):
    """Settings of the switching function 1 / (1 + (d / r0)^n) of distances d."""

    PREFIX = "switching."

    r0: float | None = number(
        None,
        f"distance at which the function is 1/2; null for {SWITCHING_DISTANCE:.2f} distances of nearest sites of the "
        "host, 3.2 A in 3C-SiC, just beyond the second shell",
        unit="A",
        above=0,
    )
    exponent: int = integer(6, "exponent n; bounded since models run in float32", at_least=2, at_most=24)

    def in_crystal(self, nearest_distance: float) -> SwitchingFunction:
        """Return the function in a crystal whose nearest sites are this far apart, in A."""
        r0 = SWITCHING_DISTANCE * nearest_distance if self.r0 is None else self.r0
        return SwitchingFunction(r0=float(r0), exponent=self.exponent)


@dataclass(frozen=True)
class AutoencoderParameters(Settings):
    """Variational autoencoder and its training; the default layers are those of the PINES study of SiC."""

    PREFIX = "autoencoder."
    ELSEWHERE: ClassVar[Mapping[str, str]] = {"seed": "another input, `seed`"}

    hidden: tuple[int, ...] = sequence(
        (64, 32, 16),
        "number of neurons of the hidden layers of the encoder, from the input; the decoder has them in reverse order",
        "a list of whole numbers from 1, such as [64, 32, 16]",
        lambda value: is_integer(value) and value >= 1,
    )
    latent: int = integer(3, "number of collective variables", at_least=1, limit=100)
    standardisation: str = choice(
        "vector",
        STANDARDISATIONS,
        "entries are divided by the standard deviation of the whole `vector`, of their `block`, or of the `entry` "
        "itself, which amplifies those that hardly vary",
    )
    kl_weight: float = number(
        1.0,
        "weight of the Kullback-Leibler divergence relative to half the summed squared error; 1 gives the evidence "
        "lower bound with unit noise (Kingma and Welling, arXiv:1312.6114)",
        at_least=0,
    )
    learning_rate: float = number(1e-3, "learning rate of Adam", above=0, limit=None)
    batch_size: int = integer(256, "frames per batch", at_least=1)
    max_epochs: int = integer(300, "maximum number of epochs", at_least=1)
    patience: int = integer(
        20, "epochs without a lower loss on the held-out trajectories after which training stops", at_least=1
    )
    held_out: float = number(
        0.2,
        "fraction of the trajectories, at least one, that are held out for early stopping; 0: train on all, without it",
        at_least=0,
        below=1,
    )


@dataclass(frozen=True)
class AutoencoderSettings(AutoencoderParameters):
    """Variational autoencoder and its training, with the seed."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    seed: int = integer(
        0,
        "seed of the choice of held-out trajectories, the initial weights, the order of frames and the noise",
        at_least=0,
        limit=None,
    )


@dataclass(frozen=True)
class CollectiveVariableSettings(Settings):
    """Collective variables that are trained on trajectories."""

    PREFIX = "collective_variables."

    shells: int = integer(
        2,
        "number of coordination shells of the defect whose atoms the variables depend on",
        at_least=1,
        limit=20,
    )
    around: str = choice(
        "defect",
        AROUND,
        "`defect`: shells are spheres around the whole defect; `sites`: an atom is in the nearest shell of any site",
    )
    maximum_frames: int = integer(
        20000,
        "maximum number of frames to train on: each k-th frame of each file, with the smallest k that is sufficient",
        at_least=1,
        limit=1e8,
    )
    threads: int = integer(
        1,
        "threads of torch; with another number the weights differ in their last digits",
        at_least=1,
        limit=10_000,
    )
    switching: SwitchingSettings = group(SwitchingSettings, "the switching function")
    autoencoder: AutoencoderParameters = group(
        AutoencoderParameters, "the autoencoder; its seed is an input of its own"
    )

    def every(self, n_frames: Sequence[int]) -> int:
        """Return the smallest k for which each k-th frame of all files are at most :attr:`maximum_frames` frames.

        :param n_frames: number of frames of each file.
        :raises InputError: if there are more files than that.
        """
        n_segments = sum(count > 0 for count in n_frames)
        if n_segments > self.maximum_frames:
            raise InputError(
                f"`{self.PREFIX}maximum_frames` is {self.maximum_frames}, but there are {n_segments} segments, each "
                f"of which gives at least one frame; increase it."
            )
        k = max(1, -(-sum(n_frames) // self.maximum_frames))
        while sum(-(-count // k) for count in n_frames) > self.maximum_frames:
            k += 1
        return k
