"""Explorations through a real Slurm: it holds what was asked for, and a run through it ends well."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_sicmlip.calculations.monitors import monitor_input
from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings
from aiida_sicmlip.workflows.protocols.resources import scheduler_options
from tests.slurm.box import SlurmBox
from tests.slurm.cluster import TEMPLATES

pytestmark = pytest.mark.program

OPTIONS = {
    "queue": "gpu",
    "account": "project42",
    "memory_gb": 0.5,
    "gpus_per_node": 1,
    "max_wallclock_seconds": 1800,
    "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": 2},
    "environment_variables": {"OMP_NUM_THREADS": "1"},
    "append_text": "echo $CUDA_VISIBLE_DEVICES > devices.txt",
    "additional_retrieve_list": ["devices.txt"],
}


@pytest.fixture
def slurm(slurm_box: SlurmBox, monkeypatch: pytest.MonkeyPatch) -> SlurmBox:
    """A Slurm whose commands this process finds."""
    for name, value in slurm_box.environment.items():
        monkeypatch.setenv(name, value)
    return slurm_box


@pytest.fixture
def lammps(slurm: SlurmBox, aiida_profile: Any, tmp_path: Path) -> orm.InstalledCode:
    """`sicmlip-lmp` on a computer that submits to it."""
    computer = orm.Computer(
        label=tmp_path.name,
        hostname="localhost",
        workdir=str(tmp_path),
        transport_type="core.local",
        scheduler_type="core.slurm",
    ).store()
    computer.configure(safe_interval=0)
    computer.set_minimum_job_poll_interval(0.5)
    program = str(Path(sys.executable).with_name("sicmlip-lmp"))
    return orm.InstalledCode(computer, program, label="sicmlip-lmp", with_mpi=False).store()


@pytest.fixture
def explore(lammps: orm.InstalledCode, edip: Any) -> Callable[..., orm.CalcJobNode]:
    """Runs an exploration through Slurm: atoms, parameters, further inputs."""

    def run(atoms: Atoms, parameters: dict[str, Any], **inputs: Any) -> orm.CalcJobNode:
        _, node = run_get_node(
            CalculationFactory("sicmlip.exploration"),
            code=lammps,
            structure=orm.StructureData(ase=atoms),
            potential=edip,
            parameters={"equilibration": 0.0, **parameters},
            seed=7,
            metadata={"options": scheduler_options(OPTIONS, lammps, "exploration.options")},
            **inputs,
        )
        return node

    return run


def test_slurm_holds_what_was_asked_for(
    slurm: SlurmBox, explore: Callable[..., orm.CalcJobNode], divacancy: Atoms
) -> None:
    node = explore(divacancy, {"production": 1.0})
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.trajectory.n_frames == 11
    expected = {
        "JobState": "COMPLETED",
        "Partition": "gpu",
        "Account": "project42",
        "TimeLimit": "00:30:00",
        "MinMemoryNode": "512M",
        "NumCPUs": "2",
        "CPUs/Task": "2",
        "TresPerNode": "gres:gpu:1",
    }
    job = slurm.job(node.get_job_id())
    assert {name: job.get(name) for name in expected} == expected
    # A GPU was handed to the job: the first of the two.
    assert node.outputs.retrieved.base.repository.get_object_content("devices.txt").strip() == "0"


def test_monitor_cancels_the_job(slurm: SlurmBox, explore: Callable[..., orm.CalcJobNode], divacancy: Atoms) -> None:
    # Any run is too hot for a limit of 10 K; this one would take minutes.
    monitor = monitor_input(MonitorSettings(minimum_poll_interval=1, maximum_temperature=10.0))
    node = explore(divacancy, {"production": 10000.0, "frame_interval": 1.0}, monitors={"blown_up": monitor})
    assert node.exit_status == node.process_class.exit_codes.STOPPED_BY_MONITOR.status, node.exit_message
    assert node.exit_message.startswith("the temperature is above 10 K")
    assert 3 <= node.outputs.trajectory.n_frames < 5000
    assert slurm.job(node.get_job_id())["JobState"] == "CANCELLED"


def test_job_that_is_submitted_twice_runs_once(slurm: SlurmBox, tmp_path: Path) -> None:
    """As after a daemon that was killed before it noted the number: the second job ends after the first."""
    prepend = yaml.safe_load((TEMPLATES / "computer.yaml").read_text())["prepend_text"]
    job = tmp_path / "job.sh"
    job.write_text(
        f"#!/bin/bash\n{prepend}\necho $SLURM_JOB_ID begun >> notes\nsleep 4\necho $SLURM_JOB_ID done >> notes\n"
    )
    words = ("sbatch", "--parsable", f"--chdir={tmp_path}", "--mem=50", "--ntasks=1", str(job))
    numbers = [slurm.command(*words).strip() for _ in range(2)]
    end = time.monotonic() + 90
    while (states := [slurm.job(number).get("JobState") for number in numbers]) != ["COMPLETED"] * 2:
        assert time.monotonic() < end, states
        time.sleep(0.5)
    # Which of the two begins first is up to Slurm.
    (first, begun), (second, done) = (line.split() for line in (tmp_path / "notes").read_text().splitlines())
    assert (begun, done) == ("begun", "done") and first == second and first in numbers
    times = {number: slurm.job(number) for number in numbers}
    (other,) = set(numbers) - {first}
    assert times[other]["EndTime"] >= times[first]["EndTime"]
