"""What a training writes and asks back, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.nequip_config import DatasetStatistics, nequip_config

ENTRY_POINT = "sicmlip.training"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], generate_dataset: Callable[..., Any]) -> dict[str, Any]:
    """Inputs of a complete training; one port is changed by each test."""
    return {
        "code": generate_code(ENTRY_POINT),
        "training_set": generate_dataset(4, seed=1),
        "validation_set": generate_dataset(2, seed=2),
        "parameters": {"model": {"cutoff": 4.5}, "maximum_steps": 7},
        "seed": 99,
        "metadata": {"options": {"max_wallclock_seconds": 1000}},
    }


def test_settings_of_the_program(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert [path.name for path in folder.iterdir()] == ["training.json"]
    assert json.loads((folder / "training.json").read_text()) == {
        "model": {"cutoff": 4.5},
        "maximum_steps": 7,
        "species": ["C", "Si"],
        "seeds": {"model": 99, "data": 99},
        "wall_time_limit": 900.0,
        "training_set": "training_set.npz",
        "validation_set": "validation_set.npz",
    }
    assert calcinfo.codes_info[0].cmdline_params == ["train", "--settings", "training.json"]


def test_program_takes_the_settings(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    from aiida_sicmlip.science.training.settings import TrainingSettings

    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    assert TrainingSettings.complete(json.loads((folder / "training.json").read_text()))["maximum_steps"] == 7


def test_files(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    _, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert calcinfo.local_copy_list == [
        (inputs["training_set"].uuid, "frames.npz", "training_set.npz"),
        (inputs["validation_set"].uuid, "frames.npz", "validation_set.npz"),
    ]
    assert set(calcinfo.retrieve_list) == {
        *("training.out", "training.err", "training_report.json", "training_curve.json", "nequip.yaml")
    }
    assert calcinfo.retrieve_temporary_list == ["potential.nequip.zip", ("checkpoints/*.ckpt", ".", 1)]


def test_other_codes_are_refused(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_code: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=r"is set up for `sicmlip.exploration`, which is the wrong kind here"):
        generate_calc_job(ENTRY_POINT, {**inputs, "code": generate_code("sicmlip.exploration")})


@pytest.mark.parametrize("seed", [0, -1, 2**31])
def test_seed_out_of_range(generate_calc_job: Callable[..., Any], inputs: dict[str, Any], seed: int) -> None:
    with pytest.raises(ValueError, match=f"`seed` is {seed}; give a whole number of at least 1"):
        generate_calc_job(ENTRY_POINT, {**inputs, "seed": seed})


@pytest.mark.parametrize(
    ("parameters", "sentences"),
    [
        ({"steps": 3}, ["`training.parameters.steps` is not a known setting. Did you mean `maximum_steps`"]),
        ({"model": {"cutof": 3}}, ["`training.parameters.model.cutof` is not a known setting. Did you mean `cutoff`"]),
        ({"model": {"cutoff": 0}}, ["`training.parameters.model.cutoff` is 0; give a number above zero, in A"]),
        ({"model": {"cutoff": -2.0}}, ["`training.parameters.model.cutoff` is -2.0; give a number above zero, in A"]),
        (
            {"model": {"cutoff": "long"}},
            ["`training.parameters.model.cutoff` is 'long'; give a number above zero, in A"],
        ),
        ({"model": 3}, ["`training.parameters.model` is 3; give settings under it: cutoff"]),
        ({"seeds": {"model": 1}}, ["`training.parameters.seeds` is taken from another input"]),
        ({"species": ["Si"]}, ["`training.parameters.species` is taken from the training set"]),
        (
            {"wall_time_limit": 10},
            ["`training.parameters.wall_time_limit` is taken from the options of the calculation"],
        ),
        ({"prior": "prior.json"}, ["`training.parameters.prior` is taken from another input"]),
    ],
)
def test_wrong_parameters(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], parameters: dict[str, Any], sentences: list[str]
) -> None:
    with pytest.raises(ValueError, match="parameters") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "parameters": parameters})
    for message in sentences:
        assert message in str(caught.value)


def test_validation_frame_that_is_a_training_frame(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_dataset: Callable[..., Any],
    labelled_frames: Callable[..., list[Atoms]],
) -> None:
    mixed = generate_dataset([labelled_frames(1, seed=2)[0], labelled_frames(4, seed=1)[2]])
    message = (
        f"configuration 1 of the validation set <{mixed.pk}> is configuration 2 of the training set "
        f"<{inputs['training_set'].pk}>; validation frames are never training frames"
    )
    with pytest.raises(ValueError, match="validation frames") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "validation_set": mixed})
    assert message in str(caught.value)


def test_sets_of_two_levels_of_theory(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_dataset: Callable[..., Any]
) -> None:
    other = generate_dataset(2, seed=2, ecutwfc=45.0)
    with pytest.raises(ValueError, match="level of theory") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "validation_set": other})
    training = inputs["training_set"]
    assert (
        f"`ecutwfc` is 30.0 for {training.n_frames} configurations of the training set <{training.pk}>, and 45.0 for 2 "
        f"configurations of the validation set <{other.pk}>"
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ((-1, 2), "the charge is 0 e for {n} configurations of {training}, and -1 e for 2 configurations of {other}"),
        ((0, 0), "the spin is 2 (triplet) for {n} configurations of {training}, and 0 (singlet) for 2 configurations"),
        ((0, None), "and none for 2 configurations of {other}"),
    ],
)
def test_sets_of_two_charges_or_spins(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_dataset: Callable[..., Any],
    state: tuple[int, int | None],
    words: str,
) -> None:
    """A model that tells configurations apart by species and positions alone cannot learn from both."""
    other, training = generate_dataset(2, seed=2, state=state), inputs["training_set"]
    with pytest.raises(ValueError, match="a training takes configurations of one charge, one spin and") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "validation_set": other})
    named = {"training": f"the training set <{training.pk}>", "other": f"the validation set <{other.pk}>"}
    assert words.format(n=training.n_frames, **named) in str(caught.value)
    assert "`aiida-sicmlip dataset subset PK --charges N --spins N --levels N`" in str(caught.value)


def test_one_set_of_two_charges(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_dataset: Callable[..., Any],
    labelled_frames: Callable[..., list[Atoms]],
) -> None:
    frames = labelled_frames(3, seed=7)
    frames[1].info.update(charge=1, spin=1)
    mixed = generate_dataset(frames)
    words = f"and \\+1 e for 1 configuration of the training set <{mixed.pk}>"
    with pytest.raises(ValueError, match=words):
        generate_calc_job(ENTRY_POINT, {**inputs, "training_set": mixed})


def test_validation_set_with_a_species_that_training_lacks(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_dataset: Callable[..., Any],
    labelled_frames: Callable[..., list[Atoms]],
) -> None:
    frame = labelled_frames(1, seed=2)[0]
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.symbols[0] = "H"
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    with pytest.raises(ValueError, match=r"holds H, which the training set .* does not: the model would not know them"):
        generate_calc_job(ENTRY_POINT, {**inputs, "validation_set": generate_dataset([frame])})


def test_the_prior_is_written_for_the_program(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_prior: Callable[..., Any]
) -> None:
    prior = generate_prior(cutoff=4.5)
    parameters = {"model": {"cutoff": 4.5, "pair_potential": "lennard-jones"}}
    folder, _ = generate_calc_job(ENTRY_POINT, {**inputs, "parameters": parameters, "prior": prior})
    settings = json.loads((folder / "training.json").read_text())
    assert settings["prior"] == "prior.json"
    assert json.loads((folder / "prior.json").read_text()) == prior.prior().to_dict()
    # What the program does with both.
    written = LennardJonesPrior.from_dict(json.loads((folder / "prior.json").read_text()))
    statistics = DatasetStatistics(neighbours=40.0, energies={"C": -7.0, "Si": -5.0}, forces_rms=1.5)
    model = nequip_config(settings, statistics, 4, written)["training_module"]["model"]
    assert model["pair_potential"]["repulsion"] == prior.get_dict()["repulsion"]


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ({"pair_potential": "lennard-jones"}, None, "give the `prior`, fitted with `fit_lennard_jones_prior`"),
        ({"pair_potential": "zbl"}, {}, "A prior is given, but `model.pair_potential` is zbl"),
        (
            {"pair_potential": "lennard-jones", "cutoff": 4.0},
            {},
            r"cutoff of the prior \(5.0 A\) is above `model.cutoff` \(4.0 A\)",
        ),
    ],
)
def test_a_prior_that_does_not_fit_the_model(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_prior: Callable[..., Any],
    *,
    model: dict[str, Any],
    settings: dict[str, Any] | None,
    words: str,
) -> None:
    given = {} if settings is None else {"prior": generate_prior(**settings)}
    with pytest.raises(ValueError, match=words):
        generate_calc_job(ENTRY_POINT, {**inputs, "parameters": {"model": model}, **given})


def test_a_prior_that_lacks_an_element_of_the_training_set(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_dataset: Callable[..., Any],
    generate_prior: Callable[..., Any],
    labelled_frames: Callable[..., list[Atoms]],
) -> None:
    frame = labelled_frames(1, seed=3)[0]
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.symbols[0] = "H"
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    given = {
        "training_set": generate_dataset([frame]),
        "parameters": {"model": {"pair_potential": "lennard-jones"}},
        "prior": generate_prior(),
    }
    with pytest.raises(ValueError, match="is for C, Si, but `species` contains H"):
        generate_calc_job(ENTRY_POINT, {**inputs, **given})
