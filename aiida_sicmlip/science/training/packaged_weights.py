"""Reader of the weights of a packaged NequIP model (``*.nequip.zip``), without torch and without executing its code.

A torch package is a zip archive of a pickle, which describes the modules of the model, and one file per tensor with its
bytes. The unpickler rebuilds tensors only and replaces every other object by a placeholder, so that no code of the
package or of a library is executed.
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
"""Path of the model in the package, which contains the same weights again in a form for compilation."""

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
    """Return the parameters and buffers of a packaged model by name, such as ``sole_model.func.weight``.

    :raises InputError: if the file is not a packaged model, or contains tensors of an unsupported type.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if name.endswith(MODEL_PICKLE)]
            if not names:
                raise InputError("The file is not a packaged model: it contains no `model/eager_model.pkl`.")
            prefix = names[0].removesuffix(MODEL_PICKLE)
            content = archive.read(names[0])
            root = _Unpickler(io.BytesIO(content), archive, f"{prefix}/.data").load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, EOFError) as error:
        raise InputError(f"The file cannot be read as a packaged model: {error}") from error
    weights = dict(_tensors(root, ""))
    if not weights:
        raise InputError("The packaged model contains no weights.")
    return weights


class _Placeholder:
    """Replaces an object of any class: it keeps the arguments and the state and calls nothing."""

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *arguments: Any, **_: Any) -> _Placeholder:
        return _Placeholder(*arguments)

    # Operations that a pickle applies to subclasses of lists, sets and dictionaries.
    def append(self, _: Any) -> None:
        """Ignore an element."""

    def extend(self, _: Any) -> None:
        """Ignore elements."""

    def add(self, _: Any) -> None:
        """Ignore an element."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Ignore an item."""


class _Unpickler(pickle.Unpickler):
    """Reads tensors as arrays, built-in containers as they are, and other objects as placeholders."""

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive = archive
        self._folder = folder

    def find_class(self, module: str, name: str) -> Any:
        """Return a function that rebuilds tensors, a built-in container or a placeholder class; nothing is imported."""
        if module == "torch._utils":
            if name.startswith("_rebuild_tensor"):
                return _tensor
            if name.startswith("_rebuild_parameter"):
                return lambda data, *_: data
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "builtins" and name in ("set", "frozenset", "list", "dict", "tuple"):
            return {"set": set, "frozenset": frozenset, "list": list, "dict": dict, "tuple": tuple}[name]
        return type(name, (_Placeholder,), {})

    def persistent_load(self, pid: Any) -> Any:
        """Return the array of a storage, and a placeholder for other objects outside the pickle."""
        if not isinstance(pid, tuple) or pid[0] != "storage":
            return _Placeholder()
        _, kind, key, _, count = pid
        dtype = _TYPES.get(getattr(kind, "__name__", str(kind)))
        if dtype is None:
            raise InputError(f"The packaged model contains tensors of type `{kind}`, which is not supported.")
        content = self._archive.read(f"{self._folder}/{key}.storage")
        return np.frombuffer(content, dtype=dtype)[: int(count)]


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    """Return the tensor with this offset, shape and strides in a storage."""
    if not isinstance(storage, np.ndarray):
        return _Placeholder()
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape=tuple(size), strides=steps).copy()


def _tensors(module: Any, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield names and values of the parameters and buffers of a module and its submodules."""
    state = module.state if isinstance(module, _Placeholder) else module
    if not isinstance(state, dict):
        return
    for kind in ("_parameters", "_buffers"):
        tensors = state.get(kind)
        for name, value in (tensors or {}).items() if isinstance(tensors, dict) else ():
            if isinstance(value, np.ndarray):
                yield f"{prefix}{name}", value
    modules = state.get("_modules")
    for name, value in (modules or {}).items() if isinstance(modules, dict) else ():
        yield from _tensors(value, f"{prefix}{name}.")
