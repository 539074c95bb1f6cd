"""Seeds of the random choices of a run, all from the one that the user gave."""

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def independent_seeds(seed: int, count: int) -> list[int]:
    """Return ``count`` positive 31-bit seeds whose random streams are independent (NumPy's ``SeedSequence``)."""
    return [int(child.generate_state(1)[0] % (2**31 - 2)) + 1 for child in np.random.SeedSequence(seed).spawn(count)]


@calcfunction
def derive_round_seeds(seed: orm.Int) -> dict:
    """Return the seeds of one round's steps, and the one from which the next round's are derived."""
    names = ("exploration", "selection", "training", "next_round", "descriptors")
    return {name: orm.Int(value) for name, value in zip(names, independent_seeds(seed.value, len(names)), strict=True)}


@calcfunction
def derive_exploration_seeds(seed: orm.Int) -> dict:
    """Return the seeds of one exploration's steps."""
    names = ("unbiased", "variables", "walkers")
    return {name: orm.Int(value) for name, value in zip(names, independent_seeds(seed.value, len(names)), strict=True)}


@calcfunction
def derive_committee_seeds(seed: orm.Int, committee_size: orm.Int) -> dict:
    """Return a seed for each further member of a committee, under ``member_01`` and so on; the first keeps ``seed``."""
    values = independent_seeds(seed.value, committee_size.value - 1)
    return {f"member_{index:02d}": orm.Int(value) for index, value in enumerate(values, start=1)}


@calcfunction
def derive_walker_seeds(seed: orm.Int, walkers: orm.Int, **starts: orm.Data) -> dict:
    """Return a seed for each walker, under ``walker_00`` and so on.

    :param walkers: walkers from each start.
    :param starts: start structures or, where walkers of one run in several ways, their settings; only their number
        matters.
    """
    values = independent_seeds(seed.value, walkers.value * len(starts))
    return {f"walker_{index:02d}": orm.Int(value) for index, value in enumerate(values)}
