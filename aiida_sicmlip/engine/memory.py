"""Memory that does not suffice, told apart from other errors of the libraries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from aiida_sicmlip.engine.compiled_file import first_line
from aiida_sicmlip.engine.errors import OutOfGpuMemoryError, OutOfMemoryError

_REMEDY = (
    "make `batch_size` or `validation_batch_size` smaller, set `keep_neighbour_lists` to false, or train where there "
    "is more memory."
)


@contextlib.contextmanager
def memory_errors_told() -> Iterator[None]:
    """Turn errors of torch and NumPy about memory into ones with an exit status of their own.

    :raises OutOfGpuMemoryError: where a GPU has too little.
    :raises OutOfMemoryError: where the machine has.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfGpuMemoryError(f"The memory of the GPU does not suffice: {_REMEDY} {first_line(error)}") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"The memory does not suffice: {_REMEDY} {first_line(error)}") from error
    except RuntimeError as error:
        # torch has no class of its own for the memory of the machine.
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise OutOfMemoryError(f"The memory does not suffice: {_REMEDY} {first_line(error)}") from error
