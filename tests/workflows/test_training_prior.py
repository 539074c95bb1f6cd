"""A training on top of a prior, from data sets to errors of the compiled model, run for real."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from aiida import orm
from aiida.engine import run_get_node
from potential_helpers import TINY, announce_extension, labelled_carbide

import aiida_sicmlip
from aiida_sicmlip.workflows.training import TrainingWorkChain

pytestmark = pytest.mark.program


@pytest.fixture
def potential_code(aiida_localhost, tmp_path):
    """Makes codes of `sicmlip-potential` that run these sources: the plugin they are for."""
    aiida_localhost.set_minimum_job_poll_interval(0.5)
    announced = announce_extension(tmp_path / "metadata")["PYTHONPATH"]
    sources = Path(aiida_sicmlip.__file__).parent.parent

    def make(step):
        return orm.InstalledCode(
            aiida_localhost,
            str(Path(sys.executable).parent / "sicmlip-potential"),
            label=f"potential-{step}",
            default_calc_job_plugin=f"sicmlip.{step}",
            prepend_text=f"export OMP_NUM_THREADS=1 PYTHONPATH={sources}:{announced}",
        ).store()

    return make


def test_prior_training_compilation_and_evaluation(potential_code, generate_dataset, generate_prior):
    """The prior has the training set as its source, and is what the model was built with."""
    training_set = generate_dataset([labelled_carbide(seed) for seed in range(4)])
    options = {"options": {"max_wallclock_seconds": 600}}
    parameters = {**TINY, "maximum_epochs": 3, "model": {**TINY["model"], "pair_potential": "lennard-jones"}}
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
