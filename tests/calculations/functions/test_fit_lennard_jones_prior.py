"""The prior of a data set as a node."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from ase import Atoms

from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, fit_prior


def test_the_node_holds_the_fit_and_has_a_creator(
    generate_dataset: Callable[..., Any], generate_prior: Callable[..., Any]
) -> None:
    dataset = generate_dataset(4)
    node = generate_prior(dataset, cutoff=4.5, species=["Si", "C"])
    assert isinstance(node, LennardJonesPriorData) and node.is_stored
    expected = fit_prior(dataset.frames(), LennardJonesSettings(cutoff=4.5), ["Si", "C"])
    prior = LennardJonesPriorData(orm.load_node(node.pk).base.attributes.all).prior()
    assert (prior.species, prior.cutoff) == (("Si", "C"), 4.5)
    for name in ("repulsion", "attraction", "offsets"):
        # AiiDA keeps 14 digits of numbers in a node's attributes.
        np.testing.assert_allclose(getattr(prior, name), getattr(expected.prior, name), rtol=1e-13)
    for stage, errors in expected.residuals.items():
        assert node.residuals[stage] == pytest.approx(errors, rel=1e-12)
    assert {link.link_label for link in node.creator.base.links.get_incoming()} == {"dataset", "settings"}


def test_equal_frames_give_equal_content(
    generate_dataset: Callable[..., Any], generate_prior: Callable[..., Any], labelled_frames: Any
) -> None:
    """Another level of theory and another node, but the same configurations and labels."""
    frames: list[Atoms] = labelled_frames(3, seed=5)
    one, other = (
        generate_prior(dataset) for dataset in (generate_dataset(frames), generate_dataset(frames, ecutwfc=60.0))
    )
    assert one.pk != other.pk
    assert json.dumps(one.get_dict(), sort_keys=True) == json.dumps(other.get_dict(), sort_keys=True)
    assert one.base.caching.compute_hash() == other.base.caching.compute_hash()
    changed = generate_prior(generate_dataset(labelled_frames(3, seed=6)))
    assert changed.base.caching.compute_hash() != one.base.caching.compute_hash()


def test_wrong_settings_are_refused_with_a_message(generate_dataset: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"`prior.wall_enrgy` is not a known setting.*`wall_energy`"):
        fit_lennard_jones_prior(generate_dataset(2), orm.Dict({"wall_enrgy": 3.0}))


def test_a_node_that_is_no_prior_is_not_stored(generate_prior: Callable[..., Any]) -> None:
    with pytest.raises(ValidationError, match="lacks `repulsion`"):
        LennardJonesPriorData({"species": ["C"], "attraction": [[0.0]], "offsets": [0.0], "cutoff": 5.0}).store()
