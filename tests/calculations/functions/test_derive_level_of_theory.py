"""The level of theory of a labelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from ase import Atoms

from aiida_sicmlip.calculations.functions.derive_level_of_theory import derive_level_of_theory
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData


@pytest.fixture
def frame(labelled_frames: Callable[..., list[Atoms]]) -> Atoms:
    return labelled_frames(1)[0]


def test_settings_that_change_energies(
    generate_label: Callable[..., Any], level_of: Callable[..., Any], frame: Atoms
) -> None:
    node = level_of(generate_label(frame))
    assert isinstance(node, LevelOfTheoryData)
    level = node.get_dict()
    assert (level["program"], level["functional"]) == ("quantumespresso.pw", "PBE")
    assert level["settings"] == {"ecutrho": 240.0, "ecutwfc": 30.0, "nspin": 2}
    assert level["kpoints"] == {"mesh": [1, 1, 1], "offset": [0.0, 0.0, 0.0]}
    assert sorted(level["pseudopotentials"]) == ["C", "Si"]
    assert all(len(md5) == 32 for md5 in level["pseudopotentials"].values())


def test_node_has_a_creator_with_all_inputs(
    generate_label: Callable[..., Any], level_of: Callable[..., Any], frame: Atoms
) -> None:
    creator = level_of(generate_label(frame)).creator
    assert creator.process_label == "derive_level_of_theory"
    assert set(creator.inputs) == {"parameters", "kpoints", "code", "C", "Si"}


def test_convergence_settings_do_not_count(
    generate_label: Callable[..., Any], level_of: Callable[..., Any], frame: Atoms
) -> None:
    first = level_of(generate_label(frame))
    assert first.differences(level_of(generate_label(frame, conv_thr=1e-9, mixing_beta=0.1))) == []
    assert first.differences(level_of(generate_label(frame, ecutwfc=40.0))) == [("ecutwfc", 30.0, 40.0)]


def test_points_given_one_by_one(generate_label: Callable[..., Any], frame: Atoms) -> None:
    inputs = generate_label(frame).creator.inputs
    points = orm.KpointsData()
    points.set_kpoints([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    level = derive_level_of_theory(inputs.parameters, points, inputs.code, **inputs.pseudos)
    assert level["kpoints"]["points"] == [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]
