"""Comparisons of nodes of each kind."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.tools.comparison import compare_contents


def text_of(first, second) -> str | None:
    """Return in words in what two nodes differ, None where they are the same."""
    found = compare_contents("x", first, second)
    assert found.name == "x"
    return None if found.identical else found.text


def array(**values) -> orm.ArrayData:
    node = orm.ArrayData()
    for name, value in values.items():
        node.set_array(name, np.asarray(value))
    return node


@pytest.mark.usefixtures("aiida_profile")
def test_numbers_in_arrays_and_dictionaries() -> None:
    assert text_of(array(a=[1.0, 2.0]), array(a=[1.0, 2.0])) is None
    assert text_of(array(a=[1.0, 2.0]), array(a=[1.0, 2.5])) == "`a` differs by up to 0.5"
    assert text_of(array(a=[1.0]), array(a=[1.0, 2.0])) == "`a` has the shapes (1,) and (2,)"
    assert text_of(array(a=[np.nan]), array(a=[np.nan])) is None
    assert text_of(orm.Dict({"a": {"b": 1.0}}), orm.Dict({"a": {"b": 1.5}})) == "`a.b` differs by up to 0.5: 1 and 1.5"
    assert text_of(orm.Dict({"a": "x"}), orm.Dict({"a": "y"})) == "`a` is 'x' and 'y'"
    assert text_of(orm.Dict({"a": 1}), orm.Dict({"b": 1})) == "`a` is there once only; `b` is there once only"
    many = orm.Dict({f"k{index}": index for index in range(6)}), orm.Dict({f"k{index}": -1 for index in range(6)})
    assert text_of(*many).endswith("2 more entries differ")


@pytest.mark.usefixtures("aiida_profile")
def test_what_says_when_and_where_does_not_count() -> None:
    one = orm.Dict({"seconds": 1.0, "versions": {"torch": "1"}, "force_mae": 0.1, "wall_time": "1 s"})
    other = orm.Dict({"seconds": 2.0, "versions": {"torch": "2"}, "force_mae": 0.1, "wall_time": "2 s"})
    assert text_of(one, other) is None


@pytest.mark.usefixtures("aiida_profile")
def test_structures_values_lists_and_files(divacancy) -> None:
    moved = divacancy.copy()
    moved.positions[0, 0] += 0.25
    assert text_of(orm.StructureData(ase=divacancy), orm.StructureData(ase=divacancy)) is None
    assert text_of(orm.StructureData(ase=divacancy), orm.StructureData(ase=moved)) == "positions differ by up to 0.25 A"
    assert "another order" in text_of(orm.StructureData(ase=divacancy), orm.StructureData(ase=divacancy[::-1]))
    assert text_of(orm.Int(1), orm.Int(2)) == "1 and 2"
    assert text_of(orm.List([1]), orm.List([2])) == "other entries"
    files = [orm.SinglefileData.from_string(content) for content in ("a", "a", "b")]
    assert text_of(files[0], files[1]) is None
    assert text_of(files[0], files[2]) == "other content of the file"
    assert text_of(orm.Int(1), orm.Float(1.0)) == "a Int and a Float"


def test_data_sets(generate_dataset, labelled_frames) -> None:
    frames = labelled_frames(3)
    assert text_of(generate_dataset(frames), generate_dataset(frames)) is None
    assert text_of(generate_dataset(frames), generate_dataset(frames[::-1])) == "another order"
    assert "1 and 0 configurations" in text_of(generate_dataset(frames), generate_dataset(frames[:2]))
    changed = labelled_frames(3)
    changed[1].calc.results["energy"] += 0.5
    assert "1 labels differ, by up to 0.5 eV" in text_of(generate_dataset(frames), generate_dataset(changed))


def test_trajectories(generate_segment) -> None:
    first = generate_segment(0)
    assert text_of(first, generate_segment(0)) is None
    assert text_of(first, generate_segment(0, n_frames=20)) == "30 and 20 frames; the common frames are the same"
    assert "apart from frame" in text_of(first, generate_segment(1))
