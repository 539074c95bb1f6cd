"""A training on top of a prior: what its first step fits, and all of it from data sets to errors, run for real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from aiida import orm
from aiida.engine import run_get_node
from potential_helpers import TINY, announce_extension, labelled_carbide

import aiida_sicmlip
from aiida_sicmlip.reports.potential import potential_report
from aiida_sicmlip.reports.potential_pictures import draw_potential
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings
from aiida_sicmlip.tools.potentials import read_potential
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


@pytest.fixture
def potential_code(aiida_localhost, tmp_path):
    """Makes codes of `sicmlip` that run these sources: the plugin they are for."""
    aiida_localhost.set_minimum_job_poll_interval(0.5)
    announced = announce_extension(tmp_path / "metadata")["PYTHONPATH"]
    sources = Path(aiida_sicmlip.__file__).parent.parent

    def make(step):
        return orm.InstalledCode(
            aiida_localhost,
            str(Path(sys.executable).parent / "sicmlip"),
            label=f"potential-{step}",
            default_calc_job_plugin=f"sicmlip.{step}",
            prepend_text=f"export OMP_NUM_THREADS=1 PYTHONPATH={sources}:{announced}",
        ).store()

    return make


@pytest.mark.program
def test_prior_training_compilation_and_evaluation(potential_code, generate_dataset, generate_prior, tmp_path):
    """The prior has the training set as its source, and is what the model was built with."""
    training_set = generate_dataset([labelled_carbide(seed) for seed in range(4)])
    options = {"options": {"max_wallclock_seconds": 600}}
    parameters = {**TINY, "maximum_steps": 6, "model": {**TINY["model"], "pair_potential": "lennard-jones"}}
    outputs, node = run_get_node(
        TrainingWorkChain,
        training_set=training_set,
        validation_set=generate_dataset([labelled_carbide(seed) for seed in (10, 11)]),
        training={"code": potential_code("training"), "parameters": parameters, "seed": 1, "metadata": options},
        compilation={"code": potential_code("compilation"), "metadata": options},
        evaluation={"code": potential_code("evaluation"), "metadata": options},
    )
    assert node.is_finished_ok, node.exit_message
    prior = outputs["prior"]
    assert prior.creator.inputs.dataset.uuid == training_set.uuid
    training = outputs["potential"].creator
    assert training.inputs.prior.uuid == prior.uuid
    config = yaml.safe_load(training.outputs.configuration.get_content())
    pairs = config["training_module"]["model"]["pair_potential"]
    assert pairs["repulsion"] == prior.get_dict()["repulsion"]
    assert pairs["cutoff"] == TINY["model"]["cutoff"]
    # The compiled model is what was trained: prior and network together.
    compiled = outputs["evaluations"]["validation"]["force_mae"]
    packaged = training.outputs.results["best"]["validation"]["force_mae"]
    assert compiled == pytest.approx(packaged, rel=1e-6)
    # What is told and drawn of a potential is found in the graph of a real training.
    found = read_potential(outputs["potential"])
    report = potential_report(found)
    assert report["training"]["calculations"] == [training.pk]
    assert report["errors"]["validation"]["force_mae"] == compiled
    assert (report["prior"]["pk"], report["compiled"][0]["pk"]) == (prior.pk, outputs["compiled_potential"].pk)
    assert list(report["data"]) == list(report["errors"]) == ["training", "validation"]
    drawn, _ = draw_potential(found, tmp_path / "pictures")
    assert {"training_curve.png", "parity_training.png", "parity_validation.png"} <= {path.name for path in drawn}


@pytest.fixture
def with_prior(chain, inputs, generate_dataset, generate_prior, monkeypatch):
    """Makes a training whose settings ask for a prior, and tells what it submits: a prior to be given, or None."""
    submitted = {}

    def submit(_, process, label, **given):
        submitted.update({label: given})
        return orm.CalcJobNode().store()

    monkeypatch.setattr("aiida_sicmlip.workflows.training.training.submit_once", submit)

    def make(prior=None, pair_potential="lennard-jones", **further):
        # The walls of the protocol are not those of the test.
        namespace = {name: value for name, value in inputs["training"].items() if name != "prior_settings"}
        parameters = namespace["training"]["parameters"].get_dict()
        parameters["model"] = {**parameters["model"], "cutoff": 4.5, "pair_potential": pair_potential}
        job = {**namespace["training"], "seed": 1, "parameters": parameters}
        if prior is not None:
            job["prior"] = prior
        sets = {"training_set": generate_dataset(2, seed=1), "validation_set": generate_dataset(2, seed=2)}
        instance = chain(TrainingWorkChain, {**namespace, **sets, **further, "training": job})
        instance.fit_prior()
        instance.run_training()
        return instance, submitted["training"]["training"]

    return make


def test_a_prior_that_is_asked_for_is_fitted_once(with_prior, caplog):
    """Its data are the training set, its cutoff is the model's, and a step that is run again finds it."""
    instance, given = with_prior()
    prior = given["prior"]
    assert prior.prior().cutoff == 4.5
    incoming = {link.link_label: link.node for link in prior.creator.base.links.get_incoming().all()}
    assert incoming["dataset"].uuid == instance.inputs.training_set.uuid
    assert incoming["prior"].uuid == instance.node.uuid
    assert instance.outputs["prior"].uuid == prior.uuid
    assert "fitted a prior: root mean square force" in caplog.text
    instance.fit_prior()
    assert instance.ctx.prior.uuid == prior.uuid


def test_settings_of_the_prior_are_those_of_its_fit(with_prior):
    """Walls alone do not attract; the cutoff stays that of the model."""
    _, given = with_prior(prior_settings={"wall_only": True})
    prior = given["prior"].prior()
    assert prior.cutoff == 4.5
    assert not prior.attraction.any() and (prior.repulsion > 0).all()
    settings = LennardJonesSettings(wall_only=True, cutoff=4.5).to_dict()
    assert given["prior"].creator.inputs.settings.get_dict() == settings


@pytest.mark.parametrize(
    ("pair_potential", "settings", "words"),
    [
        ("zbl", {"wall_only": True}, r"`training.parameters.model.pair_potential` is not lennard-jones"),
        ("lennard-jones", {"cutoff": 4.0}, r"`prior.cutoff` is taken from the model"),
        ("lennard-jones", {"wall_enrgy": 4.0}, r"`prior.wall_enrgy` is not a known setting.*`wall_energy`"),
    ],
)
def test_settings_that_no_prior_is_fitted_with_are_refused(with_prior, pair_potential, settings, words):
    """Before anything is computed."""
    with pytest.raises(ValueError, match=words):
        with_prior(pair_potential=pair_potential, prior_settings=settings)


def test_a_prior_that_is_given_is_taken(with_prior, generate_prior):
    """Nothing is fitted then."""
    prior = generate_prior(cutoff=4.0)
    instance, given = with_prior(prior)
    assert given["prior"].uuid == prior.uuid
    assert "prior" not in instance.outputs


def test_no_prior_without_being_asked_for(with_prior):
    """The other pair potentials need none."""
    instance, given = with_prior(pair_potential="zbl")
    assert "prior" not in given and "prior" not in instance.outputs
