"""Data sets: full precision, content that depends on the data alone, and what they say about themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.science.labels.states import LabelState
from tests.conftest import LEVEL_OF_THEORY


def content(node: orm.SinglefileData) -> bytes:
    return node.base.repository.get_object_content(node.filename, mode="rb")


def node_hash(node: orm.Node) -> str:
    return node.base.caching.compute_hash()


def test_numbers_come_back_as_they_were(
    labelled_frames: Callable[..., list[Atoms]], generate_dataset: Callable[..., Any]
) -> None:
    frames = labelled_frames(2)
    smaller = frames[0][:5]
    smaller.positions[0, 0] = 1 / 3
    smaller.calc = SinglePointCalculator(smaller, energy=-1 / 7, forces=np.full((5, 3), np.pi))
    frames.append(smaller)
    node = orm.load_node(generate_dataset(frames).pk)
    assert len(node.frames()) == 3
    for given, read in zip(frames, node.frames(), strict=True):
        assert read.get_chemical_symbols() == given.get_chemical_symbols()
        assert read.pbc.all()
        for name in ("positions", "cell"):
            assert np.array_equal(np.asarray(getattr(read, name)), np.asarray(getattr(given, name)))
        assert read.get_potential_energy() == given.get_potential_energy()
        assert np.array_equal(read.get_forces(), given.get_forces())


def test_equal_data_have_equal_bytes_and_hashes(generate_dataset: Callable[..., Any]) -> None:
    first, second = generate_dataset(3), generate_dataset(3)
    assert first.uuid != second.uuid
    assert content(first) == content(second)
    assert node_hash(first) == node_hash(second)


def test_other_data_have_other_hashes(
    labelled_frames: Callable[..., list[Atoms]], generate_dataset: Callable[..., Any]
) -> None:
    frames = labelled_frames(3)
    changed = labelled_frames(3)
    changed[0].calc.results["energy"] = np.nextafter(changed[0].calc.results["energy"], 0.0)
    nodes = [generate_dataset(given) for given in (frames, frames[::-1], frames[:2], changed)]
    nodes.append(generate_dataset(frames, ecutwfc=40.0))
    assert len({node_hash(node) for node in nodes}) == 5


def test_no_identifier_or_path_inside(generate_dataset: Callable[..., Any], tmp_path: Any) -> None:
    node = generate_dataset(2)
    inside = content(node) + repr(node.base.attributes.all).encode()
    for stranger in (node.uuid, node.ctime.date().isoformat(), str(tmp_path.parent), "/tmp"):
        assert stranger.encode() not in inside


def test_what_it_says_about_itself(
    labelled_frames: Callable[..., list[Atoms]], generate_dataset: Callable[..., Any]
) -> None:
    frames = labelled_frames(3)
    frames[1].info.update(charge=-1, spin=1)
    node = generate_dataset(frames)
    assert (node.n_frames, node.species, node.formulas) == (3, ["C", "Si"], {"C7Si7": 3})
    assert node.base.attributes.get("n_atoms") == 42
    assert node.state_counts == {LabelState(0, 2): 2, LabelState(-1, 1): 1}
    assert node.states() == [LabelState(0, 2), LabelState(-1, 1), LabelState(0, 2)]
    assert node.levels_of_theory[0]["settings"]["ecutwfc"] == 30.0


def test_nothing_is_filled_in(generate_dataset: Callable[..., Any]) -> None:
    """A frame that says nothing has neither charge nor spin; it is no neutral singlet."""
    assert generate_dataset(2, state=(None, None)).states() == [LabelState(None, None)] * 2
    assert generate_dataset(2, state=(None, None)).base.caching.compute_hash() != (
        generate_dataset(2, state=(0, 0)).base.caching.compute_hash()
    )


def test_levels_stand_once_in_the_order_of_the_configurations(labelled_frames: Callable[..., list[Atoms]]) -> None:
    """So that the content does not tell how the levels were listed."""
    low, high, unused = ({**LEVEL_OF_THEORY, "settings": {"ecutwfc": cutoff}} for cutoff in (30.0, 60.0, 90.0))

    def dataset(indices: list[int], levels: list[Any]) -> LabelledDataSetData:
        frames = labelled_frames(3)
        for frame, index in zip(frames, indices, strict=True):
            frame.info["level_of_theory"] = index
        return LabelledDataSetData.from_frames(frames, levels).store()

    one, other = dataset([1, 0, 1], [low, high]), dataset([3, 2, 0], [high, unused, low, high])
    assert one.levels_of_theory == other.levels_of_theory == [high, low]
    assert content(one) == content(other) and node_hash(one) == node_hash(other)
    assert [state.level for state in one.states()] == [frame.info["level_of_theory"] for frame in one.frames()]
    assert [state.level for state in one.states()] == [0, 1, 0]
    with pytest.raises(InputError, match="configuration 1 is at level of theory 2, but there are 2, from 0"):
        dataset([0, 2, 0], [low, high])


def test_settings_of_charge_and_spin_are_no_part_of_a_level(labelled_frames: Callable[..., list[Atoms]]) -> None:
    settings = {"ecutwfc": 30.0, "tot_charge": -1.0, "tot_magnetization": 1.0}
    node = LabelledDataSetData.from_frames(labelled_frames(1), [{**LEVEL_OF_THEORY, "settings": settings}])
    assert node.levels_of_theory[0]["settings"] == {"ecutwfc": 30.0}
    assert node.states() == [LabelState(0, 2)], "those of the frame"


def test_empty_or_unlabelled_data_are_refused(divacancy: Atoms) -> None:
    level: list[Any] = [{"settings": {}}]
    with pytest.raises(InputError, match="no configuration; give at least one label"):
        LabelledDataSetData.from_frames([], level)
    with pytest.raises(InputError, match="energy"):
        LabelledDataSetData.from_frames([divacancy], level)


def test_node_made_by_other_means_is_not_stored() -> None:
    node = LabelledDataSetData.from_bytes(b"anything", filename="frames.npz")
    with pytest.raises(ValidationError, match=r"levels_of_theory.*make the node with `from_frames`"):
        node.store()
