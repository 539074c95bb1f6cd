"""A profile whose calculations go through SSH to a cluster: computer and codes are those of the documentation."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from tests.loop.conftest import settings
from tests.loop.folder import PROFILE, LoopFolder
from tests.slurm.ssh import SshServer

TEMPLATES = Path(__file__).parents[2] / "docs" / "how-to" / "templates"
CODES = ("pw", "sicmlip-lmp", "sicmlip")
AS_ROOT = "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
FASTER = """
from aiida import load_profile, orm
load_profile()
computer = orm.load_computer("cluster")
computer.configure(safe_interval=0)
computer.set_minimum_job_poll_interval(1)
"""
"""Jobs of a test are shorter than those for which the templates ask the scheduler every 15 s."""
WALLTIMES = {"exploration": 1800, "labelling": 1200, "training": 2400}
CPU = {"queue": "cpu", "account": "project42", "memory_gb": 0.5}
GPU = {"queue": "gpu", "account": "project42", "memory_gb": 1, "gpus_per_node": 1}


class ClusterFolder(LoopFolder):
    """The machine of a user beside a cluster: its daemon reaches the cluster as ``ssh cluster`` does."""

    def __init__(self, path: Path, server: SshServer) -> None:
        super().__init__(path)
        self.environment["HOME"] = str(server.home)

    def set_up(self) -> None:
        """Make profile and pseudopotentials as on any machine, then computer and codes as the page on clusters says."""
        pw = shutil.which("pw.x")
        assert pw is not None
        self.command("aiida-sicmlip", "setup", "-p", PROFILE)
        real_of_example = {
            # Debian's Slurm and Open MPI were not built for each other.
            "srun -n": "mpirun -n",
            "/scratch/{username}": f"{self.path}/scratch/{{username}}",
            "/apps/quantum-espresso/bin/pw.x": pw,
            "/apps/sicmlip/bin": str(self.bin),
        }
        for name in ("computer", "transport", *CODES):
            text = (TEMPLATES / f"{name}.yaml").read_text()
            for example, real in real_of_example.items():
                text = text.replace(example, real)
            # This cluster has no modules, and a test may run as root, which Open MPI wants to be told.
            text = re.sub(r"( *)module load .*\n", rf"\1{AS_ROOT}\n" if name == "pw" else "", text)
            (self.path / f"{name}.yaml").write_text(text)
        self._verdi("computer", "setup", "--config", "computer.yaml")
        self._verdi("computer", "configure", "core.ssh_async", "cluster", "--config", "transport.yaml")
        for name in CODES:
            self._verdi("code", "create", "core.code.installed", "--config", f"{name}.yaml")
        self.command("python", "-c", FASTER)

    def _verdi(self, *words: str) -> str:
        return self.command("verdi", "-p", PROFILE, *words, "--non-interactive")


def cluster_settings() -> str:
    """Return the settings of a run of one round, with options written as for a real cluster."""
    small: dict[str, Any] = yaml.safe_load(settings(1))
    del small["structures"]["divacancy"]
    one = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
    threads = {"environment_variables": {"OMP_NUM_THREADS": "1"}}
    small["codes"] = {
        "pw": "pw@cluster",
        "lammps": "sicmlip-lmp@cluster",
        "sicmlip": "sicmlip@cluster",
    }
    exploration = small["exploration"]
    exploration["options"] = {**GPU, **threads, "max_wallclock_seconds": WALLTIMES["exploration"]}
    exploration["collective_variables"]["options"] = {**CPU, **threads}
    small["descriptors"] = {"options": {**CPU, "resources": {**one, "num_cores_per_mpiproc": 2}}}
    labelling = {**CPU, "resources": one, "max_wallclock_seconds": WALLTIMES["labelling"], "withmpi": True}
    small["labelling"] |= {"max_concurrent": 2, "options": labelling}
    small["training"]["options"] = {**GPU, **threads, "max_wallclock_seconds": WALLTIMES["training"]}
    small["compilation"] = {"options": {**GPU, "qos": "normal", "max_wallclock_seconds": 3000}}
    small["evaluation"] = {"options": {**GPU, **threads, "max_wallclock_seconds": 600}}
    return yaml.safe_dump(small)
