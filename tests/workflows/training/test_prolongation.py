"""An underfitted training goes on before labels are bought: what is submitted, when it ends, and what is kept."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_sicmlip.workflows.training.training import TrainingWorkChain


@pytest.fixture
def submitted(monkeypatch):
    """Inputs of each child that a training submits, by label."""
    given = {}
    monkeypatch.setattr(
        "aiida_sicmlip.workflows.training.training.submit_once",
        lambda _, process, label, **inputs: given.update({label: inputs}) or orm.WorkChainNode().store(),
    )
    return given


@pytest.fixture
def ended(portable_potential):
    """Makes trainings that have ended with force MAE on training and validation set, or a status."""

    def make(training=0.0, validation=0.0, status=0):
        node = orm.WorkChainNode().store()
        errors = {"training": {"force_mae": training}, "validation": {"force_mae": validation}}
        for name, data in {"potential": portable_potential.clone(), "results": orm.Dict({"best": errors})}.items():
            data.store()
            data.base.links.add_incoming(node, LinkType.RETURN, name)
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(status)
        return node

    return make


@pytest.fixture
def training(chain, inputs, generate_dataset, submitted, ended):
    """Makes a training whose members have ended with force MAE on training and validation set."""

    def make(training, validation, **further):
        namespace = {name: value for name, value in inputs["training"].items() if name != "asked_force_mae"}
        sets = {"training_set": generate_dataset(2, seed=1), "validation_set": generate_dataset(2, seed=2)}
        job = {**namespace["training"], "seed": 5}
        given = {"asked_force_mae": 0.1, "max_prolongations": 2, **further}
        given = {name: value for name, value in given.items() if value is not None}
        instance = chain(TrainingWorkChain, {**namespace, **sets, "training": job, **given})
        instance.fit_prior()
        instance.run_training()
        for label in list(submitted):
            instance.ctx[label] = ended(training, validation)
        assert instance.inspect_training() is None
        return instance

    return make


def test_an_underfitted_training_goes_on_from_its_model_with_half_the_rate(training, submitted, ended, caplog):
    instance = training(0.20, 0.22, committee_size=2)
    assert instance.should_prolong()
    assert "underfitted: force MAE 0.200 eV/A on the training set" in caplog.text
    before = {member: instance.ctx[member].outputs.potential.uuid for member in ("training", "training_member_01")}
    instance.run_prolongation()
    first, second = (submitted[f"prolongation_01{member}"]["training"] for member in ("", "_member_01"))
    assert [first["initial_potential"].uuid, second["initial_potential"].uuid] == list(before.values())
    rate = instance.inputs.training.parameters["optimiser"]["learning_rate"]
    assert first["parameters"]["optimiser"]["learning_rate"] == pytest.approx(rate / 2)
    assert first["parameters"].creator.process_label == "lower_learning_rate"
    assert first["training_set"].uuid == instance.inputs.training_set.uuid
    assert (first["seed"].uuid, second["seed"].value) == (instance.inputs.training.seed.uuid, second["seed"].value)
    for member in ("", "_member_01"):
        instance.ctx[f"prolongation_01{member}"] = ended(0.08, 0.09)
    instance.inspect_prolongation()
    assert not instance.should_prolong()
    assert instance.ctx.fit["underfitted"] is False
    assert instance.ctx.fit.creator.process_label == "assess_fit"
    assert instance.ctx.training.uuid == instance.ctx.prolongation_01.uuid


@pytest.mark.parametrize(("errors", "asked"), [((0.20, 0.30), 0.1), ((0.08, 0.08), 0.1), ((0.20, 0.20), 0.3)])
def test_others_do_not(training, errors, asked):
    instance = training(*errors, asked_force_mae=asked)
    assert not instance.should_prolong()
    instance._set_training_outputs()
    assert instance.outputs["fit"]["underfitted"] is False


def test_prolongations_are_bounded(training, ended):
    instance = training(0.20, 0.20, max_prolongations=1)
    assert instance.should_prolong()
    instance.run_prolongation()
    instance.ctx.prolongation_01 = ended(0.19, 0.20)
    instance.inspect_prolongation()
    assert not instance.should_prolong()
    instance._set_training_outputs()
    assert instance.outputs["fit"]["underfitted"] is True
    assert instance.outputs["potential"].uuid == instance.ctx.prolongation_01.outputs.potential.uuid


def test_a_failed_prolongation_loses_nothing(training, ended, caplog):
    instance = training(0.20, 0.20)
    before = instance.ctx.training
    assert instance.should_prolong()
    instance.run_prolongation()
    instance.ctx.prolongation_01 = ended(status=500)
    instance.inspect_prolongation()
    assert "the model before it is kept" in caplog.text
    assert not instance.should_prolong()
    assert instance.ctx.training.uuid == before.uuid


def test_a_prolongation_stays_within_the_hours(training, caplog):
    """Trainings of tests take no time, so that any budget but none holds another one."""
    instance = training(0.20, 0.20, prolongation_hours=1.0)
    assert instance.should_prolong()
    instance.ctx.hours = [0.6]
    assert not instance.should_prolong()
    assert "the budget holds 1 h in all" in caplog.text


def test_nothing_is_asked_by_default(training):
    instance = training(0.20, 0.20, asked_force_mae=None)
    assert not instance.should_prolong()
