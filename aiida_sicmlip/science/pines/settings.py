"""What users choose about the collective variables; checked without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import Settings, choice, group, integer, number, sequence
from aiida_sicmlip.science.value_tests import is_integer

AROUND = ("defect", "sites")
"""How shells are counted: around the whole defect, or around each of its sites."""


@dataclass(frozen=True)
class SwitchingFunction(Settings):
    """s(d) = 1 / (1 + (d / r0)^n): near 1 for bonded atoms, 1/2 at r0, near 0 for distant ones."""

    PREFIX = "switching."

    r0: float = number(
        3.2,
        "distance at which the function is 1/2; in 3C-SiC the default lies just beyond the second shell",
        unit="A",
        above=0,
    )
    exponent: int = integer(6, "n; the larger, the steeper (models run in float32)", at_least=2, at_most=24)


@dataclass(frozen=True)
class AutoencoderParameters(Settings):
    """A variational autoencoder and its training; the layers are those of the PINES work on SiC."""

    PREFIX = "autoencoder."
    ELSEWHERE: ClassVar[Mapping[str, str]] = {"seed": "another input, `seed`"}

    hidden: tuple[int, ...] = sequence(
        (64, 32, 16),
        "neurons of the encoder's hidden layers, input side first; the decoder has them in reverse",
        "a list of whole numbers from 1, such as [64, 32, 16]",
        lambda value: is_integer(value) and value >= 1,
    )
    latent: int = integer(3, "number of collective variables", at_least=1)
    kl_weight: float = number(
        1.0,
        "weight of the Kullback-Leibler term against half the summed squared error; 1 gives the likelihood bound with "
        "unit noise (Kingma and Welling, arXiv:1312.6114)",
        at_least=0,
    )
    learning_rate: float = number(1e-3, "step size of Adam", above=0)
    batch_size: int = integer(256, "frames in a batch", at_least=1)
    max_epochs: int = integer(300, "epochs after which training ends at the latest", at_least=1)
    patience: int = integer(
        20, "epochs without a better loss on the held-out trajectories after which it ends earlier", at_least=1
    )
    held_out: float = number(
        0.2,
        "fraction of the trajectories, at least one, that training does not see; 0 trains on all of them to the end",
        at_least=0,
        below=1,
    )


@dataclass(frozen=True)
class AutoencoderSettings(AutoencoderParameters):
    """The same with its seed: all that decides the numbers of a training."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    seed: int = integer(
        0,
        "seed of the choice of held-out trajectories, the first weights, the order of frames and the noise",
        at_least=0,
    )


@dataclass(frozen=True)
class CollectiveVariableSettings(Settings):
    """What is chosen about collective variables that a calculation learns from trajectories."""

    PREFIX = "collective_variables."

    shells: int = integer(2, "coordination shells of the defect whose atoms the variables see", at_least=1)
    around: str = choice(
        "defect",
        AROUND,
        "`defect`: shells are spheres around the whole defect; `sites`: each atom has the nearest shell of any site",
    )
    maximum_frames: int = integer(
        20000,
        "train on each k-th frame of each file, with the least k that leaves no more frames than this",
        at_least=1,
    )
    threads: int = integer(
        1, "threads of torch; with another number the weights differ in their last digits", at_least=1
    )
    switching: SwitchingFunction = group(SwitchingFunction, "the switching function")
    autoencoder: AutoencoderParameters = group(
        AutoencoderParameters, "the autoencoder; its seed is an input of its own"
    )

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
