"""Seeds: the same again for the same seed, different for all steps, walkers and rounds, and linked to their creator."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_sicmlip.calculations.functions.derive_seeds import (
    derive_exploration_seeds,
    derive_round_seeds,
    derive_walker_seeds,
    independent_seeds,
)
from aiida_sicmlip.science.dynamics.lammps_input import MAXIMUM_SEED


def test_seeds_depend_on_the_seed_alone() -> None:
    assert independent_seeds(5, 4) == independent_seeds(5, 4)
    # The first of more are the same, so that another walker changes nothing for those before.
    assert independent_seeds(5, 4) == independent_seeds(5, 9)[:4]
    # Written down: runs of today must be repeatable tomorrow.
    assert independent_seeds(1, 2) == [1641411169, 1454127164]


def test_seeds_are_different_and_in_range() -> None:
    seeds = [value for seed in range(1, 200) for value in independent_seeds(seed, 5)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 1
    assert max(seeds) <= MAXIMUM_SEED


def test_streams_of_neighbouring_seeds_are_not_correlated() -> None:
    streams = [
        np.random.default_rng(value).normal(size=4000) for seed in (1, 2) for value in independent_seeds(seed, 2)
    ]
    correlations = np.corrcoef(streams)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(4000)


def test_round_seeds_are_linked() -> None:
    seeds = derive_round_seeds(orm.Int(1).store())
    assert set(seeds) == {"exploration", "descriptors", "selection", "training", "next_round"}
    assert len({seed.value for seed in seeds.values()}) == 5
    for name, seed in seeds.items():
        assert seed.creator.process_label == "derive_round_seeds"
        assert seed.base.links.get_incoming().one().link_label == name
        assert seed.creator.inputs.seed.value == 1


def test_rounds_have_seeds_of_their_own() -> None:
    first = derive_round_seeds(orm.Int(1))
    second = derive_round_seeds(first["next_round"])
    assert not {seed.value for seed in first.values()} & {seed.value for seed in second.values()}


@pytest.mark.parametrize(("walkers", "structures"), [(1, 1), (3, 2), (11, 1)])
def test_one_seed_for_each_walker(divacancy: Atoms, walkers: int, structures: int) -> None:
    given = {f"x{index}": orm.StructureData(ase=divacancy) for index in range(structures)}
    seeds = derive_walker_seeds(orm.Int(7), orm.Int(walkers), **given)
    assert sorted(seeds) == [f"walker_{index:02d}" for index in range(walkers * structures)]
    assert len({seed.value for seed in seeds.values()}) == walkers * structures


def test_steps_of_an_exploration_have_seeds_of_their_own(aiida_profile: object) -> None:
    seeds = derive_exploration_seeds(orm.Int(7))
    assert set(seeds) == {"unbiased", "variables", "walkers"}
    assert len({seed.value for seed in seeds.values()}) == 3
    assert seeds["walkers"].creator.inputs.seed.value == 7
