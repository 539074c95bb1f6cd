"""Labelled frames of files of the user: of this package, or of other programs."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.exchange_formats import ImportSettings, read_exchanged_frames
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames


def read_labelled_file(path: Path, names: ImportSettings | None = None) -> list[Atoms]:
    """Read labelled frames from ``.npz``, extended XYZ or an ASE database; charge and spin need not be known.

    :param names: of energy and forces in files of other programs.
    :raises InputError: if the file cannot be read, or a frame lacks what a label needs.
    """
    if path.suffix == ".npz":
        if not path.is_file():
            raise InputError(f"The file of labelled frames `{path}` does not exist.")
        return read_labelled_frames(path)
    return read_exchanged_frames(path, names, require_states=False).frames
