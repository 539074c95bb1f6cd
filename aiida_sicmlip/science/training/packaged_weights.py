"""Weights out of a packaged NequIP model (``*.nequip.zip``), without torch and without running what the file brings.

A package of torch is a zip archive: a pickle that describes the modules of the model, and a file with the bytes of each
tensor. The pickle is read with an unpickler that knows how tensors are put together and takes everything else for an
empty shell, so that no code of the package or of a library is called.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aiida_sicmlip.common.exceptions import InputError

MODEL_PICKLE = "/model/eager_model.pkl"
"""The model as it was trained; a package holds the same weights a second time, arranged for compilation."""

_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}


def read_packaged_weights(source: str | PathLike[str] | BinaryIO) -> dict[str, NDArray[Any]]:
    """Return the parameters and buffers of a packaged model by their names, such as ``sole_model.func.weight``.

    :raises InputError: if the file is no packaged model, or holds tensors of a type that is not known here.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if name.endswith(MODEL_PICKLE)]
            if not names:
                raise InputError("The file is no packaged model: it holds no `model/eager_model.pkl`.")
            prefix = names[0].removesuffix(MODEL_PICKLE)
            content = archive.read(names[0])
            root = _Unpickler(io.BytesIO(content), archive, f"{prefix}/.data").load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, EOFError) as error:
        raise InputError(f"The file cannot be read as a packaged model: {error}") from error
    weights = dict(_tensors(root, ""))
    if not weights:
        raise InputError("The packaged model holds no weights that could be found.")
    return weights


class _Shell:
    """Stands for an object of any class: it keeps what it was made of and calls nothing."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *arguments: Any, **_: Any) -> _Shell:
        return _Shell(*arguments)

    # What a pickle does to lists, sets and dictionaries of classes that are not known here.
    def append(self, _: Any) -> None:
        """Leave out an element."""

    def extend(self, _: Any) -> None:
        """Leave out elements."""

    def add(self, _: Any) -> None:
        """Leave out an element."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Leave out an entry."""


class _Unpickler(pickle.Unpickler):
    """Reads tensors as arrays, and everything that is no plain container as a shell."""

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive = archive
        self._folder = folder

    def find_class(self, module: str, name: str) -> Any:
        """Return a function that makes a tensor, a plain container, or a class of shells; nothing is imported."""
        if module == "torch._utils":
            if name.startswith("_rebuild_tensor"):
                return _tensor
            if name.startswith("_rebuild_parameter"):
                return lambda data, *_: data
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "builtins" and name in ("set", "frozenset", "list", "dict", "tuple"):
            return {"set": set, "frozenset": frozenset, "list": list, "dict": dict, "tuple": tuple}[name]
        return type(name, (_Shell,), {})

    def persistent_load(self, pid: Any) -> Any:
        """Return the numbers of a storage; other things that are kept beside the pickle are left out."""
        if not isinstance(pid, tuple) or pid[0] != "storage":
            return _Shell()
        _, kind, key, _, count = pid
        dtype = _TYPES.get(getattr(kind, "__name__", str(kind)))
        if dtype is None:
            raise InputError(f"The packaged model holds tensors of type `{kind}`, which cannot be compared here.")
        content = self._archive.read(f"{self._folder}/{key}.storage")
        return np.frombuffer(content, dtype=dtype)[: int(count)]


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    """Return the part of a storage that is a tensor."""
    if not isinstance(storage, np.ndarray):
        return _Shell()
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape=tuple(size), strides=steps).copy()


def _tensors(module: Any, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the parameters and buffers of a module and of those in it, by name."""
    state = module.state if isinstance(module, _Shell) else module
    if not isinstance(state, dict):
        return
    for kind in ("_parameters", "_buffers"):
        entries = state.get(kind)
        for name, value in (entries or {}).items() if isinstance(entries, dict) else ():
            if isinstance(value, np.ndarray):
                yield f"{prefix}{name}", value
    inner = state.get("_modules")
    for name, value in (inner or {}).items() if isinstance(inner, dict) else ():
        yield from _tensors(value, f"{prefix}{name}.")
