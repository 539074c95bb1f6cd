"""Settings of a training, and the configuration that they become."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.earlier_settings import settings_in_steps
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.nequip_config import (
    DatasetStatistics,
    nequip_config,
    nequip_yaml,
    per_type_energies,
)
from aiida_sicmlip.science.training.settings import TrainingParameters, TrainingSettings

STATISTICS = DatasetStatistics(neighbours=40.0, energies={"Si": -5.0, "C": -7.0}, forces_rms=1.5)


@pytest.fixture
def prior():
    """A prior of three elements."""
    coefficients = np.arange(9.0).reshape(3, 3)
    return LennardJonesPrior(("C", "H", "Si"), coefficients + coefficients.T, np.ones((3, 3)), np.zeros(3), 4.0)


def test_the_coefficients_of_the_prior_reach_the_model(prior):
    settings = {"model": {"pair_potential": "lennard-jones", "cutoff": 4.5}, "prior": "prior.json"}
    model = nequip_config(settings, STATISTICS, 10, prior)["training_module"]["model"]
    described = dict(model["pair_potential"])
    assert described.pop("_target_") == "aiida_sicmlip.nequip_extension.lennard_jones.LennardJonesPairs"
    assert described.pop("model_cutoff") == 4.5
    again = LennardJonesPrior.from_dict({**described, "offsets": [0.0, 0.0, 0.0]})
    np.testing.assert_array_equal(again.repulsion, prior.repulsion)
    assert (again.species, again.cutoff) == (prior.species, 4.0)
    assert yaml.safe_load(nequip_yaml(model))["pair_potential"] == model["pair_potential"]


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        ({"pair_potential": "lennard-jones"}, False, "`prior` is null; give the file of the prior"),
        ({"pair_potential": "zbl"}, True, "A prior is given, but `model.pair_potential` is zbl"),
        (
            {"pair_potential": "lennard-jones", "cutoff": 3.5},
            True,
            r"cutoff of the prior \(4.0 A\) is above `model.cutoff` \(3.5 A\)",
        ),
    ],
)
def test_a_prior_and_a_model_that_do_not_fit_are_refused(prior, model, given, words):
    with pytest.raises(InputError, match=words):
        nequip_config({"model": model}, STATISTICS, 10, prior if given else None)


def test_a_prior_that_lacks_an_element_of_the_model_is_refused(prior):
    settings = {"model": {"pair_potential": "lennard-jones"}, "species": ["Si", "Ge"]}
    with pytest.raises(InputError, match="is for C, H, Si, but `species` contains Ge"):
        nequip_config(settings, STATISTICS, 10, prior)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modle": {}}, ["`modle`", "`model`"]),
        ({"model": {"cutof": 5.0}}, ["`model.cutof`", "`cutoff`"]),
        ({"model": {"cutoff": -1.0}}, ["`model.cutoff`", "-1.0", "above zero, in A"]),
        ({"model": {"cutoff": 0}}, ["`model.cutoff`", "above zero"]),
        ({"model": {"cutoff": True}}, ["`model.cutoff`", "True"]),
        ({"model": {"cutoff": float("nan")}}, ["`model.cutoff`", "nan"]),
        ({"model": {"num_layers": 1.5}}, ["`model.num_layers`", "a whole number"]),
        ({"model": {"pair_potential": "lj"}}, ["`model.pair_potential`", "`none`, `zbl`", "'lj'"]),
        ({"model": 5.0}, ["`model`", "settings under it", "5.0"]),
        ({"optimiser": {"learning_rate": 0}}, ["`optimiser.learning_rate`", "above zero"]),
        ({"optimiser": {"average_decay": 1.0}}, ["`optimiser.average_decay`", "below 1"]),
        ({"loss": {"energy": 0, "forces": 0}}, ["`loss.energy`", "`loss.forces`"]),
        ({"schedule": {"minimum_learning_rate": 0.1}}, ["`schedule.minimum_learning_rate`", "0.1", "0.015"]),
        ({"batch_size": 0}, ["`batch_size`", "at least 1"]),
        ({"maximum_steps": "many"}, ["`maximum_steps`", "'many'"]),
        ({"maximum_epochs": 5}, ["`maximum_epochs`", "`maximum_steps`"]),
        (
            {"schedule": {"warm_up_steps": 9}, "maximum_steps": 9},
            ["`schedule.warm_up_steps` (9)", "`maximum_steps` (9)"],
        ),
        ({"seeds": {"model": -3}}, ["`seeds.model`", "-3"]),
        ({"device": "gpu"}, ["`device`", "`cpu`, `cuda` or `auto`"]),
        ({"species": ["Si", "Xx"]}, ["`species`", "Xx"]),
        ({"species": ["Si", "Si"]}, ["`species`", "different"]),
        ({"wall_time_limit": -1}, ["`wall_time_limit`", "null"]),
        ([], ["settings under it", "[]"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_give(settings, words):
    with pytest.raises(InputError) as caught:
        TrainingSettings.from_mapping(settings)
    for word in words:
        assert word in str(caught.value)


def test_settings_reach_nequip():
    settings = {
        "species": ["C", "Si"],
        "model": {"cutoff": 4, "l_max": 2, "pair_potential": "zbl", "precision": "float32"},
        "loss": {"energy": 2, "forces": 10, "huber_delta": 0.5, "final_energy": 20, "final_share": 0.25},
        "optimiser": {"learning_rate": 0.02, "average_decay": 0.99, "gradient_clipping": 5},
        "schedule": {"kind": "cosine", "minimum_learning_rate": 1e-4},
        "batch_size": 3,
        "maximum_steps": 24,
        "validation_interval": 6,
        "early_stopping_steps": 12,
        "wall_time_limit": 60,
        "seeds": {"model": 8, "data": 9},
    }
    config = nequip_config(settings, STATISTICS, 9)
    module, model = config["training_module"], config["training_module"]["model"]
    assert model["type_names"] == ["C", "Si"]
    assert (model["r_max"], model["l_max"], model["model_dtype"], model["seed"]) == (4.0, 2, "float32", 8)
    assert model["pair_potential"]["chemical_species"] == ["C", "Si"]
    assert model["per_type_energy_shifts"] == {"Si": -5.0, "C": -7.0}
    assert (model["per_type_energy_scales"], model["avg_num_neighbors"]) == (1.5, 40.0)
    assert [metric["coeff"] for metric in module["loss"]["metrics"]] == [2.0, 10.0]
    assert [metric.get("coeff") for metric in module["val_metrics"]["metrics"]] == [20.0, 10.0, None, None]
    assert {metrics["metrics"][1]["metric"]["delta"] for metrics in (module["loss"], module["val_metrics"])} == {0.5}
    assert module["_target_"].endswith("EMALightningModule")
    assert module["ema_decay"] == 0.99
    assert module["optimizer"]["lr"] == 0.02
    assert module["lr_scheduler"]["scheduler"]["T_max"] == 24
    assert module["lr_scheduler"]["interval"] == "step"
    assert config["trainer"]["gradient_clip_val"] == 5
    assert config["data"]["seed"] == 9
    assert config["data"]["train_dataloader"]["batch_size"] == 3
    cutoffs = [config["data"][f"{name}_dataset"]["transforms"][1]["r_max"] for name in ("train", "val")]
    assert cutoffs == [4.0, 4.0]
    callbacks = {entry["_target_"].split(".")[-1]: entry for entry in config["trainer"]["callbacks"]}
    assert list(callbacks) == ["TrainingProgress", "TrainingCheckpoints", "LossCoefficientScheduler", "EarlyStopping"]
    assert (callbacks["TrainingProgress"]["wall_time_limit"], callbacks["TrainingProgress"]["maximum_steps"]) == (
        60,
        24,
    )
    # Eight passes of three steps, of which the last two weigh energies more, validated after each second one.
    assert (config["trainer"]["max_epochs"], config["trainer"]["check_val_every_n_epoch"]) == (8, 2)
    assert callbacks["TrainingCheckpoints"]["every_n_epochs"] == 2
    assert callbacks["LossCoefficientScheduler"]["schedule"] == {6: {"energy_mse": 20.0, "forces_huber": 10.0}}
    assert callbacks["EarlyStopping"]["patience"] == 2


@pytest.mark.parametrize(
    ("n_frames", "batch_size", "steps", "interval", "expected"),
    [
        (200, 1, 20000, 500, (100, 2, 20000)),  # 500 steps are two and a half passes
        (12, 1, 4000, 200, (340, 17, 4080)),
        (7, 2, 100, 1000, (25, 25, 100)),  # one validation at least, at the end
        (1800, 5, 100000, 500, (278, 1, 100080)),
        (6000, 1, 1000, 100, (1, 1, 6000)),  # one pass at least
    ],
)
def test_a_length_is_whole_passes_and_validations(n_frames, batch_size, steps, interval, expected):
    parameters = TrainingParameters(maximum_steps=steps, validation_interval=interval, batch_size=batch_size)
    length = parameters.length(n_frames)
    assert (length.passes, length.passes_between_validations, length.steps) == expected
    assert length.passes % length.passes_between_validations == 0
    # Not farther from what was asked for than half a validation interval or half a pass.
    if steps > length.validation_steps:
        assert abs(length.steps - steps) <= length.validation_steps / 2


def learning_rates(settings, n_frames):
    """Return the learning rate of each optimiser step of a training."""
    import torch
    from hydra.utils import instantiate

    config = nequip_config(settings, STATISTICS, n_frames)
    entry = config["training_module"]["lr_scheduler"]
    optimiser = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=config["training_module"]["optimizer"]["lr"])
    described = dict(entry["scheduler"])
    parts = [instantiate(part, optimizer=optimiser) for part in described.pop("schedulers", [])]
    scheduler = instantiate(described, optimizer=optimiser, **({"schedulers": parts} if parts else {}))
    steps_per_pass = TrainingParameters(batch_size=settings["batch_size"]).length(n_frames).steps_per_pass
    found = []
    for step in range(1, config["trainer"]["max_epochs"] * steps_per_pass + 1):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if entry["interval"] == "step" or step % steps_per_pass == 0:
            scheduler.step()
    return np.array(found)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_learning_rate_is_annealed_over_all_steps():
    settings = {
        "optimiser": {"learning_rate": 0.02},
        "schedule": {"minimum_learning_rate": 1e-3},
        "maximum_steps": 400,
        "batch_size": 2,
    }
    rates = learning_rates(settings, 8)
    cosine = 1e-3 + 0.019 * (1 + np.cos(np.pi * np.arange(400) / 400)) / 2
    np.testing.assert_allclose(rates, cosine, rtol=1e-9)
    by_pass = learning_rates({**settings, "schedule": {"minimum_learning_rate": 1e-3, "changes": "pass"}}, 8)
    np.testing.assert_allclose(by_pass, np.repeat(cosine[::4], 4), rtol=1e-9)
    warm = learning_rates({**settings, "schedule": {"minimum_learning_rate": 1e-3, "warm_up_steps": 40}}, 8)
    np.testing.assert_allclose(warm[:40], 0.02 * np.arange(1, 41) / 41, rtol=1e-9)
    assert warm.argmax() == 40 and warm[40] == pytest.approx(0.02)
    assert warm[-1] < 1.1e-3 and (np.diff(warm[40:]) < 0).all()


def test_earlier_settings_become_those_of_the_same_training():
    """Seven frames in batches of two are four steps a pass."""
    earlier = {"model": {"cutoff": 4.0}, "batch_size": 2, "maximum_epochs": 30, "early_stopping_patience": 5}
    settings = settings_in_steps(earlier, 7)
    parameters = TrainingParameters.from_mapping(settings)
    length = parameters.length(7)
    assert (length.passes, length.passes_between_validations, length.steps) == (30, 1, 120)
    assert (parameters.model.cutoff, parameters.model.l_max, parameters.model.precision) == (4.0, 1, "float64")
    config = nequip_config(settings, STATISTICS, 7)
    module, trainer = config["training_module"], config["trainer"]
    assert [entry["metric"]["_target_"].split(".")[-1] for entry in module["loss"]["metrics"]] == [
        "MeanSquaredError"
    ] * 2
    assert (module["_target_"].split(".")[-1], module["optimizer"]["lr"]) == ("NequIPLightningModule", 0.005)
    assert module["lr_scheduler"]["interval"] == "epoch" and module["lr_scheduler"]["scheduler"]["patience"] == 25
    assert [entry.get("patience") for entry in trainer["callbacks"]] == [None, None, 5]
    # A packaged model has its own settings.
    assert settings_in_steps({"model": {}, "maximum_epochs": 1}, 7, packaged=True)["model"] == {}


def test_training_frames_are_shuffled_by_the_seeded_loader_and_validation_frames_are_not():
    data = nequip_config({}, STATISTICS, 10)["data"]
    assert data["train_dataloader"]["shuffle"] is True
    assert data["val_dataloader"]["shuffle"] is False


def test_yaml_gives_the_configuration_back_without_anchors():
    config = nequip_config({}, STATISTICS, 10)
    text = nequip_yaml(config)
    assert yaml.safe_load(text) == config
    assert "&" not in text


def test_a_training_set_at_rest_gives_a_scale_of_one():
    still = DatasetStatistics(neighbours=40.0, energies={"Si": -5.0, "C": -7.0}, forces_rms=0.0)
    assert nequip_config({}, still, 10)["training_module"]["model"]["per_type_energy_scales"] == 1.0


def test_no_neighbours_is_an_error():
    lonely = DatasetStatistics(neighbours=0.0, energies={"Si": -5.0, "C": -7.0}, forces_rms=1.0)
    with pytest.raises(InputError, match=r"model\.cutoff"):
        nequip_config({}, lonely, 10)


def test_energies_of_the_elements_are_found_where_the_compositions_determine_them():
    counts = np.array([[8.0, 8.0], [8.0, 7.0], [7.0, 8.0], [7.0, 7.0]])
    expected = np.array([-108.0, -155.0])
    np.testing.assert_allclose(per_type_energies(counts, counts @ expected), expected, rtol=1e-9)


def test_one_composition_gives_every_element_the_mean_energy():
    counts = np.array([[7.0, 7.0]] * 3)
    energies = np.array([-80.0, -81.0, -82.0])
    np.testing.assert_allclose(per_type_energies(counts, energies), [-81.0 / 14] * 2, rtol=1e-12)


def test_an_element_that_never_varies_alone_does_not_blow_up():
    """Compositions on one line through the origin leave one energy undetermined; both must stay of the mean's size."""
    counts = np.array([[4.0, 4.0], [8.0, 8.0]])
    result = per_type_energies(counts, np.array([-40.0, -88.0]))
    assert np.all(np.abs(result) < 12.0)
    np.testing.assert_allclose(result[0], result[1])


def test_configuration_needs_neither_torch_nor_aiida():
    module = "aiida_sicmlip.science.training.nequip_config"
    code = f"import {module}, sys; sys.exit(bool({{'torch', 'aiida'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
