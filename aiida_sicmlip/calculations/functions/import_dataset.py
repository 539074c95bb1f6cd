"""A data set of labels that were computed elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.labels.exchange_formats import ExchangedFrames, ImportSettings, read_exchanged_frames
from aiida_sicmlip.science.labels.level_of_theory import species_without_pseudopotential, whole_number
from aiida_sicmlip.science.labels.states import CHARGE, SPIN

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def imported_frames(path: Path, level: Mapping[str, Any], settings: Mapping[str, Any]) -> ExchangedFrames:
    """Return the labelled frames of a user's file, checked.

    :raises InputError: if the file cannot be read, a frame lacks what a label needs (with its index), or ``level`` has
        no pseudopotential for an element of it.
    """
    # A level that was stated with them says charge and spin, too.
    stated = {CHARGE: level["settings"].get("tot_charge"), SPIN: level["settings"].get("tot_magnetization")}
    numbers = {
        name: abs(number) if name == SPIN else number
        for name, value in stated.items()
        if (number := whole_number(value)) is not None
    }
    read = read_exchanged_frames(path, ImportSettings.from_mapping({**numbers, **settings}))
    for index, frame in enumerate(read.frames):
        missing = species_without_pseudopotential(level, sorted(set(frame.symbols)))
        if missing:
            raise InputError(
                f"frame {index} of `{path.name}` holds {', '.join(missing)}, for which `pseudopotentials` of the level "
                f"of theory names nothing; it names {', '.join(level['pseudopotentials'])}."
            )
    return read


@calcfunction
def import_dataset(
    file: orm.SinglefileData, level_of_theory: LevelOfTheoryData, parameters: orm.Dict | None = None
) -> LabelledDataSetData:
    """Return the labelled configurations of a user's file, in its order, as a data set.

    :param file: extended XYZ (.xyz, .extxyz) or an ASE database (.db, .json); each frame with energy (eV) and forces
        (eV/A).
    :param level_of_theory: that of all labels, as the user states it.
    :param parameters: how energy and forces are called in the file, and charge and spin where it does not hold them;
        see :class:`aiida_sicmlip.science.labels.exchange_formats.ImportSettings`.
    :raises InputError: if the file cannot be read, or a frame lacks what a label needs (with its index).
    """
    level = level_of_theory.get_dict()
    with file.as_path() as path:
        read = imported_frames(path, level, parameters.get_dict() if parameters is not None else {})
    return LabelledDataSetData.from_frames(read.frames, [level])
