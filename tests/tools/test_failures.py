"""What has failed below a run, and what came of it, in graphs that are made by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import ProcessState

from aiida_sicmlip.common.process_types import ACTIVE_LEARNING, LABELLING, PW, PW_BASE
from aiida_sicmlip.tools.failures import failures_of_run, processes_below
from tests.graphs.processes import end, process


def labelling(run: orm.WorkChainNode, statuses: list[tuple[int, ...]], status: int = 0) -> list[list[orm.CalcJobNode]]:
    """Return the calculations of labels, each of which was tried so often with such ends."""
    step = process(orm.WorkChainNode, LABELLING, run, "round_00_labelling")
    tried = []
    for number, ends in enumerate(statuses):
        base = process(orm.WorkChainNode, PW_BASE, step, f"frame_s00_{number:06d}")
        tried.append([])
        for attempt, one in enumerate(ends, start=1):
            job = process(orm.CalcJobNode, PW, base, f"iteration_{attempt:02d}")
            end(job, one, f"status {one}" if one else "")
            tried[-1].append(job)
        end(base, 300 if ends[-1] else 0, "")
    end(step, status, "")
    return tried


@pytest.fixture
def run(aiida_profile) -> orm.WorkChainNode:
    return process(orm.WorkChainNode, ACTIVE_LEARNING)


def test_all_levels_are_found_in_their_order(run):
    labelling(run, [(0,), (410, 0)])
    found = processes_below(run.pk)
    assert [called.pk for called in found] == sorted(called.pk for called in found)
    assert [called.label for called in found].count("iteration_01") == 2
    assert len(found) == 6


def test_a_restart_takes_the_place_of_what_failed(run):
    (first, second), _ = labelling(run, [(410, 0), (0,)])
    (failure,) = failures_of_run(run, processes_below(run.pk))
    assert (failure.called.pk, failure.again.pk) == (first.pk, second.pk)
    assert failure.caught_by.process_type == PW_BASE and failure.passed_to == ()
    assert failure.step == "round_00_labelling" and not failure.ended_run


def test_a_label_that_fails_for_good_names_what_caught_it(run):
    (_, last), _ = labelling(run, [(410, 420), (0,)])
    found = failures_of_run(run, processes_below(run.pk))
    # The chain itself is not told again: it failed for its calculation.
    assert [failure.called.exit_status for failure in found] == [410, 420]
    assert found[-1].called.pk == last.pk and found[-1].again is None
    assert [called.exit_status for called in found[-1].passed_to] == [300]
    assert found[-1].caught_by.process_type == LABELLING


def test_what_ends_a_run_is_told(run):
    labelling(run, [(410,), (0,)], status=401)
    end(run, 402, "The labelling failed.")
    (failure,) = failures_of_run(run, processes_below(run.pk))
    assert failure.ended_run and failure.caught_by is None
    assert [called.process_type for called in failure.passed_to] == [PW_BASE, LABELLING]
    end(run, 701, "A warning: the run handed out what it had.")
    assert not failures_of_run(run, processes_below(run.pk))[0].ended_run


def test_errors_without_a_status_say_what_was_raised(run):
    job = process(orm.CalcJobNode, PW, run, "round_00_descriptors")
    job.set_process_state(ProcessState.EXCEPTED)
    job.base.attributes.set(job.EXIT_STATUS_KEY, None)
    job.set_exception("ValueError: no such file\nmore")
    (failure,) = failures_of_run(run, processes_below(run.pk))
    assert failure.called.reason == "ValueError: no such file"
    assert failure.called.state == "excepted"
