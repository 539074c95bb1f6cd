"""Protocols of a training: each complete, good for a submission, and what the loop's protocols rest on."""

from __future__ import annotations

import io

import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.training.lennard_jones_fit import PriorParameters
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.workflows.protocols.loop import load_protocol
from aiida_sicmlip.workflows.protocols.training import load_training_protocol
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


@pytest.fixture
def builder(generate_code, generate_dataset):
    """Makes the builder of a protocol: name, overrides."""

    def make(protocol=None, overrides=None):
        return TrainingWorkChain.get_builder_from_protocol(
            generate_code("sicmlip.training"),
            generate_dataset(4, seed=1),
            generate_dataset(2, seed=2),
            protocol,
            overrides,
        )

    return make


@pytest.mark.parametrize("name", ["paper", "balanced", "fast"])
def test_every_protocol_makes_a_training(builder, chain, name):
    made = builder(name)
    instance = chain(TrainingWorkChain, made._inputs(prune=True))
    assert instance.inputs.committee_size.value == 1
    assert instance.inputs.training.seed.value == 1
    for step in ("training", "compilation", "evaluation"):
        assert made[step].code.default_calc_job_plugin == "sicmlip.training"
        assert made[step].metadata.options["max_wallclock_seconds"] > 0


def test_the_paper_is_what_it_states(builder):
    """Cutoff, precision, weights and prior; Adam is the only optimiser there is."""
    settings = TrainingParameters.complete(builder("paper").training.parameters.get_dict())
    assert settings["model"]["cutoff"] == 6.0
    assert settings["model"]["precision"] == "float64"
    assert settings["model"]["pair_potential"] == "lennard-jones"
    assert settings["loss"]["energy"] == settings["loss"]["forces"]


def test_balanced_is_the_default_and_that_of_the_loop():
    balanced = load_training_protocol("balanced")["training"]["parameters"]
    assert load_training_protocol()["training"]["parameters"] == balanced
    assert load_protocol("moderate")["training"]["parameters"] == balanced
    assert load_protocol("demo")["training"]["parameters"] == load_training_protocol("fast")["training"]["parameters"]


def test_settings_of_the_loop_lie_on_top_of_the_trainings_protocol():
    settings = load_protocol("demo", {"training": {"protocol": "paper", "parameters": {"batch_size": 3}}})["training"]
    assert (settings["parameters"]["model"]["cutoff"], settings["parameters"]["batch_size"]) == (6.0, 3)
    with pytest.raises(InputError, match=r"`papers` is not a protocol of trainings. Did you mean `paper`"):
        load_protocol("demo", {"training": {"protocol": "papers"}})


def test_settings_of_the_prior_reach_the_training(ready):
    """From a run's settings, whose names are checked."""
    from aiida_sicmlip.workflows.active_learning.launch import checked_builder

    model = {"parameters": {"model": {"pair_potential": "lennard-jones"}}}
    prior = {"wall_only": True, "wall_energy": 10.0}
    made = checked_builder(load_protocol("demo", {"codes": ready, "training": {**model, "prior": prior}}))
    assert made.training.prior_settings.get_dict() == PriorParameters.complete(prior)
    with pytest.raises(InputError, match=r"`training.prior.wal_only` is not a known setting.*`wall_only`"):
        load_protocol("demo", {"training": {**model, "prior": {"wal_only": True}}})
    other = {"parameters": {"model": {"pair_potential": "zbl"}}}
    with pytest.raises(InputError, match="pair_potential` is not lennard-jones"):
        checked_builder(load_protocol("demo", {"codes": ready, "training": {**other, "prior": prior}}))


@pytest.mark.parametrize("name", ["demo", "fast", "moderate", "paper"])
def test_every_protocol_has_walls(name):
    """They are fitted in `paper` and stand alone elsewhere; another pair potential, or none, takes their place."""
    training = load_protocol(name)["training"]
    assert training["parameters"]["model"]["pair_potential"] == "lennard-jones"
    assert training["prior"] == PriorParameters.complete({"wall_only": name != "paper"})
    for potential in ("zbl", "none"):
        changed = {"training": {"parameters": {"model": {"pair_potential": potential}}}}
        settings = load_protocol(name, changed)
        assert settings["training"]["prior"] == {}
        assert load_protocol(name, settings) == settings


def test_a_model_that_is_there_takes_the_place_of_the_protocols(builder, ready):
    """Its package says what it is; schedule and batches remain those of the protocol."""
    from aiida_sicmlip.workflows.active_learning.launch import checked_builder

    potential = PotentialData(io.BytesIO(b"model"), "a.nequip.zip", species=["C", "H", "Si"], cutoff=5.0).store()
    made = builder("fast", {"training": {"initial_potential": potential.pk}})
    assert made.training.initial_potential.uuid == potential.uuid
    parameters = made.training.parameters.get_dict()
    assert "model" not in parameters and parameters["schedule"]["kind"] == "cosine"
    settings = {"codes": ready, "training": {"initial_potential": potential.pk, "start_from": "previous_round"}}
    loop = checked_builder(load_protocol("demo", settings))
    assert loop.training.training.initial_potential.uuid == potential.uuid
    assert loop.start_from.value == "previous_round"
    assert "model" not in loop.training.training.parameters.get_dict()


@pytest.mark.parametrize(
    ("species", "parameters", "words"),
    [
        (["Si", "Ge"], {}, r"`structures.divacancy` contains C, which `training.initial_potential`"),
        (["C", "Si"], {"model": {"l_max": 3}}, r"`model.l_max` is given, but the model comes from `initial_potential`"),
    ],
)
def test_a_run_whose_trainings_would_be_refused_is_refused(ready, species, parameters, words):
    """Not after the labels of the first round."""
    from aiida_sicmlip.workflows.active_learning.launch import checked_builder

    potential = PotentialData(io.BytesIO(b"model"), "a.nequip.zip", species=species, cutoff=5.0).store()
    given = {"initial_potential": potential.pk, "parameters": parameters}
    with pytest.raises(InputError, match=words):
        checked_builder(load_protocol("demo", {"codes": ready, "training": given}))


def test_further_machines_become_nodes(builder, generate_code):
    generate_code("sicmlip.compilation", "sicmlip-gpu")
    machine = {
        "code": "sicmlip-gpu@localhost",
        "parameters": {"device": "cuda"},
        "options": {"max_wallclock_seconds": 9},
    }
    made = builder(None, {"further_compilations": {"gpu": machine}, "training": {"committee_size": 4}})
    given = made._inputs(prune=True)["further_compilations"]["gpu"]
    assert given["code"].label == "sicmlip-gpu"
    assert given["parameters"]["device"] == "cuda"
    assert given["options"].get_dict() == {"max_wallclock_seconds": 9}
    assert made.committee_size.value == 4


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"training": {"comittee_size": 3}}, "`training.comittee_size` is not a known setting.*`committee_size`"),
        ({"trainings": {}}, "Did you mean `training`"),
        ({"training": {"committee_size": "three"}}, "committee_size"),
        ({"training": {"options": {"walltime": 3}}}, "`training.options.walltime` is not a known setting"),
        ({"training": {"initial_potential": 10**9}}, "training.initial_potential"),
        ({"further_compilations": {"gpu": {}}}, "`further_compilations.gpu.code` is missing"),
        ({"further_compilations": {"gpu": {"code": "nowhere"}}}, "`further_compilations.gpu.code` is `nowhere`"),
    ],
)
def test_wrong_settings_are_told_with_a_message(builder, overrides, words):
    with pytest.raises(InputError, match=words):
        builder(None, overrides)


def test_settings_of_the_program_are_checked_where_they_are_given(builder):
    with pytest.raises(ValueError, match=r"`training\.parameters\.model\.cutof` is not a known setting"):
        builder("paper", {"training": {"parameters": {"model": {"cutof": 5}}}})


def test_a_builder_is_no_node(builder):
    """Nothing is stored by making one but what was given."""
    before = orm.QueryBuilder().append(orm.Dict).count()
    builder("paper")
    assert orm.QueryBuilder().append(orm.Dict).count() == before
