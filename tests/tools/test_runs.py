"""Where a run stands, read from a graph that is made by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import ProcessState

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.reports.run.tables import status_lines
from aiida_sicmlip.tools.daemon import largest_concurrency
from aiida_sicmlip.tools.lineage import path_to_calculation
from aiida_sicmlip.tools.runs import last_potential, read_run
from tests.graphs.processes import process


@pytest.fixture
def run(aiida_profile_clean):
    """A run whose round 0 labels: three asked, one done, one failed, one running."""
    node = process(orm.WorkChainNode, ACTIVE_LEARNING, state=ProcessState.WAITING, max_rounds=orm.Int(2))
    process(orm.WorkChainNode, "", node, "round_00_exploration")
    structures = {
        f"structures__frame_s00_00000{index}": orm.StructureData(cell=[[5, 0, 0], [0, 5, 0], [0, 0, 5]])
        for index in range(3)
    }
    labelling = process(orm.WorkChainNode, "", node, "round_00_labelling", state=ProcessState.WAITING, **structures)
    process(orm.CalcFunctionNode, "", labelling, "level_of_theory")
    for index, (state, status) in enumerate(
        ((ProcessState.FINISHED, 0), (ProcessState.FINISHED, 305), (ProcessState.WAITING, None))
    ):
        process(orm.WorkChainNode, "", labelling, f"frame_s00_00000{index}", state=state, status=status)
    return node


def test_counts_of_labels(run):
    """Asked, done and failed labels are counted, and the running step is named."""
    found = read_run(run)
    (entry,) = found.rounds
    assert (entry.labels_asked, entry.labels_done, entry.labels_failed) == (3, 1, 1)
    assert entry.current == "labelling"
    assert not found.terminated
    assert found.expected_seconds_left is None
    assert last_potential(found) is None


def test_failed_labels_and_their_replacements(run):
    """Both labellings are counted as one; each failure has its process and its reason."""
    labelling = process(orm.WorkChainNode, "", run, "round_00_replacement_labelling", state=ProcessState.WAITING)
    process(orm.WorkChainNode, "", labelling, "frame_s00_000007")
    failed = process(orm.WorkChainNode, "", labelling, "frame_s00_000008", status=410)
    failed.set_exit_message("no convergence")
    (entry,) = read_run(run).rounds
    assert (entry.labels_done, entry.labels_failed, entry.labels_replaced) == (2, 2, 1)
    assert [(found.frame, found.reason) for found in entry.failures] == [
        ("frame_s00_000001", "status 305"),
        ("frame_s00_000008", "no convergence"),
    ]
    assert entry.failures[1].pk == failed.pk


def test_running_replacements_are_shown(run):
    """The first labelling is done; the second is what the round waits for."""
    run.base.links.get_outgoing(link_label_filter="round_00_labelling").first().node.set_process_state(
        ProcessState.FINISHED
    )
    process(orm.WorkChainNode, "", run, "round_00_replacement_labelling", state=ProcessState.WAITING)
    (entry,) = read_run(run).rounds
    assert entry.current == "replacement_labelling"


def test_step_that_was_called_again_counts_once(run):
    """After an interruption a step stands twice under its label; the later one counts."""
    again = process(orm.WorkChainNode, "", run, "round_00_exploration", state=ProcessState.WAITING)
    (entry,) = read_run(run).rounds
    assert entry.steps["exploration"].pk == again.pk


def test_paused_processes_are_found_at_every_depth(run):
    """AiiDA pauses a job whose computer it cannot reach; the run would seem to run for ever."""
    labelling = run.base.links.get_outgoing(link_label_filter="round_00_labelling").first().node
    label = labelling.base.links.get_outgoing(link_label_filter="frame_s00_000002").first().node
    job = process(orm.CalcJobNode, "", label, "iteration_01", state=ProcessState.WAITING)
    job.set_process_label("PwCalculation")
    job.pause()
    job.set_process_status("Pausing after failed transport task")
    found = read_run(run)
    assert [(paused.pk, paused.name) for paused in found.paused] == [(job.pk, "PwCalculation")]
    shown = "\n".join(status_lines(found))
    assert f"paused: PwCalculation <{job.pk}>: Pausing after failed transport task" in shown
    assert f"`verdi process play {job.pk}` resumes it" in shown


def test_broken_off_run_says_why(run):
    """Neither `excepted` nor `killed` is a reason."""
    run.set_process_state(ProcessState.EXCEPTED)
    run.set_exception("Traceback ...\nInputError: `seed` is -1")
    shown = "\n".join(status_lines(read_run(run)))
    assert "excepted: InputError: `seed` is -1" in shown and f"--continue {run.pk}" in shown
    run.set_process_state(ProcessState.KILLED)
    run.set_process_status("Killed through `verdi process kill`")
    assert "killed: Killed through `verdi process kill`" in status_lines(read_run(run))[0]


def test_potential_without_lineage(aiida_profile, tmp_path):
    """A potential that was not trained here has no way back."""
    from aiida_sicmlip.data.potential import PotentialData

    (tmp_path / "p.nequip.zip").write_bytes(b"model")
    potential = PotentialData(tmp_path / "p.nequip.zip", species=["Si"], cutoff=5.0).store()
    with pytest.raises(InputError, match="was not trained in this profile"):
        path_to_calculation(potential)


@pytest.mark.parametrize(("slots", "labels"), [(200, 98), (20, 8), (4, 1), (1, 1)])
def test_labels_that_fit_into_slots(slots, labels):
    """Labels take two slots each beside those of the loop; one always runs."""
    assert largest_concurrency(slots) == labels
