"""Explorations through a real Slurm: it holds what was asked for, and a run through it ends well."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_sicmlip.workflows.resources import scheduler_options
from tests.slurm.box import SlurmBox, missing_program

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
def slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmBox]:
    """A Slurm with the partitions `cpu` and `gpu` and two GPUs that are none."""
    missing = missing_program()
    if missing is not None:
        pytest.skip(f"{missing} is not installed; Debian and Ubuntu have it in slurm-wlm and munge")
    with SlurmBox(tmp_path_factory.mktemp("slurm")) as box:
        for name, value in box.environment.items():
            monkeypatch.setenv(name, value)
        yield box


@pytest.fixture
def lammps(slurm: SlurmBox, aiida_profile: Any, tmp_path: Path) -> orm.InstalledCode:
    """`sicmlip-lmp` on a computer that submits to it."""
    computer = orm.Computer(
        label="box",
        hostname="localhost",
        workdir=str(tmp_path),
        transport_type="core.local",
        scheduler_type="core.slurm",
    ).store()
    computer.configure(safe_interval=0)
    computer.set_minimum_job_poll_interval(0.5)
    program = str(Path(sys.executable).with_name("sicmlip-lmp"))
    return orm.InstalledCode(computer, program, label="sicmlip-lmp", with_mpi=False).store()


def test_slurm_holds_what_was_asked_for(
    slurm: SlurmBox, lammps: orm.InstalledCode, edip: Any, divacancy: Atoms
) -> None:
    _, node = run_get_node(
        CalculationFactory("sicmlip.exploration"),
        code=lammps,
        structure=orm.StructureData(ase=divacancy),
        potential=edip,
        parameters={"equilibration": 0.0, "production": 1.0},
        seed=7,
        metadata={"options": scheduler_options(OPTIONS, lammps, "exploration.options")},
    )
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.trajectory.n_frames == 11
    job = dict(re.findall(r"(\S+?)=(\S*)", slurm.command("scontrol", "show", "job", node.get_job_id())))
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
    assert {name: job.get(name) for name in expected} == expected
    # A GPU was handed to the job: the first of the two.
    assert node.outputs.retrieved.base.repository.get_object_content("devices.txt").strip() == "0"
