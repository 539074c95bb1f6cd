"""What the plan of a run says of its cost."""

from __future__ import annotations

import pytest

from aiida_sicmlip.science.costs.runs import total_costs
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.workflows.active_learning.plan import cost_lines, plan
from aiida_sicmlip.workflows.active_learning.workload import InitialState, workload_of_settings
from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions


def line(lines: list[str], word: str) -> str:
    """Return the one line that holds a word."""
    (found,) = (entry for entry in lines if word in entry)
    return found


def test_demo_costs_what_it_did():
    """A run of the demo: 24 labels, 8.4 minutes on two cores, of which 4.6 minutes labels."""
    total = total_costs(workload_of_settings(load_protocol("demo")))
    assert (total.labels, total.trainings, total.frames) == (24, 2, 244)
    # Two unbiased runs of 2.2 ps, and in each round two walkers of 0.8 ps.
    assert total.steps == 2 * 2200 + 2 * 2 * 800
    assert total.wall.low < 8.4 / 60 < total.wall.high
    assert total.labelling.low < 2 * 4.6 / 60 < total.labelling.high


def test_paper_costs_what_the_paper_says():
    """240 GPU hours of dynamics and 43 of training; 72,000 core hours of DFT; 2,400 labels, six trainings."""
    total = total_costs(workload_of_settings(load_protocol("paper")))
    assert (total.labels, total.trainings) == (2400, 6)
    assert total.gpu.low < 240 + 43 < total.gpu.high
    # Another program on older processors.
    assert total.labelling.low < 72000 < 2 * total.labelling.high
    # 60 ns in production, their equilibration, and the unbiased runs.
    assert total.steps == 60 * (1_000_000 + 15_000) + 4 * 55_000


def test_replaced_validation_labels_are_trained_on():
    """In the second round of the demo, the four of the first: of trainings that pass once over their set."""
    once = {"training": {"parameters": {"maximum_steps": 1}}}
    totals = {}
    for replaced in ("train", "drop"):
        selection = {"selection": {"parameters": {"replaced_validation": replaced}}}
        totals[replaced] = total_costs(workload_of_settings(load_protocol("demo", {**once, **selection})))
    members = load_protocol("demo")["training"]["committee_size"]
    assert totals["train"].training_frames - totals["drop"].training_frames == members * 4
    assert totals["train"].labels == totals["drop"].labels


def test_protocols_cost_ever_more():
    totals = [total_costs(workload_of_settings(load_protocol(name))) for name in protocol_descriptions()]
    wall = [total.wall.middle for total in totals]
    assert wall == sorted(wall)
    # A workstation of four cores is done with `fast` on the same day.
    assert totals[1].wall.high < 12


def test_settings_of_ones_own():
    """Cells, temperatures, cutoffs and committees count; a reference potential costs next to nothing."""
    demo = cost_lines(load_protocol("demo"))
    several = {"temperatures": [900.0, 1200.0]}
    more = cost_lines(load_protocol("demo", {"exploration": several, "training": {"committee_size": 3}}))
    assert "trainings: 2," in line(demo, "  trainings") and "trainings: 6," in line(more, "  trainings")
    assert "7,600 steps" in line(demo, "  molecular") and "10,800 steps" in line(more, "  molecular")
    reference = {"pair_style": "tersoff", "file": "SiC.tersoff", "species": ["Si", "C"]}
    labels = line(cost_lines(load_protocol("moderate", {"labelling": {"reference": reference}})), "  labels")
    # Six rounds of 70, 50 for fixed validation, and 10 along the final run.
    assert "480;" in labels and "core minutes" in labels
    large = load_protocol("demo", {"structures": {"divacancy": {"host": {"repeats": [3, 3, 3]}}}})
    workloads = [workload_of_settings(settings) for settings in (load_protocol("demo"), large)]
    assert [workload.walkers[0].cell.n_atoms for workload in workloads] == [14, 52]


def test_plan_says_which_budget_ends_the_run_first():
    def said(**budget):
        return cost_lines(load_protocol("demo", {"budget": budget}))[-2]

    assert "the budget of 20 labels would be used up first, in round 1 of 0 to 1" in said(labels=20, gpu_hours=1.0)
    assert "the budgets suffice for the run" in said(labels=24)
    assert "used up first" not in said()


def test_what_a_run_begins_with_is_not_counted_again():
    """Of a run that goes on from another: fixed validation configurations, frames for variables, a trained model."""
    settings = load_protocol("demo", {"selection": {"parameters": {"n_fixed_validation": 5}}})
    initial = InitialState({"training_set": 16, "fixed_validation_set": 5}, has_model=True, has_frames=True)
    assert "5 for fixed validation in the first, 29 in total" in line(plan(settings), "DFT")
    assert ", 24 in total" in line(plan(settings, initial), "DFT")
    assert "first from the continued run" in line(plan(settings, initial), "Collective variables")
    new, continued = (total_costs(workload_of_settings(settings, given)) for given in (None, initial))
    assert (new.labels, continued.labels) == (29, 24)
    assert new.steps - continued.steps == 2 * 2200
    assert continued.dynamics.middle > new.dynamics.middle
    length = TrainingParameters.from_mapping(settings["training"]["parameters"]).length
    # In the second round, the four validation labels of the first are trained on as well.
    for total, sizes in ((new, (8, 20)), (continued, (24, 36))):
        assert total.training_frames == sum(length(size).passes * size for size in sizes)


@pytest.mark.parametrize(
    ("device", "options", "on_gpu"),
    [("cpu", {}, False), ("cuda", {}, True), ("auto", {}, False), ("auto", {"gpus_per_node": 1}, True)],
)
def test_trainings_on_a_gpu(device, options, on_gpu):
    """`auto` is a GPU where the jobs ask for one, and as cores elsewhere."""
    settings = load_protocol("demo", {"training": {"parameters": {"device": device}, "options": options}})
    assert any("GPU" in entry for entry in cost_lines(settings)[:-1]) is on_gpu
