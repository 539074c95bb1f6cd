"""What the loop's evaluations were given, and what is printed of one."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.program


def test_evaluations_know_the_hosts_and_the_origin_of_configurations(finished_loop, switched, ask):
    """Those of training and exploring potential; printed by round and start structure."""
    from aiida import orm

    folder, pk = finished_loop
    with switched(folder):
        run = orm.load_node(pk)
        called = run.called_descendants
        evaluations = [node for node in called if node.process_label == "EvaluationCalculation"]
        rounds = len(run.outputs.assessments)
        # Of the exploring potential, and of the new one on the training, validation and fixed sets.
        assert len(evaluations) == 4 * rounds
        hosts = {name: node.pk for name, node in run.inputs.hosts.items()}
        for node in evaluations:
            assert {name: host.pk for name, host in node.inputs.hosts.items()} == hosts
            assert node.outputs.results["rare_events"]["all"]["n_atoms"] <= node.outputs.results["n_atoms"]
        last = run.outputs.assessments[f"round_{rounds - 1:02d}"]
        assert set(last["validation"]["migrating"]) == {"n_atoms", "force_mae", "score"}
        identifier = next(
            node.pk for node in reversed(evaluations) if node.inputs.dataset.pk == run.outputs.training_set.pk
        )
    report = json.loads(ask(folder, "evaluation", str(identifier), "--json"))
    groups = {(group["by"], group["group"]): group for group in report["groups"]}
    assert [group for by, group in groups if by == "round"] == [str(index) for index in range(rounds)]
    assert {group for by, group in groups if by == "defect"} <= {"vacancy", "divacancy"}
    # Four picks, and the two validation labels that the next round has replaced.
    assert groups["round", "0"]["n_frames"] == (6 if rounds > 1 else 4)
    assert all("label_uuid" in entry and "trajectory_uuid" in entry for entry in report["worst"])
