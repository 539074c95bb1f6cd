"""Archives of arrays: written so that their bytes depend on their content alone, without date, path or compressor's
version, and read so that nothing is made that the file cannot hold.
"""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from aiida_sicmlip.common.exceptions import InputError

# The earliest date that a zip archive can hold. A real date would make equal data differ in their bytes.
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
_LARGEST_RATIO, _HEADER = 1100, 1000
"""What the compression of zip can reach at most, and bytes that do not count."""


def stored_archive(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of members by name, in the order given.

    They are not compressed: mantissas of numbers hardly can be, and what a compressor makes depends on its version.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, date_time=_FIXED_DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def array_archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an npz archive of arrays by name, in the order given; `numpy.load` reads it."""
    members = {}
    for name, array in arrays.items():
        member = io.BytesIO()
        np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = member.getvalue()
    return stored_archive(members)


@contextlib.contextmanager
def opened_archive(source: str | PathLike[str] | BinaryIO, what: str) -> Iterator[np.lib.npyio.NpzFile]:
    """Open an npz archive, from a path or from a binary file at its current position.

    :param what: the file, as messages name it.
    :raises InputError: if it is no archive of arrays, holds pickled objects, or an array in it is damaged or larger
        than its part of the file; also when an array is read inside of the block.
    """
    try:
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(_loaded(source))
            if not isinstance(archive, np.lib.npyio.NpzFile) or archive.zip is None:
                raise ValueError("it is a single array (npy), or none; expected is an npz archive")
            for entry in archive.zip.infolist():
                if entry.file_size > _LARGEST_RATIO * entry.compress_size + _HEADER:
                    raise ValueError(f"its part `{entry.filename}` claims to be {entry.file_size} bytes")
                with archive.zip.open(entry) as member:
                    _check_size(member, entry.file_size)
            yield archive
    except InputError:
        raise
    except Exception as error:  # NumPy and zipfile raise any class of error for a damaged file
        raise InputError(f"{what} cannot be read as an npz archive of arrays ({error}); write it again.") from error


def read_array(path: Path, what: str) -> np.ndarray:
    """Return the array of a file in NumPy's format `npy`.

    :param what: the file, as messages name it.
    :raises InputError: if it is none, or claims to be larger than it is.
    """
    try:
        with path.open("rb") as file:
            _check_size(file, path.stat().st_size)
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # as above
        raise InputError(f"{what} cannot be read as an array in `npy` ({error}); write it again.") from error
    return array


@contextlib.contextmanager
def _loaded(source: str | PathLike[str] | BinaryIO) -> Iterator[object]:
    loaded = np.load(source, allow_pickle=False)
    try:
        yield loaded
    finally:
        if isinstance(loaded, np.lib.npyio.NpzFile):
            loaded.close()


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _check_size(file: IO[bytes], n_bytes: int) -> None:
    """Raise ValueError unless an array in `npy` is of numbers, and no larger than its file."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"the version {version} of its array is not known")
    shape, _, kind = _HEADERS[version](file)
    if kind.hasobject:
        raise ValueError("it holds pickled objects, which are never loaded")
    if math.prod(shape) * kind.itemsize > n_bytes:
        raise ValueError(f"an array of shape {shape} is larger than its {n_bytes} bytes")
