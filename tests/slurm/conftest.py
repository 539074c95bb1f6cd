"""A Slurm of one machine, and a user's machine whose calculations go to it through SSH."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loop.conftest import require_programs, switched
from tests.slurm.box import SlurmBox, missing_program
from tests.slurm.cluster import ClusterFolder
from tests.slurm.ssh import SshServer, missing_ssh_program

__all__ = ["switched"]


@pytest.fixture(scope="session")
def slurm_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmBox]:
    """A Slurm with the partitions `cpu` and `gpu` and two GPUs that are none."""
    missing = missing_program()
    if missing is not None:
        pytest.skip(f"{missing} is not installed; Debian and Ubuntu have it in slurm-wlm and munge")
    with SlurmBox(tmp_path_factory.mktemp("slurm")) as box:
        yield box


@pytest.fixture(scope="session")
def cluster_folder(slurm_box: SlurmBox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterFolder]:
    """A profile with a daemon that runs, and `cluster` behind SSH."""
    missing = missing_ssh_program()
    if missing is not None:
        pytest.skip(f"{missing} is not installed; Debian and Ubuntu have it in openssh-server and openssh-client")
    require_programs()
    variables = {name: value for name, value in slurm_box.environment.items() if name != "PATH"}
    with SshServer(tmp_path_factory.mktemp("ssh"), variables) as server:
        folder = ClusterFolder(tmp_path_factory.mktemp("user"), server)
        folder.set_up()
        folder.start_daemon()
        try:
            yield folder
        finally:
            folder.stop_daemon()
