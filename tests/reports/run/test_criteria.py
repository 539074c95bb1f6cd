"""Criteria of convergence as text, round by round."""

from __future__ import annotations

import pytest

from aiida_sicmlip.common.costs import Costs
from aiida_sicmlip.reports.run.criteria import (
    criteria_table,
    final_run_cells,
    novelty_table,
    spread_table,
    verdict_lines,
)
from aiida_sicmlip.reports.run.tables import cost_lines, failure_lines, results_table, status_lines
from aiida_sicmlip.science.evaluation.assessment import assess
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.tools.runs import FailedLabel, Round, Run
from tests.reports.run.test_tables import START, step


def errors(force_mae):
    """Return an evaluation of two configurations."""
    singles = [force_mae / 2, force_mae * 3 / 2]
    return {"force_mae": force_mae, "energy_mae": 0.002, "n_frames": 2, "force_mae_per_frame": singles}


@pytest.fixture
def run():
    """A run of two assessed rounds, with a criterion that is not known in the first."""
    others = ("exploring_force_mae", "migrating_force_mae", "surroundings_force_mae", "rare_event_score")
    criteria = ConvergenceCriteria(novelty=1e-3, minimum_rounds=None, **dict.fromkeys(others))
    first = assess(
        criteria,
        exploring=errors(0.9),
        training=errors(0.04),
        validation=errors(0.2),
        selection={"distances_when_picked": [3e-4, 2e-4, 1e-4], "novelty": None},
        defect_types={"V_C": 2},
    )
    second = assess(
        criteria,
        exploring=errors(0.3),
        training=errors(0.05),
        validation=errors(0.06),
        selection={"distances_when_picked": [1e-4], "novelty": {"median": 5e-4}},
        defect_types={"V_C": 1, "C_Si": 1},
        previous=first,
    )
    steps = {"exploration": step(1, 0, 10)}
    return Run(7, "finished", 0, None, START, START, 3, [Round(0, steps, first), Round(1, steps, second)])


def test_every_criterion_has_a_row_with_its_verdicts(run):
    lines = [line for line in criteria_table(run).splitlines()[2:] if line]
    rows = {" ".join(line.split()) for line in lines}
    assert rows == {
        "force MAE on the training set < 0.1 eV/A 0.04 met 0.05 met",
        "force MAE on the validation set < 0.1 eV/A 0.2 not met 0.06 met",
        "median distance of the picks from the training set < 0.001 unknown not met 0.0005 met",
    }


def test_spread_of_single_configurations(run):
    row = next(line for line in spread_table(run).splitlines() if line.startswith("round 0, validation"))
    assert row.split()[3:] == ["2", "0.100", "0.200", "0.280", "0.300", "100", "%", *5 * ["-"]]
    run.rounds[0].assessment["validation"] |= {
        "migrating": {"n_atoms": 11, "force_mae": 0.75, "score": 0.5},
        "surroundings": {"n_atoms": 44, "force_mae": 0.375},
        "disagreement": {"mean": 0.25},
    }
    row = next(line for line in spread_table(run).splitlines() if line.startswith("round 0, validation"))
    assert row.split()[-5:] == ["11", "0.750", "0.375", "0.500", "0.250"]


def test_free_runs_have_a_row_each(run):
    assert final_run_cells(run) is None
    labels = [{"time": 2.0, "force_mae": 0.05}, {"time": 4.0, "force_mae": 0.07}]
    free = {"structure": "vv", "reached": 10.0, "ended_early": False, "halves": [0.06, None], "labels": labels}
    early = {**free, "reached": 3.5, "ended_early": True, "halves": [None, None], "labels": []}
    run.rounds[1].final_run = {
        "met": False,
        "fit": False,
        "message": "it ended",
        "production": 10.0,
        "runs": [free, early],
    }
    assert [list(row) for row in final_run_cells(run).rows] == [
        ["round 1, vv", "10 of 10", "2", "0.060", "-", "0.070"],
        ["round 1, vv", "3.5 of 10, ended early", "0", "-", "-", "-"],
    ]
    assert "free runs" in results_table(run)
    assert "    final run not passed: it ended" in status_lines(run)


def test_new_defects_and_diversity(run):
    rows = [line.split() for line in novelty_table(run).splitlines()[-2:]]
    assert rows == [
        ["round", "0", "-", "2.00e-04", "1,", "1", "new"],
        ["round", "1", "5.00e-04", "1.00e-04", "2,", "1", "new"],
    ]


def test_results_hold_all_tables(run):
    text = results_table(run)
    for part in (criteria_table(run), spread_table(run), novelty_table(run)):
        assert part in text


def test_status_shows_the_verdicts_of_the_last_complete_round(run):
    lines = status_lines(run)
    assert verdict_lines(run.rounds[1].assessment) == [line.strip() for line in lines[3:6]]
    assert lines[3] == "    met: force MAE on the training set is 0.05 eV/A, below 0.1"
    unknown = verdict_lines(run.rounds[0].assessment)[-1]
    assert unknown.startswith("not met: median distance") and "no training set" in unknown


def test_runs_of_older_versions_have_no_such_tables():
    old = {"training": {"force_mae": 0.1}, "validation": {"force_mae": 0.1}, "exploring": {"force_mae": 0.1}}
    run = Run(7, "finished", 0, None, START, START, 1, [Round(0, {"exploration": step(1, 0, 10)}, old)])
    assert criteria_table(run) is spread_table(run) is novelty_table(run) is None
    assert "force MAE" in results_table(run)


def test_costs_are_shown_beside_what_is_allowed(run):
    run.costs = Costs(labels=24, dft_core_hours=1.25, gpu_hours=0.0, wall_hours=0.5)
    run.budget = {"labels": 100, "gpu_hours": None}
    assert cost_lines(run) == [
        "used: 24 of 100 (`budget.labels`) labels, 76 left",
        "used: 1.25 core hours of DFT",
        "used: 0 GPU hours",
        "used: 0.5 hours",
    ]
    assert "used: 24 of 100" in results_table(run)
    assert "  used: 1.25 core hours of DFT" in status_lines(run)
    run.costs = None
    assert cost_lines(run) == [] and "used" not in results_table(run)


def test_failed_labels_have_reasons_and_links(run):
    assert failure_lines(run) == []
    first = run.rounds[0]
    first.labels_asked, first.labels_done, first.labels_failed, first.labels_replaced = 13, 12, 1, 1
    first.failures = [FailedLabel("frame_s00_000012", 345, "the electrons did not converge")]
    assert failure_lines(run) == [
        "round 0: 13 labels asked, 12 done, 1 failed, 1 of them replaced",
        "  frame_s00_000012 <345>: the electrons did not converge",
    ]
    assert "frame_s00_000012 <345>" in results_table(run)
