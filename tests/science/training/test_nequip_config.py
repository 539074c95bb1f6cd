"""Settings of a training, and the configuration that they become."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.nequip_config import (
    DatasetStatistics,
    nequip_config,
    nequip_yaml,
    per_type_energies,
)
from aiida_sicmlip.science.training.settings import TrainingSettings

STATISTICS = DatasetStatistics(neighbours=40.0, energies={"Si": -5.0, "C": -7.0}, forces_rms=1.5)


@pytest.fixture
def prior():
    """A prior of three elements."""
    coefficients = np.arange(9.0).reshape(3, 3)
    return LennardJonesPrior(("C", "H", "Si"), coefficients + coefficients.T, np.ones((3, 3)), np.zeros(3), 4.0)


def test_the_coefficients_of_the_prior_reach_the_model(prior):
    settings = {"model": {"pair_potential": "lennard-jones", "cutoff": 4.5}, "prior": "prior.json"}
    model = nequip_config(settings, STATISTICS, prior)["training_module"]["model"]
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
        nequip_config({"model": model}, STATISTICS, prior if given else None)


def test_a_prior_that_lacks_an_element_of_the_model_is_refused(prior):
    settings = {"model": {"pair_potential": "lennard-jones"}, "species": ["Si", "Ge"]}
    with pytest.raises(InputError, match="is for C, H, Si, but `species` contains Ge"):
        nequip_config(settings, STATISTICS, prior)


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
        ({"schedule": {"minimum_learning_rate": 0.1}}, ["`schedule.minimum_learning_rate`", "0.1", "0.005"]),
        ({"batch_size": 0}, ["`batch_size`", "at least 1"]),
        ({"maximum_epochs": "many"}, ["`maximum_epochs`", "'many'"]),
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
        "loss": {"energy": 2, "forces": 10},
        "optimiser": {"learning_rate": 0.02, "average_decay": 0.99, "gradient_clipping": 5},
        "schedule": {"kind": "cosine", "minimum_learning_rate": 1e-4},
        "batch_size": 3,
        "maximum_epochs": 7,
        "early_stopping_patience": 4,
        "wall_time_limit": 60,
        "seeds": {"model": 8, "data": 9},
    }
    config = nequip_config(settings, STATISTICS)
    module, model = config["training_module"], config["training_module"]["model"]
    assert model["type_names"] == ["C", "Si"]
    assert (model["r_max"], model["l_max"], model["model_dtype"], model["seed"]) == (4.0, 2, "float32", 8)
    assert model["pair_potential"]["chemical_species"] == ["C", "Si"]
    assert model["per_type_energy_shifts"] == {"Si": -5.0, "C": -7.0}
    assert (model["per_type_energy_scales"], model["avg_num_neighbors"]) == (1.5, 40.0)
    assert [metric["coeff"] for metric in module["loss"]["metrics"]] == [2.0, 10.0]
    assert module["_target_"].endswith("EMALightningModule")
    assert module["ema_decay"] == 0.99
    assert module["optimizer"]["lr"] == 0.02
    assert module["lr_scheduler"]["scheduler"]["T_max"] == 7
    assert config["trainer"]["gradient_clip_val"] == 5
    assert config["data"]["seed"] == 9
    assert config["data"]["train_dataloader"]["batch_size"] == 3
    cutoffs = [config["data"][f"{name}_dataset"]["transforms"][1]["r_max"] for name in ("train", "val")]
    assert cutoffs == [4.0, 4.0]
    targets = [callback["_target_"].split(".")[-1] for callback in config["trainer"]["callbacks"]]
    assert targets == ["TrainingProgress", "TrainingCheckpoints", "EarlyStopping"]
    assert config["trainer"]["callbacks"][0]["wall_time_limit"] == 60


def test_training_frames_are_shuffled_by_the_seeded_loader_and_validation_frames_are_not():
    data = nequip_config({}, STATISTICS)["data"]
    assert data["train_dataloader"]["shuffle"] is True
    assert data["val_dataloader"]["shuffle"] is False


def test_yaml_gives_the_configuration_back_without_anchors():
    config = nequip_config({}, STATISTICS)
    text = nequip_yaml(config)
    assert yaml.safe_load(text) == config
    assert "&" not in text


def test_a_training_set_at_rest_gives_a_scale_of_one():
    still = DatasetStatistics(neighbours=40.0, energies={"Si": -5.0, "C": -7.0}, forces_rms=0.0)
    assert nequip_config({}, still)["training_module"]["model"]["per_type_energy_scales"] == 1.0


def test_no_neighbours_is_an_error():
    lonely = DatasetStatistics(neighbours=0.0, energies={"Si": -5.0, "C": -7.0}, forces_rms=1.0)
    with pytest.raises(InputError, match=r"model\.cutoff"):
        nequip_config({}, lonely)


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
