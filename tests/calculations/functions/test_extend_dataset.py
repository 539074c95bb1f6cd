"""Data sets from labels: order, places, lineage, and labels that do not belong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms

from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.labels.states import LabelState


def places(labels: list[Any], start: int = 0) -> dict[str, Any]:
    return {f"label_{start + index:06d}": label for index, label in enumerate(labels)}


def assert_same(read: list[Atoms], given: list[Atoms]) -> None:
    assert len(read) == len(given)
    for one, other in zip(read, given, strict=True):
        assert one.get_chemical_symbols() == other.get_chemical_symbols()
        for name in ("positions", "cell"):
            assert np.array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))
        assert one.get_potential_energy() == other.get_potential_energy()
        assert np.array_equal(one.get_forces(), other.get_forces())


@pytest.fixture
def frames(labelled_frames: Callable[..., list[Atoms]]) -> list[Atoms]:
    return labelled_frames(5)


@pytest.fixture
def labels(generate_label: Callable[..., Any], frames: list[Atoms]) -> list[Any]:
    return [generate_label(frame) for frame in frames]


def test_labels_stand_at_their_places(frames: list[Atoms], labels: list[Any], level: Any) -> None:
    # The order of the places counts, not the one of the arguments.
    given = dict(reversed(places(labels).items()))
    dataset = extend_dataset(level, **given)
    assert isinstance(dataset, LabelledDataSetData)
    assert_same(dataset.frames(), frames)
    assert dataset.levels_of_theory == [level.get_dict()]
    assert (dataset.n_frames, dataset.species) == (5, ["C", "Si"])
    assert dataset.state_counts == {LabelState(0, 2, 0): 5}


def test_each_label_is_a_link_with_its_place(labels: list[Any], level: Any) -> None:
    dataset = extend_dataset(level, **places(labels[:3]))
    links = dataset.creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    found = {link.link_label: link.node.uuid for link in links}
    assert {name: found[name] for name in places(labels[:3])} == {
        name: label.uuid for name, label in places(labels[:3]).items()
    }
    assert set(found) - set(places(labels[:3])) == {"level_of_theory"}


def test_extended_set_takes_the_earlier_set_and_new_labels_only(
    frames: list[Atoms], labels: list[Any], level: Any
) -> None:
    first = extend_dataset(level, **places(labels[:3]))
    second = extend_dataset(level, previous=first, **places(labels[3:], start=3))
    assert_same(second.frames(), frames)
    assert set(second.creator.inputs) == {"level_of_theory", "previous", "label_000003", "label_000004"}
    assert second.creator.inputs.previous.uuid == first.uuid
    assert first.n_frames == 3


def test_way_of_growing_does_not_show_in_the_content(labels: list[Any], level: Any) -> None:
    at_once = extend_dataset(level, **places(labels))
    grown = extend_dataset(level, previous=extend_dataset(level, **places(labels[:2])), **places(labels[2:], start=2))
    assert at_once.get_content(mode="rb") == grown.get_content(mode="rb")
    assert at_once.base.caching.compute_hash() == grown.base.caching.compute_hash()


@pytest.mark.parametrize(("start", "previous"), [(1, False), (0, True), (3, True)])
def test_places_must_follow_the_earlier_configurations(
    labels: list[Any], level: Any, start: int, previous: bool
) -> None:
    given = {"previous": extend_dataset(level, **places(labels[:2]))} if previous else {}
    expected = "label_000002" if previous else "label_000000"
    with pytest.raises(InputError, match=f"have to be named {expected}"):
        extend_dataset(level, **given, **places(labels[2:3], start=start))


@pytest.mark.parametrize(
    "case",
    [
        ({"ecutwfc": 45.0}, "`ecutwfc` is 45.0 there and 30.0 here"),
        ({"nspin": 1, "tot_magnetization": None}, "`nspin` is 1 there and 2 here"),
    ],
)
def test_label_of_another_level_is_refused(
    generate_label: Callable[..., Any],
    frames: list[Atoms],
    labels: list[Any],
    level: Any,
    case: tuple[dict[str, Any], str],
) -> None:
    change, message = case
    stranger = generate_label(frames[4], **change)
    with pytest.raises(InputError, match=f"label `label_000001` <{stranger.pk}> was computed at another") as caught:
        extend_dataset(level, **places([labels[0], stranger]))
    assert message in str(caught.value)


def test_charge_and_spin_are_those_of_each_calculation(
    generate_label: Callable[..., Any], frames: list[Atoms], level_of: Callable[..., Any]
) -> None:
    settings: list[dict[str, Any]] = [{}, {"tot_charge": -1, "tot_magnetization": 1}, {"tot_magnetization": 0}]
    settings.append({"tot_magnetization": None, "starting_magnetization": {"Si": 0.5}})
    labels = [generate_label(frame, **changes) for frame, changes in zip(frames, settings, strict=False)]
    dataset = extend_dataset(level_of(labels[0]), **places(labels[:3]))
    assert dataset.states() == [LabelState(0, 2), LabelState(-1, 1), LabelState(0, 0)]
    assert len(dataset.levels_of_theory) == 1
    # With a free moment, the start decides on which surface the label lies.
    free = extend_dataset(level_of(labels[3]), previous=dataset, **places(labels[3:], start=3))
    assert free.states() == [*dataset.states(), LabelState(0, None, 1)]
    assert free.levels_of_theory[1]["settings"]["starting_magnetization"] == {"Si": 0.5}


def test_earlier_set_of_another_level_is_extended(
    generate_label: Callable[..., Any], frames: list[Atoms], labels: list[Any], level: Any, level_of: Callable[..., Any]
) -> None:
    previous = extend_dataset(level, **places(labels[:1]))
    other = generate_label(frames[1], ecutwfc=60.0)
    mixed = extend_dataset(level_of(other), previous=previous, **places([other], start=1))
    back = extend_dataset(level, previous=mixed, **places(labels[2:3], start=2))
    assert [entry["settings"]["ecutwfc"] for entry in back.levels_of_theory] == [30.0, 60.0]
    assert [state.level for state in back.states()] == [0, 1, 0]


def test_old_level_nodes_still_serve(labels: list[Any], level: Any) -> None:
    """Levels of before held charge and spin; a retraining extends by labels of that time."""
    content = level.get_dict()
    old = LevelOfTheoryData({**content, "settings": {**content["settings"], "tot_magnetization": 2.0}})
    made = [extend_dataset(node, **places(labels[:2])) for node in (old, level)]
    assert made[0].base.caching.compute_hash() == made[1].base.caching.compute_hash()


def test_handlers_may_change_how_it_converged(
    generate_label: Callable[..., Any], frames: list[Atoms], labels: list[Any], level: Any
) -> None:
    handled = generate_label(frames[1], mixing_beta=0.1)
    assert extend_dataset(level, **places([labels[0], handled])).n_frames == 2


@pytest.mark.parametrize(("name", "words"), [("forces", "holds no `forces`"), ("energy", "holds no `energy`")])
def test_incomplete_label_is_refused(
    generate_label: Callable[..., Any], frames: list[Atoms], level_of: Callable[..., Any], name: str, words: str
) -> None:
    label = generate_label(frames[0], leave_out=(name,))
    with pytest.raises(InputError, match=f"label `label_000000` <{label.pk}> {words}"):
        extend_dataset(level_of(label), **places([label]))


def test_label_without_a_creator_is_refused(frames: list[Atoms], level: Any) -> None:
    orphan = orm.TrajectoryData()
    orphan.set_trajectory(list(frames[0].symbols), frames[0].positions[None], cells=frames[0].cell.array[None])
    orphan.set_array("energy", np.array([1.0]))
    orphan.set_array("forces", frames[0].positions[None])
    with pytest.raises(InputError, match="was not made by a calculation, so that its level of theory is unknown"):
        extend_dataset(level, **places([orphan.store()]))


def test_no_labels_and_no_earlier_set(level: Any) -> None:
    with pytest.raises(InputError, match="no configuration"):
        extend_dataset(level)
