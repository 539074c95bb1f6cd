"""Runs as text."""

from __future__ import annotations

import datetime

import pytest

from aiida_sicmlip.reports.run.tables import (
    progress_events,
    results_table,
    round_status,
    status_lines,
    verdict,
)
from aiida_sicmlip.reports.text import duration, table
from aiida_sicmlip.tools.runs import Round, Run, Step

START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)


def step(pk: int, begin: float, seconds: float, state: str = "finished", status: int | None = 0) -> Step:
    """Return a step that began ``begin`` s after the start."""
    started = START + datetime.timedelta(seconds=begin)
    return Step(pk, state, status, started, started + datetime.timedelta(seconds=seconds))


ASSESSMENT = {
    "training": {"force_mae": 0.1234, "energy_mae": 0.0056},
    "validation": {"force_mae": 0.2345, "energy_mae": 0.0078},
    "exploring": {"force_mae": 0.9, "energy_mae": 0.1, "energy_offset_fitted": True},
}


@pytest.fixture
def run() -> Run:
    """A run whose first round is complete and whose second is labelling."""
    first = Round(
        0,
        {"exploration": step(1, 0, 10), "labelling": step(2, 10, 100), "training": step(3, 110, 50)},
        ASSESSMENT,
        8,
        4,
        12,
        11,
        1,
    )
    second = Round(1, {"exploration": step(4, 200, 10), "labelling": step(5, 210, 0, "waiting", None)}, labels_asked=12)
    second.labels_done = 3
    return Run(7, "waiting", None, None, START, START, 3, [first, second])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (9000, "2 h 30 min")]
)
def test_duration(seconds, text):
    """Times are said as people say them."""
    assert duration(seconds) == text


def test_table_is_aligned():
    """Columns end at the same place in each line."""
    lines = table(("a", "long\nhead"), [("x", "1"), ("yy", "22.5")]).splitlines()
    assert lines[0] == "    long"
    assert lines[1] == "a   head"
    assert lines[3:] == ["x      1", "yy  22.5"]


def test_results_table_holds_the_errors(run):
    """Forces in eV/A, energies in meV/atom, a dash where there is nothing, a star at shifted energies."""
    text = results_table(run)
    row = next(line for line in text.splitlines() if line.startswith("0 "))
    assert row.split() == ["0", "8", "/", "4", "11", "/", "1", "0.123", "0.234", "0.900", "5.6", "7.8", "100.0*"]
    assert next(line for line in text.splitlines() if line.startswith("1 ")).split()[-1] == "-"
    assert "*: a classical potential" in text
    times = next(line for line in text.splitlines() if line.startswith("round 0"))
    assert "1 min 40 s" in times and "50 s" in times


def test_fixed_set_has_columns_where_there_is_one(run):
    """It stands beside the set that changes, and is said of each round."""
    assert "fixed" not in results_table(run)
    fixed = {"force_mae": 0.3456, "energy_mae": 0.009, "migrating": {"n_atoms": 3, "score": 0.25}}
    run.rounds[0].assessment = {**ASSESSMENT, "fixed_validation": fixed}
    text = results_table(run)
    row = next(line for line in text.splitlines() if line.startswith("0 ")).split()
    assert row[7:] == ["0.123", "0.234", "0.346", "0.900", "5.6", "7.8", "9.0", "100.0*", "-", "0.25", "(3)", "-"]
    assert "fixed: validation set that is the same in all rounds" in text
    assert any(event.endswith("eV/A on validation, 0.346 on the fixed set") for event in progress_events(run))
    assert "0.346 on the fixed set, " in round_status(run.rounds[0], run)


def test_results_table_holds_scores_where_there_are_any(run):
    """Score and number of atoms; no columns where nothing migrates."""
    assert "P (migrating" not in results_table(run)
    scored = {
        "validation": {"migrating": {"n_atoms": 14, "score": 0.623}},
        "exploring": {"migrating": {"n_atoms": 0, "score": None}},
    }
    run.rounds[0].assessment = {name: {**errors, **scored.get(name, {})} for name, errors in ASSESSMENT.items()}
    text = results_table(run)
    assert "P (migrating atoms)" in text
    row = next(line for line in text.splitlines() if line.startswith("0 "))
    assert row.split()[-4:] == ["100.0*", "0.62", "(14)", "-"]
    assert "P: score" in text


def test_status_says_step_and_counts(run):
    """The round that is running shows its step, its counts and what is left."""
    lines = status_lines(run)
    assert "running" in lines[0]
    assert "round 0 (1 of at most 3): force MAE 0.123 eV/A" in lines[1]
    assert "round 1 (2 of at most 3): labelling, 3 of 12 labels" in lines[2]
    assert lines[3].startswith("  expected: at most")


def test_a_failed_label_is_not_hidden(run):
    """Failed labels are counted beside the done ones."""
    run.rounds[1].labels_failed = 2
    assert "2 failed" in round_status(run.rounds[1], run)


@pytest.mark.parametrize(
    ("state", "status", "message", "text"),
    [
        ("waiting", None, None, "running"),
        ("finished", 0, None, "finished, converged"),
        ("finished", 701, "why", "finished with status 701: why"),
        ("killed", None, "killed: Killed by a user", "killed: Killed by a user"),
        ("excepted", None, None, "excepted"),
    ],
)
def test_verdict(run, state, status, message, text):
    """How a run ended, in words; of one that did not finish, why."""
    ended = Run(7, state, status, message, START, START, 3, run.rounds)
    assert verdict(ended) == text


def test_events_come_in_order_and_stay(run):
    """What has happened is only ever added to."""
    before = progress_events(run)
    run.rounds[1].labels_done = 4
    after = progress_events(run)
    assert after[: len(before)] == before
    assert after[len(before) :] == ["round 1 (2 of at most 3): label 4 of 12"]
