"""Conversion of out-of-memory errors of torch and NumPy to errors with their own exit status."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from aiida_sicmlip.engine.compiled_file import first_line
from aiida_sicmlip.engine.errors import OutOfGpuMemoryError, OutOfMemoryError

_REMEDY = (
    "decrease `batch_size` or `validation_batch_size`, set `keep_neighbour_lists` to false, or train on a machine with "
    "more memory."
)


@contextlib.contextmanager
def convert_memory_errors() -> Iterator[None]:
    """Convert out-of-memory errors of torch and NumPy into errors with their own exit status.

    :raises OutOfGpuMemoryError: if a GPU runs out of memory.
    :raises OutOfMemoryError: if the machine runs out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfGpuMemoryError(f"The memory of the GPU is exhausted; {_REMEDY} {first_line(error)}") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"The memory is exhausted; {_REMEDY} {first_line(error)}") from error
    except RuntimeError as error:
        # torch has no class for out-of-memory errors of the machine.
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise OutOfMemoryError(f"The memory is exhausted; {_REMEDY} {first_line(error)}") from error
