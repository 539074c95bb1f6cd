"""Exit statuses of this package's programs: what a parser reads to tell the known failures apart."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0
#: An internal error; a message on stderr names the file with its traceback.
UNEXPECTED: Final = 1
#: A setting, a data set or a model file cannot be used; a message on stderr says why (argparse uses 2, too).
INPUT_ERROR: Final = 2
#: The training loss, or a predicted energy or force, became not-a-number or infinite.
NOT_A_NUMBER: Final = 42
#: The machine has no C++ compiler, which ahead-of-time compilation needs.
NO_COMPILER: Final = 43
#: The training stopped before its first validation, so there is no model.
NO_MODEL: Final = 44
#: A library or program that does the work (NequIP's compilation, LAMMPS) failed, or the system refused something.
PROGRAM_FAILED: Final = 45
#: The memory of the machine does not suffice.
OUT_OF_MEMORY: Final = 47
#: The memory of the GPU does not suffice.
OUT_OF_GPU_MEMORY: Final = 48
#: The labelled frames have no forces.
NO_FORCES: Final = 49
#: The labelled frames hold an element that the model does not know.
UNKNOWN_SPECIES: Final = 50
#: Who read the output closed it, as `head` does (128 and the number of the signal that says so).
READER_GONE: Final = 141
#: No frame of a round may be picked for a label.
NOTHING_NEW: Final = 46
