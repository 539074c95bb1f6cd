"""Builders of single steps from protocols: each work chain takes what its builder holds, as it would be submitted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.protocol_files import read_overrides
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.base import TrainingBaseWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain

LOOP = (ActiveLearningWorkChain, ExplorationWorkChain, WalkerWorkChain, LabellingWorkChain)
TRAINING = (TrainingWorkChain, TrainingBaseWorkChain)


@pytest.fixture
def structure(divacancy):
    return orm.StructureData(ase=divacancy).store()


@pytest.fixture
def host(divacancy_host):
    return orm.StructureData(ase=divacancy_host).store()


@pytest.fixture
def given(structure, host):
    """A start structure and its perfect crystal."""
    return structure, host


def test_every_work_chain_names_its_protocols():
    for process in LOOP:
        assert list(process.get_available_protocols()) == ["demo", "fast", "moderate", "paper"]
        assert process.get_default_protocol() == "moderate"
        assert process.get_protocol_inputs("demo")["max_rounds"] == 2
    for process in TRAINING:
        assert list(process.get_available_protocols()) == ["paper", "balanced", "fast"]
        assert process.get_default_protocol() == "balanced"
        assert process.get_protocol_inputs("fast")["training"]["parameters"]["maximum_steps"] == 4000
    for process in LOOP + TRAINING:
        content = yaml.safe_load(process.get_protocol_filepath().read_text())
        assert all(entry["description"] for entry in content["protocols"].values())
        with pytest.raises(InputError, match=r"`demp` is not a protocol"):
            process.get_protocol_inputs("demp")


def test_exploration_of_the_settings_own_structures(ready, chain):
    """Nothing but a protocol: structures, crystals, potential and seed are those of the settings."""
    builder = ExplorationWorkChain.get_builder_from_protocol(protocol="demo", overrides={"codes": ready, "seed": 7})
    inputs = chain(ExplorationWorkChain, builder._inputs(prune=True)).inputs
    assert inputs.structures.divacancy.creator.process_label == "build_defect_structure"
    assert len(inputs.hosts.divacancy.sites) == 16
    assert inputs.potential.pair_style == "edip/multi"
    assert (inputs.seed.value, inputs.walkers.value) == (7, 2)
    assert inputs.walker.exploration.bias["barrier"] == 0.5


def test_exploration_of_given_structures(ready, chain, structure, host, generate_compiled_potential):
    """What the settings say of a structure holds for the given one of that name."""
    potential = generate_compiled_potential()
    own = {"host": {"repeats": [2, 2, 2]}, "defects": [{"kind": "divacancy"}], "exploration": {"temperature": 900.0}}
    builder = ExplorationWorkChain.get_builder_from_protocol(
        {"vv": structure}, potential, "demo", {"codes": ready, "structures": {"vv": own}}, {"vv": host}
    )
    inputs = chain(ExplorationWorkChain, builder._inputs(prune=True)).inputs
    assert inputs.structures.vv.uuid == structure.uuid and inputs.potential.uuid == potential.uuid
    assert inputs.walker_parameters.vv["condition_00"]["temperature"] == 900.0


def test_one_walker(ready, chain, given, edip, variables):
    """Free without collective variables, and biased along them; a shell can be held where the crystal is known."""
    (structure, host), overrides = given, {"codes": ready, "seed": 3}
    free = WalkerWorkChain.get_builder_from_protocol(structure, edip, "demo", overrides)
    run = chain(WalkerWorkChain, free._inputs(prune=True)).inputs.exploration
    assert (run.seed.value, run.parameters["production"]) == (3, 0.6)
    assert "bias" not in run and "collective_variables" not in run
    biased = WalkerWorkChain.get_builder_from_protocol(
        structure, edip, "demo", overrides, host=host, collective_variables=variables
    )
    inputs = chain(WalkerWorkChain, biased._inputs(prune=True)).inputs
    assert inputs.exploration.bias["pace"] == 0.05 and inputs.max_iterations.value == 50


def test_one_walker_that_cannot_be(ready, structure, edip, variables):
    """A list of temperatures, and variables beside a bias that is switched off."""
    given = (structure, edip, "demo")
    with pytest.raises(InputError, match=r"a walker has one temperature: set `exploration.parameters.temperature`"):
        WalkerWorkChain.get_builder_from_protocol(
            *given, {"codes": ready, "exploration": {"temperatures": [900.0, 1200.0]}}
        )
    with pytest.raises(InputError, match=r"collective variables are given, but `exploration.bias` is null"):
        WalkerWorkChain.get_builder_from_protocol(
            *given, {"codes": ready, "exploration": {"bias": None}}, collective_variables=variables
        )


def test_labelling(ready, chain, structure):
    """By pw.x, or by a reference potential, for which no code of pw.x has to be there."""
    builder = LabellingWorkChain.get_builder_from_protocol({"a": structure}, "demo", {"codes": ready})
    inputs = chain(LabellingWorkChain, builder._inputs(prune=True)).inputs
    assert inputs.pw.pw.parameters["SYSTEM"]["ecutwfc"] == 30.0 and list(inputs.structures) == ["a"]
    reference = {"pair_style": "tersoff", "file": "SiC.tersoff", "species": ["Si", "C"]}
    overrides = {"codes": {**ready, "pw": "pw@nowhere"}, "labelling": {"reference": reference}}
    builder = LabellingWorkChain.get_builder_from_protocol({"a": structure}, "demo", overrides)
    assert "pw" not in chain(LabellingWorkChain, builder._inputs(prune=True)).inputs


def test_training_alone(chain, generate_code, generate_dataset, generate_prior):
    """All protocols require a prior, which another process makes, unless there is to be none."""
    given = generate_code("sicmlip.training"), generate_dataset(4, seed=1), generate_dataset(2, seed=2)
    without = {"training": {"parameters": {"model": {"pair_potential": "none"}}}}
    for name in ("balanced", "fast"):
        builder = TrainingBaseWorkChain.get_builder_from_protocol(*given, name, without)
        inputs = chain(TrainingBaseWorkChain, builder._inputs(prune=True)).inputs
        assert inputs.training.training_set.uuid == given[1].uuid and inputs.max_iterations.value == 20
        with pytest.raises(InputError, match=r"there is no prior: give `prior`.*or use `TrainingWorkChain`"):
            TrainingBaseWorkChain.get_builder_from_protocol(*given, name)
    prior = generate_prior(given[1], cutoff=6.0)
    builder = TrainingBaseWorkChain.get_builder_from_protocol(*given, "paper", prior=prior)
    assert chain(TrainingBaseWorkChain, builder._inputs(prune=True)).inputs.training.prior.uuid == prior.uuid


def test_overrides_from_a_file(ready, structure, tmp_path: Path):
    """The file of a run serves its steps; what it says of its protocol counts, and cannot be overruled in silence."""
    path = tmp_path / "run.yaml"
    content = {"protocol": "demo", "codes": ready, "labelling": {"max_concurrent": 7}}
    path.write_text(yaml.safe_dump(content))
    builder = LabellingWorkChain.get_builder_from_protocol({"a": structure}, overrides=path)
    assert builder.max_concurrent.value == 7
    assert builder.pw.pw.parameters["SYSTEM"]["ecutwfc"] == 30.0
    assert ActiveLearningWorkChain.get_builder_from_protocol(overrides=str(path)).max_rounds.value == 2
    assert read_overrides(path) == ("demo", {key: content[key] for key in ("codes", "labelling")})
    with pytest.raises(InputError, match=r"names the protocol `demo`, but `fast` is requested"):
        LabellingWorkChain.get_builder_from_protocol({"a": structure}, "fast", path)
    with pytest.raises(InputError, match=r"missing.yaml` does not exist"):
        ActiveLearningWorkChain.get_protocol_inputs(overrides=tmp_path / "missing.yaml")
    path.write_text("- a list")
    with pytest.raises(InputError, match=r"contains no settings"):
        TrainingWorkChain.get_protocol_inputs(overrides=path)


def test_settings_of_other_steps_are_checked(ready, structure):
    """A misspelt key is refused wherever it stands."""
    with pytest.raises(InputError, match=r"`exploration.walker` is not a known setting. Did you mean `walkers`"):
        LabellingWorkChain.get_builder_from_protocol({"a": structure}, "demo", {"exploration": {"walker": 2}})
