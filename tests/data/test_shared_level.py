"""Data sets of before each configuration had its charge, spin and level of theory: one level was shared by all.

The fixture is the validation set of a run of that time: four neutral triplet divacancies, labelled by pw.x.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.labels.level_of_theory import potential_level_of_theory
from aiida_sicmlip.science.labels.states import LabelState, require_one_surface

FOLDER = Path(__file__).parent / "fixtures" / "shared_level"
ATTRIBUTES = json.loads((FOLDER / "attributes.json").read_text())


@pytest.fixture
def old(aiida_profile: Any) -> Callable[..., LabelledDataSetData]:
    """Makes a node as earlier versions did: its level of theory; names are settings of the level."""

    def make(level: dict[str, Any] = ATTRIBUTES["level_of_theory"], **settings: Any) -> LabelledDataSetData:
        node = LabelledDataSetData(FOLDER / "frames.npz", "frames.npz")
        given = {**level["settings"], **settings}
        level = {**level, "settings": {name: value for name, value in given.items() if value is not None}}
        node.base.attributes.set_many({**ATTRIBUTES, "level_of_theory": level})
        return node.store()

    return make


def test_configurations_are_read_as_they_were(old: Callable[..., LabelledDataSetData]) -> None:
    frames = old().frames()
    assert [frame.get_potential_energy() for frame in frames] == [
        *(-2714.298034663101, -2714.9243936571233, -2713.6166678881486, -2714.7402771102356)
    ]
    assert frames[2].get_forces()[3].tolist() == [0.5325602278117244, -0.32224737597361575, 0.5850672561650103]
    with np.load(FOLDER / "frames.npz") as arrays:
        assert np.array_equal(np.concatenate([frame.positions for frame in frames]), arrays["positions"])
        assert np.array_equal([frame.cell.array for frame in frames], arrays["cells"])
    assert {tuple(sorted(frame.info.items())) for frame in frames} == {
        (("charge", 0), ("level_of_theory", 0), ("spin", 2))
    }


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ({}, LabelState(0, 2)),
        ({"tot_charge": -1.0, "tot_magnetization": 1.0}, LabelState(-1, 1)),
        ({"nspin": None, "tot_magnetization": None}, LabelState(0, 0)),
        ({"tot_magnetization": None, "starting_magnetization": {"Si": 0.5}}, LabelState(0, None)),
        ({"tot_charge": 0.5}, LabelState(None, 2)),
    ],
)
def test_charge_and_spin_are_those_of_the_level(
    old: Callable[..., LabelledDataSetData], settings: dict[str, Any], state: LabelState
) -> None:
    """pw.x is neutral by default, and without spin polarisation no electron is unpaired."""
    node = old(**settings)
    assert node.states() == [state] * 4
    assert node.state_counts == {state: 4}
    assert "tot_magnetization" not in node.levels_of_theory[0]["settings"]


def test_labels_by_a_potential_have_neither(old: Callable[..., LabelledDataSetData]) -> None:
    assert old(potential_level_of_theory("edip/multi", "1" * 32)).state_counts == {LabelState(None, None): 4}


def test_hash_is_that_of_the_old_node(old: Callable[..., LabelledDataSetData]) -> None:
    """A file that was stored is never written again, so that what is verified is what was stored."""
    node = old()
    assert node.get_content(mode="rb") == (FOLDER / "frames.npz").read_bytes()
    assert node.base.attributes.all == ATTRIBUTES
    assert node.base.caching.get_hash() == node.base.caching.compute_hash()


def test_old_and_new_sets_go_together(
    old: Callable[..., LabelledDataSetData], generate_label: Callable[..., Any], level_of: Callable[..., Any]
) -> None:
    given = old()
    part = subset_dataset(given, orm.List([1, 3]))
    rest = subset_dataset(given, orm.List([0, 2]))
    assert part.states() == [LabelState(0, 2)] * 2
    assert part.levels_of_theory == given.levels_of_theory
    merged = merge_datasets(dataset_00=part, dataset_01=rest)
    assert [frame.get_potential_energy() for frame in merged.frames()] == [
        given.frames()[place].get_potential_energy() for place in (1, 3, 0, 2)
    ]
    with pytest.raises(InputError, match="are in an earlier data set, exactly: 0"):
        merge_datasets(dataset_00=given, dataset_01=part)
    frame = given.frames()[0]
    calculator, frame.positions = frame.calc, frame.positions + 0.01
    calculator.atoms = frame.copy()
    label = generate_label(frame, tot_charge=-1, tot_magnetization=1)
    grown = extend_dataset(level_of(label), previous=given, label_000004=label)
    assert grown.states() == [LabelState(0, 2, 0)] * 4 + [LabelState(-1, 1, 1)]


def test_old_and_new_sets_are_trained_together(old: Callable[..., LabelledDataSetData]) -> None:
    part = subset_dataset(old(), orm.List([1, 3]))
    require_one_surface({"the training set": old().surfaces, "the validation set": part.surfaces}, "a training")
    charged = old(tot_charge=1.0, tot_magnetization=1.0)
    with pytest.raises(InputError, match=r"the charge is \+1 e for 4 configurations of the training set, and 0 e"):
        require_one_surface({"the training set": charged.surfaces, "the validation set": part.surfaces}, "a training")
