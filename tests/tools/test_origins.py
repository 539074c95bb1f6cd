"""From which start structures and temperatures a selection picked, read from graphs that are made by hand."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from aiida import orm
from ase import Atoms
from click.testing import CliRunner

from aiida_sicmlip.calculations.functions.build_structure import build_defect_structure
from aiida_sicmlip.cli import main
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.origins import OriginOfSegment, PickShare, composition_of_selection, defect_in_words
from aiida_sicmlip.tools.selections import round_selections
from tests.graphs.explorations import Explored

HOST = {"repeats": [2, 2, 2], "cell": "primitive"}


@pytest.fixture
def explored(aiida_profile_clean, divacancy, variables) -> Explored:
    return Explored(divacancy, variables)


def segment(explored: Explored, temperature: float | None):
    """Return a run at a temperature, or with what a run has by default."""
    given = {"production": 20.0} if temperature is None else {"production": 20.0, "temperature": temperature}
    explored.parameters = orm.Dict(given).store()
    return explored.segment(biased=False)


@pytest.fixture
def run(explored):
    """Two rounds: one start structure at two temperatures, and the other at the default one."""
    run = explored.run()
    given = explored.structure
    built = build_defect_structure(orm.Dict(HOST), orm.List([{"kind": "divacancy"}]), orm.Int(1))
    for index in range(2):
        explored.structure = built
        segments = [segment(explored, 1000.0), segment(explored, 1500.0), segment(explored, 1500.0)]
        explored.structure = given
        segments.append(segment(explored, None))
        picks = [(0, 3), (1, 2), (1, 20), (2, 5), (3, 7), (3, 25)] if index == 0 else [(0, 4), (3, 9), (3, 29)]
        explored.selection(run, index, segments, picks, starts=["vv", "vv", "vv", "other"])
    return run


def shares_of(entry):
    picks = entry.picks
    roles = [ROLES[role] for role in picks.get_array("role")]
    return roles, composition_of_selection(entry.selection, roles, picks.get_array("segment").tolist())


def test_composition(run) -> None:
    first, second = round_selections(run)
    roles, shares = shares_of(first)
    formula = "C7Si7"
    assert [share.origin for share in shares] == [
        OriginOfSegment("other", formula, 14, None),
        OriginOfSegment("vv", "divacancy", 14, 1000.0),
        OriginOfSegment("vv", "divacancy", 14, 1500.0),
    ]
    assert [share.n_frames for share in shares] == [30, 30, 60]
    # Counted again, frame by frame: segments 0 to 3 of the round are those of the fixture.
    where = {0: 1, 1: 2, 2: 2, 3: 0}
    expected = [dict.fromkeys(ROLES, 0) for _ in shares]
    for role, number in zip(roles, first.picks.get_array("segment"), strict=True):
        expected[where[int(number)]][role] += 1
    assert [{role: share.picks[role] for role in ROLES} for share in shares] == expected
    assert sum(sum(counts.values()) for counts in expected) == 6
    # Frames are those of the round itself; its picks may be of the round before, whose segments have other numbers.
    roles, shares = shares_of(second)
    assert [share.n_frames for share in shares] == [30, 30, 60]
    assert sum(sum(share.picks.values()) for share in shares) == len(roles)
    # Segments are numbered through both rounds; the first of the second is the fifth.
    assert sum(share.n_earlier for share in shares) == (second.picks.get_array("segment") < 4).sum()


def test_picks_in_words() -> None:
    """An origin of an earlier round has no frames in this one."""
    origin = OriginOfSegment("vv", "divacancy", 14, 900.0)
    share = PickShare(origin, 60, Counter(training=3, validation=2), n_earlier=1)
    assert share.in_words == "4 of 60 frames, 1 of earlier rounds"
    assert PickShare(origin, 60).in_words == "0 of 60 frames"
    assert PickShare(origin, 0, Counter(training=1), n_earlier=1).in_words == "1 of earlier rounds"


def test_command_shows_it(run) -> None:
    result = CliRunner().invoke(main, ["selection", str(run.pk), "--round", "0"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith("0") and "vv" in line.split()]
    assert [row[:6] for row in rows] == [
        ["0", "vv", "divacancy", "14", "1000", "30"],
        ["0", "vv", "divacancy", "14", "1500", "60"],
    ]
    # A run without a temperature has the default one.
    assert any(line.split()[:5] == ["0", "other", "C7Si7", "14", "1500"] for line in result.output.splitlines())
    report = json.loads(CliRunner().invoke(main, ["selection", str(run.pk), "--json"]).output)
    composition = report["rounds"][0]["composition"]
    assert [(entry["structure"], entry["temperature"]) for entry in composition] == [
        ("other", 1500.0),
        ("vv", 1000.0),
        ("vv", 1500.0),
    ]
    assert sum(entry["n_training"] + entry["n_validation"] for entry in composition) == 6


@pytest.mark.parametrize(
    ("defects", "words"),
    [
        ([{"kind": "divacancy"}], "divacancy"),
        ([{"kind": "vacancy", "species": "C"}], "vacancy of C"),
        ([{"kind": "antisite", "species": "Si", "on": "C"}], "antisite of Si on C"),
        ([{"kind": "vacancy", "species": "Si", "count": 2}], "2 x vacancy of Si"),
        ([{"kind": "vacancy", "species": "Si"}, {"kind": "vacancy", "species": "C"}], "vacancy of Si + vacancy of C"),
    ],
)
def test_defects_in_words(aiida_profile, defects, words) -> None:
    host = {"repeats": [2, 2, 2]}
    assert defect_in_words(build_defect_structure(orm.Dict(host), orm.List(defects), orm.Int(1))) == words


def test_structure_that_was_given_has_its_formula(divacancy: Atoms) -> None:
    assert defect_in_words(orm.StructureData(ase=divacancy)) == "C7Si7"
