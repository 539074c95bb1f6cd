"""Final runs for real: a potential that does not pass, in the run whose daemon is killed, and one that does."""

from __future__ import annotations

import json

import pytest

from tests.faults.killed_run import settings

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def runs(folder, killed_run):
    """The folder, a run whose potential does not pass, and one that goes on from it and whose potential does."""
    failing, _ = killed_run
    passing = folder.submit(settings(biased=False, passes=True), "--continue", str(failing))
    folder.wait(passing, timeout=1500)
    return folder, failing, passing


def training_set_of_final_run(pk):
    """Return the training set with the labels of the final run of a run that it did not pass."""
    from aiida import orm

    links = orm.load_node(pk).base.links.get_outgoing(link_label_filter="round_%_final_run_training_set")
    return links.one().node.outputs.result


def test_labels_of_a_potential_that_does_not_pass_are_trained_on(runs, switched):
    """The criteria are met, the final run is not: status 701, and the next round begins with its labels."""
    from aiida import orm

    folder, failing, passing = runs
    with switched(folder):
        node = orm.load_node(failing)
        assert node.exit_status == 701, folder.report(failing)
        assert "did not stay below 1e-06 eV/A" in node.exit_message or "ended after" in node.exit_message
        assert node.outputs.assessments.round_00["converged"] is True
        results = node.outputs.final_runs.round_00
        assert results["met"] is False and len(results["runs"]) == 2 and results["force_mae"] > 1e-6
        times = [[entry["time"] for entry in run["labels"]] for run in results["runs"] if not run["ended_early"]]
        assert all(found == pytest.approx([0.02, 0.04, 0.06]) for found in times)
        labelled = sum(len(run["labels"]) for run in results["runs"])
        assert labelled > 0
        assert node.outputs.training_set.n_frames == 4
        grown = training_set_of_final_run(failing)
        assert grown.n_frames == 4 + labelled
        later = orm.load_node(passing)
        assert later.inputs.initial.training_set.pk == grown.pk
        # Four picks more, and the validation labels that the new ones replace.
        assert later.outputs.training_set.n_frames == 4 + labelled + 4 + 2


def test_errors_are_those_of_the_potential_on_frames_of_its_own_runs(runs, switched):
    """Each label is a frame of a free run at its time, driven by the potential of the round without a bias."""
    import numpy as np
    from aiida import orm

    from aiida_sicmlip.tools.lineage import labels_of_dataset
    from aiida_sicmlip.tools.lineage.configurations import configurations_of_dataset

    folder, pk, _ = runs
    with switched(folder):
        node = orm.load_node(pk)
        final = node.base.links.get_outgoing(link_label_filter="round_00_final_run").one().node
        dataset = final.outputs.labelled_set
        evaluation = final.base.links.get_outgoing(link_label_filter="evaluation").one().node
        # Labels count alike, those of larger cells too.
        predicted, errors = evaluation.outputs.predictions.get_array("forces"), []
        for frame in dataset.frames():
            errors.append(np.abs(predicted[: len(frame)] - frame.get_forces()).mean())
            predicted = predicted[len(frame) :]
        assert final.outputs.results["force_mae"] == pytest.approx(np.mean(errors))
        times = []
        for source, frame in zip(labels_of_dataset(dataset), dataset.frames(), strict=True):
            trajectory = orm.load_node(source.trajectory)
            run = trajectory.creator
            assert "bias" not in run.inputs and run.inputs.potential.uuid == final.inputs.potential.uuid
            assert run.inputs.parameters["temperature"] == 500.0 and run.inputs.parameters["restrained_shell"] is None
            (kept,) = trajectory.frames([source.frame])
            np.testing.assert_allclose(frame.get_all_distances(mic=True), kept.get_all_distances(mic=True), atol=1e-6)
            times.append(trajectory.times()[source.frame])
        known = [entry["time"] for run in final.outputs.results["runs"] for entry in run["labels"]]
        assert times == pytest.approx(known)
        entries = configurations_of_dataset(training_set_of_final_run(pk))
        assert [entry.round for entry in entries] == [0] * (4 + len(times))
        assert {entry.run for entry in entries} == {pk}
        assert {entry.start for entry in entries[4:]} == {"vacancy", "divacancy"}
        # The potential that explored round 0 is EDIP; that of the final run was trained.
        assert [entry.model is None for entry in entries[:4]] == [True] * 4
        assert all(entry.model is not None for entry in entries[4:])


def test_potential_that_passes_ends_the_run(runs, switched):
    """Status 0; segments are numbered on through both runs, those of final runs included."""
    from aiida import orm

    folder, failing, passing = runs
    with switched(folder):
        node = orm.load_node(passing)
        assert node.exit_status == 0, folder.report(passing)
        (results,) = node.outputs.final_runs.values()
        assert results["met"] is True and results["fit"] is True
        # Nothing is added to the training set of a potential that has passed.
        assert not node.base.links.get_outgoing(link_label_filter="round_%_final_run_training_set").all()
        # A step that the killed daemon had begun stands twice.
        segments = set()
        for pk in (failing, passing):
            links = orm.load_node(pk).base.links.get_outgoing(link_label_filter="round_%").all()
            for link in links:
                if link.link_label.endswith("_descriptors"):
                    found = link.node.inputs.trajectories
                elif link.link_label.endswith("_final_run"):
                    found = link.node.outputs.trajectories
                else:
                    continue
                segments |= {label for part in found.values() for label in part}
        assert sorted(segments) == [f"s{index:02d}" for index in range(len(segments))] and len(segments) == 8


def test_labels_of_final_runs_are_counted_shown_and_sound(runs, ask):
    """Costs, results and the page know them; their provenance holds."""
    folder, failing, passing = runs
    status = json.loads(ask(folder, "status", str(failing), "--json"))
    labelled = [sum(len(run["labels"]) for run in entry["final_run"]["runs"]) for entry in status["rounds"]]
    used = {entry["name"]: entry["used"] for entry in status["costs"]["budgets"]}
    assert used["labels"] == 6 + sum(labelled)
    assert any(entry["step"] == "final_run" and entry["calculations"] > 0 for entry in status["costs"]["by_step"])
    printed = ask(folder, "results", str(failing))
    assert "free runs" in printed and "round 0, divacancy" in printed
    assert "final run not passed" in ask(folder, "status", str(failing))
    ask(folder, "verify", str(passing))
    ask(folder, "report", str(passing), "--output", "page.html")
    page = (folder.path / "page.html").read_text()
    assert "Free runs with the potentials that met the criteria" in page and "In its final run" in page
