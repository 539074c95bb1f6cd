"""Several potentials, several machines and several starts: what a training submits and its outputs."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.derive_seeds import derive_committee_seeds
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain
from tests.graphs.processes import ended


@pytest.fixture
def submitted(monkeypatch):
    """Inputs of each child that a training submits, by label; children end well and have the outputs asked for."""
    given = {}
    monkeypatch.setattr(
        "aiida_sicmlip.workflows.training.training.submit_once",
        lambda _, process, label, **inputs: given.update({label: inputs}) or orm.CalcJobNode().store(),
    )
    return given


@pytest.fixture
def training(chain, inputs, generate_dataset):
    """Makes a training of two small data sets: further inputs."""

    def make(**further):
        namespace = inputs["training"]
        sets = {"training_set": generate_dataset(2, seed=1), "validation_set": generate_dataset(2, seed=2)}
        job = {**namespace["training"], "seed": 5}
        return chain(TrainingWorkChain, {**namespace, **sets, "training": job, **further})

    return make


def run_to_the_end(instance, submitted, portable_potential, generate_compiled_potential):
    """Go through the steps of a training; each child makes what such a child makes."""
    instance.fit_prior()
    instance.run_training()
    for label in [name for name in submitted if name.startswith("training")]:
        instance.ctx[label] = ended(potential=portable_potential.clone())
    assert instance.inspect_training() is None
    instance.run_compilation()
    for label in [name for name in submitted if name.startswith("compilation")]:
        instance.ctx[label] = ended(compiled_potential=generate_compiled_potential().clone())
    assert instance.inspect_compilation() is None
    instance.run_evaluations()
    for label in [name for name in submitted if name.startswith("evaluation")]:
        instance.ctx[label] = ended(results=orm.Dict({"force_mae": 0.1}))
    assert instance.inspect_evaluations() is None
    instance.results()


def test_one_potential_is_trained_with_the_seed_as_it_is(
    training, submitted, portable_potential, generate_compiled_potential
):
    instance = training()
    run_to_the_end(instance, submitted, portable_potential, generate_compiled_potential)
    assert sorted(submitted) == ["compilation", "evaluation_training", "evaluation_validation", "training"]
    assert submitted["training"]["training"]["seed"].uuid == instance.inputs.training.seed.uuid
    assert "committee" not in instance.outputs


def test_members_of_a_committee_differ_by_their_seed_alone(
    training, submitted, portable_potential, generate_compiled_potential
):
    instance = training(committee_size=3)
    run_to_the_end(instance, submitted, portable_potential, generate_compiled_potential)
    labels = ["training", "training_member_01", "training_member_02"]
    assert [name for name in submitted if name.startswith("training")] == labels
    jobs = [submitted[label]["training"] for label in labels]
    assert jobs[0]["seed"].uuid == instance.inputs.training.seed.uuid
    assert len({job["seed"].value for job in jobs}) == 3
    assert all(job["seed"].creator.process_label == "derive_committee_seeds" for job in jobs[1:])
    same = ("training_set", "validation_set", "parameters", "code")
    assert all(len({job[name].uuid for job in jobs}) == 1 for name in same)
    # Each potential is an output, portable and compiled; those of the first member are outputs of the training itself.
    for member in ("member_01", "member_02"):
        compiled = instance.ctx[f"compilation_{member}"].outputs.compiled_potential
        portable = instance.ctx[f"training_{member}"].outputs.potential
        assert submitted[f"compilation_{member}"]["potential"].uuid == portable.uuid
        assert instance.outputs["committee"][member].uuid == compiled.uuid
        assert instance.outputs["committee_potentials"][member].uuid == portable.uuid
    first = instance.ctx["compilation"].outputs.compiled_potential
    assert instance.outputs["compiled_potential"].uuid == first.uuid
    evaluation = submitted["evaluation_validation"]
    assert evaluation["potential"].uuid == first.uuid
    assert sorted(evaluation["committee"]) == ["member_01", "member_02"]


def test_a_failed_member_fails_the_training(training, submitted, portable_potential):
    instance = training(committee_size=2)
    instance.fit_prior()
    instance.run_training()
    failed = ended(406)
    instance.ctx.update({"training": ended(potential=portable_potential.clone()), "training_member_01": failed})
    code = instance.inspect_training()
    assert code.status == 401 and f"<{failed.pk}>" in code.message


@pytest.mark.parametrize("size", [0, -1, 21])
def test_a_committee_of_no_use_is_refused(training, size):
    with pytest.raises(ValueError, match=f"`committee_size` is {size}"):
        training(committee_size=size)


def test_seeds_of_a_committee_depend_on_the_seed_and_not_on_its_size(aiida_profile):
    small, large = (derive_committee_seeds(orm.Int(7), orm.Int(size)) for size in (3, 5))
    assert sorted(small) == ["member_01", "member_02"]
    assert {name: node.value for name, node in small.items()}.items() <= {
        name: node.value for name, node in large.items()
    }.items()
    other = derive_committee_seeds(orm.Int(8), orm.Int(3))
    assert len({node.value for node in (*large.values(), *other.values())} | {7, 8}) == 8


def test_the_potential_is_compiled_for_further_machines(
    training, submitted, portable_potential, generate_compiled_potential, generate_code
):
    machine = {
        "code": generate_code("sicmlip.compilation", "gpu"),
        "parameters": orm.Dict({"device": "cuda", "gpu_architecture": "9.0"}),
        "options": orm.Dict({"max_wallclock_seconds": 77}),
    }
    instance = training(further_compilations={"gpu": machine})
    run_to_the_end(instance, submitted, portable_potential, generate_compiled_potential)
    given = submitted["compilation_for_gpu"]
    assert given["code"].uuid == machine["code"].uuid
    assert given["parameters"].get_dict()["gpu_architecture"] == "9.0"
    assert given["metadata"] == {"options": {"max_wallclock_seconds": 77}}
    compiled = instance.ctx["compilation_for_gpu"].outputs.compiled_potential
    assert instance.outputs["further_compilations"]["gpu"].uuid == compiled.uuid
    # It is that machine's; here the other one is evaluated.
    assert submitted["evaluation_training"]["potential"].uuid != compiled.uuid


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": None}, ".code` is missing"),
        ({"parameters": {"device": "tpu"}}, "give `cpu` or `cuda`"),
        ({"options": {"max_wallclock_second": 7}}, "Did you mean `max_wallclock_seconds`"),
        ({"option": {}}, "Did you mean `options`"),
    ],
)
def test_further_machines_are_checked(training, generate_code, change, words):
    machine = {"code": generate_code("sicmlip.compilation"), **change}
    nodes = {
        key: orm.Dict(value) if isinstance(value, dict) else value
        for key, value in machine.items()
        if value is not None
    }
    if not nodes:
        nodes = {"parameters": orm.Dict()}
    with pytest.raises(ValueError, match=words):
        training(further_compilations={"gpu": nodes})


@pytest.fixture
def loop(chain, inputs, monkeypatch, generate_dataset):
    """Makes a run in round 1: where trainings start. Gives it with the inputs of what it submits."""

    def make(start):
        instance = chain(ActiveLearningWorkChain, {**inputs, "start_from": start})
        instance.setup()
        instance.ctx.round = 1
        instance.ctx.datasets = {
            "training": generate_dataset(2, seed=1),
            "validation": generate_dataset(2, seed=2),
            "fixed_validation": None,
        }
        instance.ctx.new_labels = generate_dataset(1, seed=3)
        instance.ctx.seeds = {"training": orm.Int(4)}
        given = {}
        monkeypatch.setattr(
            "aiida_sicmlip.workflows.active_learning.steps.submit_once",
            lambda _, process, label, **inputs: given.update({label: inputs}) or orm.CalcJobNode().store(),
        )
        return instance, given

    return make


@pytest.mark.parametrize("start", ["scratch", "previous_round"])
def test_later_rounds_start_from_scratch_or_from_the_round_before(loop, portable_potential, start):
    instance, given = loop(start)
    instance.run_training()
    assert "initial_potential" not in given["round_01_training"]["training"]
    instance.ctx.finished = {"potential": portable_potential}
    instance.run_training()
    job = given["round_01_training"]["training"]
    assert ("initial_potential" in job) is (start == "previous_round")
    if start == "previous_round":
        assert job["initial_potential"].uuid == portable_potential.uuid


def test_the_exploring_potential_is_evaluated_with_its_own_committee(loop, generate_compiled_potential):
    """Not with that of the current round, whose evaluations belong to its training."""
    instance, given = loop("scratch")
    instance.ctx.committee = {"member_01": generate_compiled_potential()}
    instance.run_training()
    evaluation = given["round_01_evaluation_of_exploring_potential"]
    assert evaluation["committee"]["member_01"].uuid == instance.ctx.committee["member_01"].uuid
    assert sorted(evaluation["hosts"]) == ["divacancy"]
    assert "committee" not in given["round_01_training"]["evaluation"]


def test_another_start_is_refused(loop):
    with pytest.raises(ValueError, match=r"`start_from` is `previous`. Did you mean `previous_round`"):
        loop("previous")
