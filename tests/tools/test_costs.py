"""What a run has cost, read from a graph that is made by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.tools.costs import asked_cores, asked_gpus, costs_of_run, jobs_of_run
from tests.graphs.processes import output, process


def chain(caller, label):
    """Return a stored work chain that is running."""
    return process(orm.WorkChainNode, "", caller, label, state=ProcessState.WAITING)


def job(caller, label, *, state=ProcessState.FINISHED, machines=1, per_machine=1, commands=None, given=None, **outputs):
    """Return a stored calculation; ``outputs`` are mappings by the label of their links."""
    node = orm.CalcJobNode()
    node.set_option("resources", {"num_machines": machines, "num_mpiprocs_per_machine": per_machine})
    if commands is not None:
        node.set_option("custom_scheduler_commands", commands)
    for name, data in (given or {}).items():
        node.base.links.add_incoming(data.store(), LinkType.INPUT_CALC, name)
    node.base.links.add_incoming(caller, LinkType.CALL_CALC, label)
    node.store()
    for name, content in outputs.items():
        output(node, name, orm.Dict(content))
    node.set_process_state(state)
    return node


@pytest.fixture
def run(aiida_profile_clean):
    """A run that has called nothing yet."""
    return process(orm.WorkChainNode, ACTIVE_LEARNING, state=ProcessState.WAITING)


@pytest.fixture
def labelling(run):
    """A labelling of the run with four labels: one done at the second try, one cached, one failed, one running."""
    labelling = chain(run, "round_00_labelling")
    labels = [chain(labelling, f"frame_s00_{index:06d}") for index in range(4)]
    job(labels[0], "iteration_01", machines=2, per_machine=4, output_parameters={"wall_time_seconds": 900.0})
    job(labels[0], "iteration_02", machines=2, per_machine=4, output_parameters={"wall_time_seconds": 2700.0})
    cached = job(labels[1], "iteration_01", per_machine=4, output_parameters={"wall_time_seconds": 3600.0})
    cached.base.extras.set("_aiida_cached_from", "somewhere")
    failed = job(labels[2], "iteration_01", per_machine=4)
    failed.base.attributes.set("last_job_info", {"wallclock_time_seconds": 1800})
    job(labels[3], "iteration_01", state=ProcessState.WAITING, per_machine=4)
    return labelling


def test_labels_and_their_core_hours(run, labelling):
    """Every try counts, a failed one too; what comes from the cache or is running does not."""
    costs = costs_of_run(run)
    assert costs.labels == 4
    # 8 cores for a quarter and three quarters of an hour, 4 cores for half an hour.
    assert costs.dft_core_hours == pytest.approx(8.0 + 2.0)
    assert costs.computed_labels == 2
    assert costs.core_hours_per_label == pytest.approx(5.0)
    assert costs.gpu_hours == 0


def test_label_begun_again_counts_once(run, labelling):
    """After an interruption a label stands twice under its name."""
    chain(labelling, "frame_s00_000003")
    assert costs_of_run(run).labels == 4


def test_labels_without_a_work_chain_of_their_own(run):
    """A label that is one calculation costs what that does."""
    labelling = chain(run, "round_03_replacement_labelling")
    job(labelling, "frame_s07_000012", per_machine=2, results={"seconds": 1800.0})
    costs = costs_of_run(run)
    assert (costs.labels, costs.dft_core_hours, costs.computed_labels) == (1, pytest.approx(1.0), 1)


def test_labels_of_a_final_run(run, labelling):
    """They count as those of the rounds, and its dynamics do not."""
    final = chain(run, "round_01_final_run")
    walker = chain(chain(final, "exploration"), "walker_00")
    job(walker, "segment_00", per_machine=4, results={"seconds": 3600.0})
    found = chain(final, "labelling")
    job(found, "frame_s09_000003", per_machine=2, results={"seconds": 1800.0})
    job(chain(found, "frame_s09_000006"), "iteration_01", per_machine=2, results={"seconds": 1800.0})
    costs = costs_of_run(run)
    assert (costs.labels, costs.computed_labels) == (6, 4)
    assert costs.dft_core_hours == pytest.approx(10.0 + 2.0)
    assert {entry.step for entry in jobs_of_run(run.pk)} == {"round_00_labelling", "round_01_final_run"}


def test_gpu_hours_at_every_depth(run, generate_compiled_potential):
    """GPUs are those that the job asked for, or one where its model or its settings are for one."""
    slurm = "#SBATCH --partition=gpu\n#SBATCH --gpus-per-node=2"
    training = chain(run, "round_00_training")
    job(chain(training, "training"), "iteration_01", commands=slurm, results={"seconds": 1800.0})
    model = generate_compiled_potential(device="cuda")
    job(run, "round_00_evaluation_of_exploring_potential", given={"potential": model}, results={"seconds": 360.0})
    job(training, "compilation", given={"parameters": orm.Dict({"device": "cuda"})}, results={"seconds": 720.0})
    job(training, "evaluation_training", given={"parameters": orm.Dict({"device": "cpu"})}, results={"seconds": 9e9})
    costs = costs_of_run(run)
    assert costs.gpu_hours == pytest.approx(1.0 + 0.1 + 0.2)
    assert costs.dft_core_hours == 0 and costs.labels == 0
    assert {found.step for found in jobs_of_run(run.pk)} == {
        "round_00_training",
        "round_00_evaluation_of_exploring_potential",
    }


def test_job_that_says_nothing_of_its_time(run):
    """What is left is how long its node was worked on."""
    job(run, "round_00_descriptors")
    (found,) = jobs_of_run(run.pk)
    assert 0 <= found.seconds < 60


def test_another_run_is_not_counted(run, labelling):
    """Costs are those of one run."""
    other = chain(None, "")
    assert costs_of_run(other).labels == 0 and jobs_of_run(other.pk) == []
    assert costs_of_run(run).wall_hours < 0.1


@pytest.mark.parametrize(
    ("resources", "cores"),
    [
        ({}, 1),
        ({"num_machines": 2, "num_mpiprocs_per_machine": 16}, 32),
        ({"num_machines": 1, "num_mpiprocs_per_machine": 4, "num_cores_per_mpiproc": 3}, 12),
        ({"num_machines": 2, "num_mpiprocs_per_machine": 1, "num_cores_per_machine": 48}, 96),
        ({"parallel_env": "mpi", "tot_num_mpiprocs": 24}, 24),
    ],
)
def test_cores(resources, cores):
    """All cores that are held count, whatever runs on them."""
    assert asked_cores(resources) == cores


@pytest.mark.parametrize(
    ("commands", "machines", "gpus"),
    [
        ("", 2, 0),
        ("#SBATCH --gpus-per-node=4", 2, 8),
        ("#SBATCH --gres=gpu:2", 1, 2),
        ("#SBATCH --gres=gpu:a100:2", 3, 6),
        ("#SBATCH --gres=gpu", 2, 2),
        ("#SBATCH --gpus=a100:3", 2, 3),
        ("#SBATCH --gres=tmpfs:20G", 1, 0),
    ],
)
def test_gpus_of_a_job_script(commands, machines, gpus):
    """Slurm's ways to ask for GPUs, on each node or in all."""
    assert asked_gpus(commands, {"num_machines": machines}) == gpus
