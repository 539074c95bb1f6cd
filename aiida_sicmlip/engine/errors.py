"""Failures of `sicmlip` with their own exit status."""

from __future__ import annotations

from aiida_sicmlip.common.exceptions import ProgramError
from aiida_sicmlip.common.exit_status import (
    NO_COMPILER,
    NO_MODEL,
    NOT_A_NUMBER,
    OUT_OF_GPU_MEMORY,
    OUT_OF_MEMORY,
)


class NotANumberError(ProgramError):
    """A loss, an energy or a force is no longer a finite number."""

    exit_status = NOT_A_NUMBER


class NoModelError(ProgramError):
    """The training ended before there was a model."""

    exit_status = NO_MODEL


class OutOfMemoryError(ProgramError):
    """The machine ran out of memory."""

    exit_status = OUT_OF_MEMORY


class OutOfGpuMemoryError(ProgramError):
    """The GPU ran out of memory."""

    exit_status = OUT_OF_GPU_MEMORY


class NoCompilerError(ProgramError):
    """The machine has no C++ compiler."""

    exit_status = NO_COMPILER
