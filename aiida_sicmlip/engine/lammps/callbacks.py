"""Common code of the plugin's styles: functions that C++ can call, and views of its memory."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from aiida_sicmlip.common.exceptions import SicmlipError

_PyBUF_WRITE = 0x200
_from_memory = ctypes.pythonapi.PyMemoryView_FromMemory
_from_memory.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
_from_memory.restype = ctypes.py_object


def guard(function: Callable[..., None]) -> Callable[..., int]:
    """Return ``function`` for C++, which passes a buffer for a message and its size after the arguments.

    Exceptions must not propagate into C++: they become a one-line message and the return value 1.
    """

    def guarded(*arguments: Any) -> int:
        *given, message, size = arguments
        try:
            function(*given)
        except BaseException as error:
            if not isinstance(error, SicmlipError):
                traceback.print_exc(file=sys.stderr)
            text = str(error) if isinstance(error, SicmlipError) else f"{type(error).__name__}: {error}"
            encoded = " ".join(text.split()).encode()[: size - 1]
            ctypes.memmove(message, encoded + b"\0", len(encoded) + 1)
            return 1
        return 0

    return guarded


def view(address: int, n_bytes: int) -> memoryview:
    """Return memory that C++ owns, to read and to write, without a copy.

    (numpy.ctypeslib would create and keep a new ctypes type for each length.)
    """
    return _from_memory(address, n_bytes, _PyBUF_WRITE)


def load_library(path: str | os.PathLike[str]) -> ctypes.CDLL:
    """Load the plugin's shared library; LAMMPS' own library has to be loaded before.

    A reference to it keeps its functions set when LAMMPS unloads the plugin, as at ``clear``.
    """
    return ctypes.CDLL(os.fspath(path), mode=ctypes.RTLD_GLOBAL)
