"""An SSH server on this machine, with a key, a port and a folder of its own, as the front end of a cluster."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.slurm.box import SEARCH, free_ports

CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
PermitRootLogin yes
PasswordAuthentication no
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
# What the login shells of a cluster set.
SetEnv {variables}
MaxStartups 100
MaxSessions 100
"""
CLIENT = """\
Host {name}
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/user_key
    UserKnownHostsFile {folder}/known_hosts
"""


def missing_ssh_program() -> str | None:
    """Return the first program that is not installed."""
    return next((name for name in ("sshd", "ssh-keygen") if shutil.which(name, path=SEARCH) is None), None)


class SshServer:
    """Starts on entry, stops on exit; ``ssh cluster`` reaches it for programs whose home is ``home``."""

    def __init__(self, folder: Path, variables: Mapping[str, str], name: str = "cluster") -> None:
        self.folder = folder
        self.home = folder / "home"
        self.variables = variables
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SshServer:
        port = free_ports(1)[0]
        for key in ("host_key", "user_key"):
            words = ["-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / key)]
            subprocess.run(["ssh-keygen", *words], check=True)
        (self.folder / "authorized_keys").write_text((self.folder / "user_key.pub").read_text())
        host_key = " ".join((self.folder / "host_key.pub").read_text().split()[:2])
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
        variables = " ".join(f'{name}="{value}"' for name, value in self.variables.items())
        configuration = self.folder / "sshd_config"
        configuration.write_text(CONFIGURATION.format(port=port, folder=self.folder, variables=variables))
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        user = getpass.getuser()
        client = CLIENT.format(name=self.name, port=port, folder=self.folder, user=user)
        (self.home / ".ssh" / "config").write_text(client)
        # Where sshd starts without the system's services, nobody has made this folder.
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path=SEARCH)
        assert program is not None
        with (self.folder / "sshd.log").open("wb") as log:
            command = [program, "-D", "-e", "-f", str(configuration)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait(port)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=20)

    def _wait(self, port: int) -> None:
        """Wait until it answers."""
        assert self.process is not None
        for _ in range(100):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"sshd did not come up:\n{(self.folder / 'sshd.log').read_text()}")
