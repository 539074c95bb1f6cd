"""The report of a real run."""

from __future__ import annotations

import json

import pytest

from tests.loop.conftest import settings
from tests.reports.run.test_page import FIGURES, SECTIONS, Page

pytestmark = pytest.mark.program


def test_page_and_json_hold_what_the_graph_holds(finished_loop, switched, ask):
    from aiida import orm

    from aiida_sicmlip.tools.costs import costs_of_run

    folder, pk = finished_loop
    said = ask(folder, "report", str(pk))
    assert f"report-{pk}.html" in said
    text = (folder.path / f"report-{pk}.html").read_text(encoding="utf-8")
    page = Page(text)
    assert [name for name in page.ids if name in SECTIONS] == SECTIONS and len(set(page.ids)) == len(page.ids)
    assert {f"figure-{name}-title" for name in FIGURES} <= set(page.ids)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert len(text) < 5_000_000
    report = json.loads(ask(folder, "report", str(pk), "--json"))
    with switched(folder):
        run = orm.load_node(pk)
        assessments = [run.outputs.assessments[name].get_dict() for name in sorted(run.outputs.assessments)]
        costs = costs_of_run(run)
        assert report["potential"]["uuid"] == run.outputs.potential.uuid
        assert report["potential"]["data"]["training"]["n_frames"] == run.outputs.training_set.n_frames
    for entry, assessment in zip(report["rounds"], assessments, strict=True):
        assert entry["errors"]["training"] == assessment["training"]
        assert [verdict["met"] for verdict in entry["criteria"]] == [found["met"] for found in assessment["criteria"]]
        assert entry["labels"]["asked"] == entry["labels"]["done"] + entry["labels"]["failed"]
        for verdict in entry["criteria"]:
            assert f"{verdict['value']:.4g} {'met' if verdict['met'] else 'not met'}" in page.words["convergence"]
    # Where all atoms of a small cell belong to the variables, there are no others to compare with.
    assert all((walker["biased"] is None) == (walker["others"] is None) for walker in report["walkers"])
    assert any(walker["drift"] is not None for walker in report["walkers"])
    assert "drift (eV/ps)" in page.words["exploration"]
    used = {entry["name"]: entry["used"] for entry in report["costs"]["budgets"]}
    assert used["labels"] == costs.labels and used["dft_core_hours"] == pytest.approx(costs.dft_core_hours)
    steps = report["costs"]["by_step"]
    labels = sum(entry["core_hours"] for entry in steps if entry["step"] == "labelling")
    assert labels == pytest.approx(costs.dft_core_hours)
    assert {entry["process"] for entry in report["versions"]["calculations"]} >= {"PwCalculation", "TrainingCalcJob"}
    assert any("Quantum ESPRESSO" in entry for entry in report["versions"]["citations"])


def test_run_did_what_its_plan_had_counted(finished_loop, switched, tmp_path, ask):
    """Labels, trainings and what these learn from; frames are fewer where a walker ended early."""
    from aiida import orm

    from aiida_sicmlip.calculations.training import TrainingCalcJob
    from aiida_sicmlip.science.costs.runs import total_costs
    from aiida_sicmlip.science.training.settings import TrainingParameters
    from aiida_sicmlip.workflows.active_learning.workload import workload_of_settings
    from aiida_sicmlip.workflows.protocols.loop import load_protocol

    folder, pk = finished_loop
    file = tmp_path / "run.yaml"
    file.write_text(settings(2))
    planned = total_costs(workload_of_settings(load_protocol(overrides=file)))
    report = json.loads(ask(folder, "report", str(pk), "--json"))
    assert sum(entry["labels"]["done"] for entry in report["rounds"]) == planned.labels
    assert 0 < sum(entry["n_frames"] for entry in report["selections"]) <= planned.frames
    with switched(folder):
        called = orm.load_node(pk).called_descendants
        trained = [node.inputs for node in called if node.process_type == TrainingCalcJob.build_process_type()]
        # The set of the last round holds those of the rounds before.
        assert len(trained) == planned.trainings
        parameters = TrainingParameters.from_mapping(load_protocol(overrides=file)["training"]["parameters"])
        sizes = [inputs.training_set.n_frames for inputs in trained]
        assert sum(parameters.length(size).passes * size for size in sizes) == planned.training_frames
        assert sum(parameters.length(size).steps for size in sizes) == planned.optimiser_steps
