"""Labelled frames in files that other programs read and write: extended XYZ and ASE databases.

Numbers are written with all digits needed to read back the same float64. (ASE's own writer of extended XYZ keeps eight
decimals.) For charge and spin see :mod:`aiida_sicmlip.science.labels.exchanged_states`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import write_new
from aiida_sicmlip.science.extended_xyz import LABEL_KEYS, read_extended_xyz, require_sound
from aiida_sicmlip.science.labels.exchanged_states import (
    CHARGE_COLUMNS,
    SPIN_COLUMNS,
    exchanged_states,
    says_any,
    state_columns,
)
from aiida_sicmlip.science.labels.labelled_frames import label_of_frame
from aiida_sicmlip.science.labels.states import NONE, set_state
from aiida_sicmlip.science.settings import Settings, setting, text
from aiida_sicmlip.science.value_tests import is_integer

FORMATS: dict[str, str] = {".xyz": "extxyz", ".extxyz": "extxyz", ".db": "db", ".json": "db"}
"""Format by file extension: extended XYZ, or an ASE database (SQLite or JSON)."""
FREE_ENERGY_TOLERANCE = 1e-5
"""Largest difference of `energy` and `free_energy` of a frame, in eV/atom, above which the user has to choose one."""
LARGEST_LABEL = 1e30
"""Largest energy, eV, and force, eV/A; models in single precision cannot be trained on others."""
Columns = Mapping[str, str | int]


@dataclass(frozen=True)
class ImportSettings(Settings):
    """Names of the labels in a file, and properties that the file does not contain."""

    PREFIX = "import."

    energy: str | None = text(None, "name of the total energy, eV; null for `energy`", "the name used in the file")
    forces: str = text("forces", "name of the forces, eV/A", "the name used in the file")
    charge: int | str | None = setting(
        None,
        "total charge of every configuration, e, or `none`; null where the file contains it",
        "a whole number, or `none`",
        lambda value: value == NONE or is_integer(value),
        nullable=True,
    )
    spin: int | str | None = setting(
        None,
        "number of unpaired electrons of every configuration, or `none`; null where the file contains it",
        "a whole number of at least 0, or `none`",
        lambda value: value == NONE or (is_integer(value) and value >= 0),
        nullable=True,
    )

    @property
    def given_names(self) -> tuple[str, ...]:
        """Names of energy and forces that are not the default ones."""
        return tuple(name for name in (self.energy, self.forces) if name is not None)


@dataclass(frozen=True)
class ExchangedFrames:
    """Contents of a file.

    frames: the labelled frames, each with charge and spin in `info`.
    sources: origin of `charge` and `spin`, for messages.
    """

    frames: list[Atoms]
    sources: dict[str, str]


def format_of_file(name: str) -> str:
    """Return `extxyz` or `db` for a file name.

    :raises InputError: if its extension is none of :data:`FORMATS`.
    """
    ending = Path(name).suffix.lower()
    if ending not in FORMATS:
        raise InputError(
            f"the file `{name}` ends in `{ending}`; extended XYZ ends in .xyz or .extxyz, an ASE database in .db or "
            ".json."
        )
    return FORMATS[ending]


def read_exchanged_frames(
    path: Path, settings: ImportSettings | None = None, *, require_states: bool = True
) -> ExchangedFrames:
    """Read labelled frames of extended XYZ or an ASE database, in the file's order.

    Only species, positions, cell, periodicity, energy, forces, charge and spin are taken; forces are those before
    constraints.

    :param path: its extension determines the format, see :data:`FORMATS`.
    :param settings: names of energy and forces, and charge and spin where the file does not contain them.
    :param require_states: whether charge and spin must be known; if not, what nothing says is none.
    :raises InputError: if the file cannot be read, is empty, or a frame lacks what a label needs, with its index; as
        :func:`~aiida_sicmlip.science.labels.exchanged_states.exchanged_states` for charge and spin.
    """
    settings, name = settings or ImportSettings(), path.name
    if not path.is_file():
        raise InputError(f"there is no file `{path}`; give one of labelled frames.")
    if format_of_file(name) == "extxyz":
        # Nobody asked for the standard names where others are given.
        keys = [key for key in LABEL_KEYS if (settings.forces if key == "forces" else settings.energy) in (key, None)]
        read_frames = list(read_extended_xyz(path, [*keys, *CHARGE_COLUMNS, *SPIN_COLUMNS], settings.given_names))
    else:
        read_frames = _read_database(path)
    if not read_frames:
        raise InputError(f"the file `{name}` has no frame; give at least one.")
    frames = [_checked_frame(frame, f"frame {index} of `{name}`", settings) for index, frame in enumerate(read_frames)]
    stated = {"charge": settings.charge, "spin": settings.spin}
    for what, columns in (("charge", CHARGE_COLUMNS), ("spin", SPIN_COLUMNS)):
        if not require_states and stated[what] is None and not says_any(read_frames, columns):
            stated[what] = NONE
    states, sources = exchanged_states(read_frames, name, **stated)
    for frame, state in zip(frames, states, strict=True):
        set_state(frame, state)
    return ExchangedFrames(frames, sources)


def write_exchanged_frames(path: Path, frames: Sequence[Atoms], columns: Sequence[Columns], kind: str) -> None:
    """Write labelled frames with their energies (eV), forces (eV/A), charges and spins.

    :param columns: for each frame further strings and integers by name.
    :param kind: `extxyz` or `db` (SQLite).
    :raises InputError: if the file exists, there is no frame, or one lacks energy or forces.
    """
    if path.exists():
        raise InputError(f"the file `{path}` exists already; give another name, or remove it first.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of `{path}` does not exist; make it first.")
    if not len(frames):
        raise InputError("There are no frames to write: give at least one labelled frame.")
    labels = [label_of_frame(frame, index) for index, frame in enumerate(frames)]
    further = [
        state_columns(frame, kind) | dict(further_columns)
        for frame, further_columns in zip(frames, columns, strict=True)
    ]
    pairs = list(zip(frames, labels, further, strict=True))
    if kind == "extxyz":
        write_new(path, "".join(_extended_xyz(*pair) for pair in pairs))
    elif kind == "db":
        _write_database(path, pairs)
    else:
        raise InputError(f"the format is `{kind}`; give `extxyz` or `db`.")


def _extended_xyz(frame: Atoms, label: tuple[float, np.ndarray], columns: Columns) -> str:
    """Return one frame of extended XYZ; `repr` of a float is the shortest text that gives the same float."""
    energy, forces = label
    entries = []
    if frame.cell.array.any():
        entries.append(f'Lattice="{_numbers(frame.cell.array.ravel())}"')
    entries += [
        "Properties=species:S:1:pos:R:3:forces:R:3",
        f"energy={energy!r}",
        f'pbc="{" ".join("T" if periodic else "F" for periodic in frame.pbc)}"',
        *(f"{key}={value}" for key, value in columns.items()),
    ]
    rows = [
        f"{symbol} {_numbers(position)} {_numbers(force)}"
        for symbol, position, force in zip(frame.get_chemical_symbols(), frame.positions, forces, strict=True)
    ]
    return "\n".join([str(len(frame)), " ".join(entries), *rows]) + "\n"


def _numbers(values: np.ndarray) -> str:
    return " ".join(repr(value) for value in values.tolist())


def _write_database(path: Path, pairs: Sequence[tuple[Atoms, tuple[float, np.ndarray], Columns]]) -> None:
    """Write an SQLite database of ASE, for any file extension."""
    from ase.db import connect

    with connect(path, type="db") as database:
        for frame, (energy, forces), columns in pairs:
            written = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
            written.calc = SinglePointCalculator(written, energy=energy, forces=forces)
            database.write(written, key_value_pairs=dict(columns))


def _read_database(path: Path) -> list[Atoms]:
    from ase.db import connect

    kind = "json" if path.suffix.lower() == ".json" else "db"
    frames = []
    try:
        for row in connect(path, type=kind).select():
            frame = row.toatoms(add_additional_information=True)
            # ASE returns the sum of initial charges for a value called `charge`, independent of what is stored.
            frame.info["key_value_pairs"] = {key: row.__dict__[key] for key in row.key_value_pairs}
            frames.append(frame)
    except Exception as error:  # ASE and sqlite3 raise any class of error for a file that is no database
        reason = str(error) or type(error).__name__
        raise InputError(
            f"the file `{path.name}` cannot be read as a database of ASE ({reason}); write it again, with ASE for "
            "instance."
        ) from error
    for index, frame in enumerate(frames):
        require_sound(frame, f"frame {index} of `{path.name}`")
    return frames


def _checked_frame(frame: Atoms, what: str, settings: ImportSettings) -> Atoms:
    """Return the frame with only the properties of a label.

    :param what: the frame, as the error message names it.
    """
    values = _values_of_frame(frame)
    for key, option in ((settings.energy or "energy", "energy"), (settings.forces, "forces")):
        if values.get(key) is None:
            held = ", ".join(f"`{name}`" for name in sorted(values)) or "nothing besides the positions"
            raise InputError(
                f"{what} has no `{key}`, which a label needs; it holds {held}. If it is called otherwise there, say "
                f"how with `{option}` (`--{option} NAME`)."
            )
    for name in (settings.energy or "energy", settings.forces, "free_energy"):
        if np.asarray(values.get(name)).dtype.kind == "b":
            raise InputError(f"{what} has `{name}` as a logical (T or F); write a number.")
    try:
        energy = np.asarray(values[settings.energy or "energy"], dtype=np.float64).reshape(())
        forces = np.asarray(values[settings.forces], dtype=np.float64)
        free_energy = float(values.get("free_energy", energy))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} has an energy or forces that are no numbers ({error}).") from error
    if settings.energy is None and abs(free_energy - energy) > FREE_ENERGY_TOLERANCE * len(frame):
        raise InputError(
            f"{what} has the `energy` {energy} eV and the `free_energy` {free_energy} eV. Forces are the derivative of "
            f"one of them, with smeared occupations of the free energy: say which one counts "
            "with `energy` (`--energy NAME`)."
        )
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        raise InputError(f"{what} holds an energy or a force that is not finite.")
    if abs(energy) > LARGEST_LABEL or np.abs(forces).max(initial=0.0) > LARGEST_LABEL:
        raise InputError(f"{what} holds an energy or a force above {LARGEST_LABEL:g} eV or eV/A; correct or remove it.")
    if forces.shape != (len(frame), 3):
        raise InputError(f"{what} has {len(frame)} atoms, but forces of shape {forces.shape}.")
    checked = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
    checked.calc = SinglePointCalculator(checked, energy=float(energy), forces=forces)
    return checked


def _values_of_frame(frame: Atoms) -> dict[str, Any]:
    """Return the values of a frame by name, besides its positions and the like."""
    values: dict[str, Any] = {}
    for source in (frame.info.get("data"), frame.info.get("key_value_pairs"), frame.info, frame.arrays):
        values.update(source or {})
    if frame.calc is not None:
        values.update(frame.calc.results)
    for name in ("numbers", "positions", "data", "key_value_pairs", "unique_id"):
        values.pop(name, None)
    return values
