"""A training that does not start from random weights: from a packaged model, or from an interrupted one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.calculations.training import TrainingCalcJob
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.training.settings import TrainingParameters, TrainingSettings

ENTRY_POINT = "sicmlip.training"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], generate_dataset: Callable[..., Any]) -> dict[str, Any]:
    """Inputs of a complete training from scratch."""
    return {
        "code": generate_code(ENTRY_POINT),
        "training_set": generate_dataset(4, seed=1),
        "validation_set": generate_dataset(2, seed=2),
        "parameters": orm.Dict({"maximum_steps": 7}),
        "seed": orm.Int(99),
        "metadata": {"options": {"max_wallclock_seconds": 1000}},
    }


def packaged(*species: str, cutoff: float = 5.0) -> PotentialData:
    """Return a packaged model, whose file is none."""
    return PotentialData(io.BytesIO(b"model"), "foundation.nequip.zip", species=list(species), cutoff=cutoff).store()


def trained(parameters: dict[str, Any], **further: Any) -> PotentialData:
    """Return a potential that a calculation with these settings has made."""
    calculation = orm.CalcJobNode()
    for name, node in {"parameters": orm.Dict(parameters), **further}.items():
        calculation.base.links.add_incoming(node.store(), LinkType.INPUT_CALC, name)
    calculation.store()
    potential = PotentialData(io.BytesIO(b"model"), "potential.nequip.zip", species=["C", "Si"], cutoff=4.5)
    potential.base.links.add_incoming(calculation, LinkType.CREATE, "potential")
    return potential.store()


def refused(inputs: dict[str, Any]) -> str:
    """Return what is said of inputs."""
    given = {name: value for name, value in inputs.items() if name != "metadata"}
    return TrainingCalcJob.validate_inputs(given, None) or ""


def test_the_program_starts_from_the_package(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    """Species in the model's order and its cutoff are written for the program, which compares them."""
    potential = packaged("Si", "H", "C", cutoff=5.5)
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "initial_potential": potential})
    settings = json.loads((folder / "training.json").read_text())
    assert settings["initial_model"] == "initial.nequip.zip"
    assert (settings["species"], settings["model"]) == (["Si", "H", "C"], {"cutoff": 5.5})
    assert (potential.uuid, "foundation.nequip.zip", "initial.nequip.zip") in calcinfo.local_copy_list
    assert TrainingSettings.complete(settings)["maximum_steps"] == 7


def test_species_that_the_model_lacks_are_refused(inputs: dict[str, Any]) -> None:
    message = refused({**inputs, "initial_potential": packaged("Si", "Ge")})
    assert f"the training set <{inputs['training_set'].pk}> holds C, which `initial_potential`" in message
    assert "it knows Si, Ge" in message


def test_validation_may_hold_what_the_model_knows_and_training_lacks(
    inputs: dict[str, Any], labelled_frames: Callable[..., list[Atoms]], generate_dataset: Callable[..., Any]
) -> None:
    frame = labelled_frames(1, seed=2)[0]
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.symbols[0] = "H"
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    given = {**inputs, "validation_set": generate_dataset([frame])}
    assert refused({**given, "initial_potential": packaged("C", "H", "Si")}) == ""
    assert "the model would not know them" in refused(given)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"l_max": 2}, "`model.l_max` is given, but the model comes from `initial_potential`"),
        ({"cutoff": 6.0}, "`model.cutoff` is 6.0, but `initial_potential`"),
        ({"pair_potential": "lennard-jones"}, "`model.pair_potential` is given"),
        ({"cutoff": 5.0}, ""),
    ],
)
def test_settings_of_a_model_that_was_made_elsewhere(inputs: dict[str, Any], model: dict[str, Any], words: str) -> None:
    given = {**inputs, "parameters": orm.Dict({"model": model}), "initial_potential": packaged("C", "Si")}
    message = refused(given)
    assert words in message and bool(message) is bool(words)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"cutoff": 4.5, "l_max": 2, "pair_potential": "lennard-jones"}, ""),
        ({"num_layers": 1}, ""),
        ({"l_max": 1}, "`model.l_max` is 1, but `initial_potential`"),
        ({"pair_potential": "none"}, "was made with lennard-jones"),
    ],
)
def test_settings_of_a_model_that_was_trained_here(inputs: dict[str, Any], model: dict[str, Any], words: str) -> None:
    """The settings that it was made with may stand there, also through a training in between; others may not."""
    first = trained({"model": {"cutoff": 4.5, "l_max": 2, "pair_potential": "lennard-jones"}})
    for potential in (first, trained({}, initial_potential=first)):
        message = refused({**inputs, "parameters": orm.Dict({"model": model}), "initial_potential": potential})
        assert words in message and bool(message) is bool(words)


def test_a_second_prior_is_refused(inputs: dict[str, Any], generate_prior: Callable[..., Any]) -> None:
    message = refused({**inputs, "prior": generate_prior(), "initial_potential": packaged("C", "Si")})
    assert "carries its own prior" in message


def test_a_set_without_forces_is_refused(inputs: dict[str, Any]) -> None:
    """Such a node cannot be made with this package, but it can be made."""
    whole = inputs["training_set"]
    with whole.open(mode="rb") as handle, np.load(io.BytesIO(handle.read())) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "forces"}
    content = io.BytesIO()
    np.savez(content, **arrays)
    content.seek(0)
    bare = LabelledDataSetData(file=content, filename="frames.npz")
    bare.base.attributes.set_many({key: value for key, value in whole.base.attributes.items() if key != "filename"})
    message = refused({**inputs, "training_set": bare.store()})
    assert f"nothing can be learned from the training set <{bare.pk}>" in message and "forces" in message


@pytest.fixture
def cut_off(inputs: dict[str, Any], generate_checkpoint: Callable[..., Any]) -> Any:
    """The checkpoint of a calculation with the inputs above."""
    calculation = orm.CalcJobNode()
    for name in ("training_set", "validation_set", "parameters", "seed"):
        calculation.base.links.add_incoming(inputs[name].store(), LinkType.INPUT_CALC, name)
    calculation.store()
    checkpoint = generate_checkpoint(3)
    checkpoint.base.links.add_incoming(calculation, LinkType.CREATE, "checkpoint")
    return checkpoint.store()


def test_the_program_goes_on_from_the_last_state(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], cut_off: Any
) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "checkpoint": cut_off})
    assert json.loads((folder / "training.json").read_text())["restart_checkpoint"] == "checkpoints/last.ckpt"
    copied = [entry[1:] for entry in calcinfo.local_copy_list if entry[0] == cut_off.uuid]
    assert copied == [("last.ckpt", "checkpoints/last.ckpt"), ("best.ckpt", "checkpoints/best.ckpt")]


@pytest.mark.parametrize(("name", "value"), [("seed", 100), ("parameters", {"maximum_steps": 8})])
def test_a_training_goes_on_with_the_same_inputs_alone(
    inputs: dict[str, Any], cut_off: Any, name: str, value: Any
) -> None:
    assert refused({**inputs, "checkpoint": cut_off}) == ""
    assert f"whose `{name}` is another one" in refused(
        {**inputs, "checkpoint": cut_off, name: orm.to_aiida_type(value)}
    )


def test_a_training_of_fewer_parameters_goes_on_with_all_of_them(inputs: dict[str, Any], cut_off: Any) -> None:
    complete = TrainingParameters.complete(inputs["parameters"].get_dict())
    assert refused({**inputs, "checkpoint": cut_off, "parameters": orm.Dict(complete)}) == ""
