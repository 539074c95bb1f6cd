"""Charge and spin of labelled frames in files of other programs.

A file contains the charge of each frame as `charge` or `total_charge` (e), the spin as `spin` (number of unpaired
electrons) or `multiplicity` (one more). In an ASE database the charge is `total_charge`: `charge` there names the sum
of initial charges. The word `none` means that there is no charge or spin.

There are no defaults: what the file does not contain has to be stated, since a neutral singlet is only one possibility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.level_of_theory import whole_number
from aiida_sicmlip.science.labels.states import CHARGE, LEVEL, NONE, SPIN, LabelState, state_of_frame

CHARGE_COLUMNS = ("charge", "total_charge")
SPIN_COLUMNS = ("spin", "multiplicity")
_MOST_FRAMES = 5
"""Largest number of frames listed in a message."""
_MEANING = {
    CHARGE: "the total charge in e, or `none`",
    SPIN: "the number of unpaired electrons (0 for a singlet, 2 for a triplet), or `none` where it was free",
}


def state_columns(frame: Atoms, kind: str) -> dict[str, str | int]:
    """Return the values of charge, spin and level of theory of a frame as a file contains them.

    :param kind: `extxyz` or `db`.
    """
    state = state_of_frame(frame)
    columns: dict[str, str | int] = {
        "total_charge" if kind == "db" else "charge": NONE if state.charge is None else state.charge,
        "spin": NONE if state.spin is None else state.spin,
    }
    if state.spin is not None:
        columns["multiplicity"] = state.spin + 1
    return columns | {LEVEL: state.level}


def exchanged_states(
    frames: Sequence[Atoms], file: str, charge: int | str | None, spin: int | str | None
) -> tuple[list[LabelState], dict[str, str]]:
    """Return charge and spin of each frame, and the origin of `charge` and `spin` for messages.

    :param frames: as ASE reads them.
    :param file: name of the file.
    :param charge: value stated for all frames; None where the file must contain it.
    :param spin: the same.
    :raises InputError: if the file contains it for some frames only, or a frame has contradicting values, no integer,
        or another value than stated; if neither file nor statement gives it; if the spin is impossible for the number
        of electrons.
    """
    columns = [_columns_of_frame(frame) for frame in frames]
    charges, charge_source = _values(columns, CHARGE, CHARGE_COLUMNS, file, charge)
    spins, spin_source = _values(columns, SPIN, SPIN_COLUMNS, file, spin)
    if " and " not in spin_source:
        for index, frame in enumerate(frames):
            _check_parity(frame, charges[index], spins[index], f"frame {index} of `{file}`")
    states = [LabelState(one, other) for one, other in zip(charges, spins, strict=True)]
    return states, {CHARGE: charge_source, SPIN: spin_source}


def says_any(frames: Sequence[Atoms], columns: Sequence[str]) -> bool:
    """Return whether any frame of a file has one of some columns, such as :data:`CHARGE_COLUMNS`."""
    return any(name in _columns_of_frame(frame) for frame in frames for name in columns)


def _columns_of_frame(frame: Atoms) -> dict[str, Any]:
    """Return the values of a frame that are not per atom."""
    columns: dict[str, Any] = {}
    for source in (frame.info.get("data"), frame.info.get("key_value_pairs"), frame.info):
        columns.update(source or {})
    return columns


def _values(
    columns: Sequence[Mapping[str, Any]], what: str, names: Sequence[str], file: str, stated: int | str | None
) -> tuple[list[int | None], str]:
    """Return charge or spin of each frame, and its origin.

    :param what: `charge` or `spin`.
    :param names: columns that may contain it.
    """
    there = [name for name in names if any(name in known for known in columns)]
    found: list[int | None] = []
    lacking = [index for index, known in enumerate(columns) if not any(name in known for name in there)]
    if there and lacking:
        raise InputError(
            f"`{file}` has {' or '.join(f'`{name}`' for name in there)} for {len(columns) - len(lacking)} of its "
            f"{len(columns)} frames, and nothing for the others, first {_listed(lacking)}; give it for every frame "
            f"({_MEANING[what]})."
        )
    for index, known in enumerate(columns):
        values = {name: _value(known[name], name, f"frame {index} of `{file}`") for name in there if name in known}
        if len(set(values.values())) > 1:
            said = " and ".join(f"`{name}` {known[name]}" for name in values)
            raise InputError(f"frame {index} of `{file}` says {said}, which contradict each other; keep what is right.")
        found += set(values.values())
    source = " and ".join(f"`{name}`" for name in there) or "what is stated"
    if stated is None:
        if not there:
            raise InputError(
                f"`{file}` does not say the {what} of its configurations: it has neither `{names[0]}` nor "
                f"`{names[1]}`. State {_MEANING[what]} with `--{what}`, or as `{what}` in the file of the level of "
                "theory."
            )
        return found, source
    value = None if stated == NONE else int(stated)
    for index, one in enumerate(found):
        if one != value:
            raise InputError(
                f"frame {index} of `{file}` has the {what} {NONE if one is None else one}, but {stated} is stated for "
                "all of them; leave the statement out, or correct the file."
            )
    return [value] * len(columns), source


def _value(value: Any, name: str, frame: str) -> int | None:
    """Return a charge or the spin of a column.

    :raises InputError: if it is no integer, or below its minimum.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str) and value.lower() == NONE:
        return None
    number = whole_number(value)
    least = {"spin": 0, "multiplicity": 1}.get(name)
    if number is None or (least is not None and number < least):
        bound = "" if least is None else f" of at least {least}"
        raise InputError(f"{frame} has the `{name}` {value!r}; it is a whole number{bound}, or `none`.")
    return number - 1 if name == "multiplicity" else number


def _check_parity(frame: Atoms, charge: int | None, spin: int | None, what: str) -> None:
    """Raise where a number of electrons cannot have this spin; spin 0 may be unpolarised instead."""
    if charge is None or not spin:
        return
    electrons = int(frame.numbers.sum()) - charge
    if (electrons - spin) % 2:
        raise InputError(
            f"{what} has the charge {charge} and so an {'odd' if electrons % 2 else 'even'} number of electrons, of "
            f"which {spin} cannot be unpaired. The spin is the number of unpaired electrons; a multiplicity, which is "
            "one more, is called `multiplicity`."
        )


def _listed(indices: Sequence[int]) -> str:
    """Return the first of some frame indices, for a message."""
    more = ", ..." if len(indices) > _MOST_FRAMES else ""
    return f"frame{'' if len(indices) == 1 else 's'} {', '.join(map(str, indices[:_MOST_FRAMES]))}{more}"
