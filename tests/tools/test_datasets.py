"""Rounds, start structures and indices of configurations, read from graphs that are made by hand."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.datasets import origins_of_dataset, select_indices, source_columns
from tests.graphs.datasets import Learned
from tests.graphs.explorations import Explored


@pytest.fixture
def learned(aiida_profile_clean, divacancy, variables, generate_label, labelled_frames) -> Learned:
    return Learned(Explored(divacancy, variables), generate_label, labelled_frames(6))


def test_rounds_and_start_structures(learned: Learned) -> None:
    found = origins_of_dataset(learned.datasets[1])
    assert [origin.round for origin in found] == [0, 0, 1, 1]
    assert [origin.start for origin in found] == ["vv", "antisite_pair"] * 2
    assert [(origin.source.segment, origin.source.frame) for origin in found] == learned.picks


def test_origins_survive_parts_and_merges(learned: Learned, generate_dataset) -> None:
    part = subset_dataset(learned.datasets[1], orm.List([1, 2]))
    other = LabelledDataSetData.from_frames(learned.frames[4:], part.levels_of_theory).store()
    merged = merge_datasets(dataset_00=other, dataset_01=part)
    found = origins_of_dataset(merged)
    assert [origin.round for origin in found] == [None, None, 0, 1]
    assert [origin.start for origin in found] == [None, None, "antisite_pair", "vv"]
    assert select_indices(merged, rounds=[0, 1]) == [2, 3]


def test_places(learned: Learned) -> None:
    dataset, labels = learned.datasets[1], learned.labels
    assert select_indices(dataset) == [0, 1, 2, 3]
    assert select_indices(dataset, rounds=[1]) == [2, 3]
    assert select_indices(dataset, structures=["vv"]) == [0, 2]
    assert select_indices(dataset, rounds=[1], structures=["vv"]) == [2]
    assert select_indices(dataset, labels=[labels[3].pk, labels[0].uuid, labels[1]]) == [0, 1, 3]
    assert select_indices(dataset, indices=[3, 1], structures=["antisite_pair"]) == [1, 3]
    assert select_indices(dataset, indices=[]) == []


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"rounds": [2]}, "is of round 2; its rounds are 0, 1"),
        ({"structures": ["antisite"]}, "started from `antisite`. Did you mean `antisite_pair`"),
        ({"labels": [987654]}, "`labels` is 987654, and no node is called that"),
        ({"labels": ["zz"]}, "`labels` is zz, and no node is called that"),
        ({"indices": [4]}, "has no configuration 4; its indices are 0 to 3"),
        ({"indices": [-1]}, "has no configuration -1"),
    ],
)
def test_what_is_not_there(learned: Learned, conditions, words: str) -> None:
    with pytest.raises(InputError, match=words):
        select_indices(learned.datasets[1], **conditions)


def test_label_of_another_set(learned: Learned) -> None:
    with pytest.raises(InputError, match=f"has no label <{learned.labels[3].pk}>"):
        select_indices(learned.datasets[0], labels=[learned.labels[3].pk])


def test_set_outside_of_a_loop(generate_dataset) -> None:
    dataset = generate_dataset(2)
    assert [(origin.round, origin.start) for origin in origins_of_dataset(dataset)] == [(None, None)] * 2
    with pytest.raises(InputError, match="none was added in a round"):
        select_indices(dataset, rounds=[0])
    with pytest.raises(InputError, match="None was picked from a trajectory"):
        select_indices(dataset, structures=["vv"])
    assert source_columns(dataset) == [{}, {}]


def test_columns_identify_the_sources(learned: Learned) -> None:
    columns = source_columns(learned.datasets[1])
    last = columns[3]
    label = orm.load_node(last["label_uuid"])
    assert label.pk == learned.labels[3].pk
    assert last["calculation_uuid"] == label.creator.uuid
    assert last["structure_uuid"] == label.creator.inputs.structure.uuid
    assert last["selection_uuid"] == label.creator.inputs.structure.creator.uuid
    trajectory = orm.load_node(last["trajectory_uuid"])
    description = label.creator.inputs.structure.creator.inputs.candidates.creator
    assert trajectory.uuid == description.inputs.trajectories.vv.s03.uuid
    assert (last["segment"], last["frame"], last["round"], last["start_structure"]) == (3, 11, 1, "antisite_pair")
    assert set(last) == {
        *(f"{name}_uuid" for name in ("label", "calculation", "structure", "selection", "trajectory")),
        *("segment", "frame", "round", "start_structure"),
    }
