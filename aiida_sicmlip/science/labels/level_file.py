"""The level of theory of labels that were computed elsewhere, stated by their owner in a YAML file.

For labels of pw.x, the settings are given as in its input. The level is normalised like
that of labels computed here, and can be compared with it::

    program: quantumespresso.pw
    parameters:
      SYSTEM: {ecutwfc: 30.0, ecutrho: 240.0, nspin: 2, tot_magnetization: 2.0}
    pseudopotentials:
      Si: Si.upf                    # a file, beside the YAML file
      C: {md5: 0123456789abcdef0123456789abcdef, functional: PBE}
    kpoints: {mesh: [1, 1, 1]}

For labels of any other program, settings are compared as given::

    program: vasp
    functional: PBE
    pseudopotentials: {Si: PAW_PBE Si 05Jan2001, C: PAW_PBE C 08Apr2002}
    kpoints: {mesh: [2, 2, 2]}
    settings: {encut: 500.0, ismear: 0, sigma: 0.05, ispin: 2}
    charge: 0
    spin: 2

`charge` (e) and `spin` (number of unpaired electrons) are those of every configuration, for files of labels that do not
contain them; `none` means a free spin, for instance. They are no part of the level. `tot_charge` and
`tot_magnetization` among the parameters or settings state them as well, and so does `nspin: 1` of pw.x.

A file that `aiida-sicmlip dataset export` wrote beside a data set of one level can be read too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.labels.level_of_theory import (
    functional_of_pseudopotential,
    pw_level_of_theory,
    stated_level_of_theory,
    whole_number,
)
from aiida_sicmlip.science.labels.states import CHARGE, NONE, SPIN
from aiida_sicmlip.science.value_tests import number_in_yaml
from aiida_sicmlip.science.yaml_files import read_yaml

PW_PROGRAM = "quantumespresso.pw"
"""Program of labels computed here: the entry point of pw.x in AiiDA."""
PW_KEYS = ("program", "parameters", "pseudopotentials", "kpoints", "hubbard", CHARGE, SPIN)
OTHER_KEYS = ("program", "functional", "pseudopotentials", "kpoints", "hubbard", "settings", CHARGE, SPIN)
EXPORTED = "levels_of_theory"
"""The key of a file written by an export."""
_LEVEL_KEYS = {"program", "functional", "pseudopotentials", "kpoints", "hubbard", "settings"}
_KEYS_OF_PSEUDOPOTENTIAL = ("md5", "functional", "element")


def read_statement(path: Path) -> Mapping[str, Any]:
    """Return the keys of a YAML file as they are.

    :raises InputError: if the file cannot be read.
    """
    statement = read_yaml(path, f"the level of theory `{path}`")
    if not isinstance(statement, Mapping):
        raise InputError(f"the level of theory `{path}` holds no keys; it needs {_listed(PW_KEYS[:4])}.")
    return statement


def level_of_statement(statement: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the normalised level of theory stated by a mapping.

    :param folder: folder of the pseudopotential files.
    :raises InputError: if a key is unknown or missing, or a value is invalid.
    """
    if EXPORTED in statement:
        return _exported_level(statement)
    if "parameters" in statement and "settings" in statement:
        raise InputError(
            "the level of theory has both `parameters` and `settings`; `parameters` are the namelists of pw.x, "
            "`settings` those of any other program: keep one."
        )
    is_pw = _is_of_pw(statement)
    known = PW_KEYS if is_pw else OTHER_KEYS
    for key in statement:
        if key not in known:
            kind = f"pw.x (program `{PW_PROGRAM}`)" if is_pw else "a program other than pw.x"
            raise InputError(f"`{key}` is no key of a level of theory of {kind}. {nearest_name(str(key), known)}")
    required = ("parameters", "pseudopotentials", "kpoints") if is_pw else ("program", "functional", "settings")
    for key in required:
        if statement.get(key) is None:
            raise InputError(f"the level of theory has no `{key}`; it needs {_listed(required)}.")
    for key in ("parameters", "settings"):
        _refuse_numbers_as_text(statement.get(key), key)
    try:
        if is_pw:
            return _level_of_pw(statement, folder)
        return stated_level_of_theory(**{key: entry for key, entry in statement.items() if key not in (CHARGE, SPIN)})
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"the level of theory holds a value of the wrong kind ({error}).") from error


def state_of_statement(statement: Mapping[str, Any]) -> dict[str, int | str]:
    """Return the `charge` and the `spin` that a mapping states for all configurations, if any.

    :param statement: one that :func:`level_of_statement` accepts.
    :raises InputError: if one is no integer, or is stated twice with different values.
    """
    is_pw = _is_of_pw(statement)
    content = (statement.get("parameters") or {}) if is_pw else {"SYSTEM": statement.get("settings") or {}}
    system = {
        str(key).lower(): entry
        for namelist, entries in content.items()
        if str(namelist).upper() == "SYSTEM"
        for key, entry in entries.items()
        if entry is not None
    }
    stated: dict[str, int | str] = {}
    for what, setting in ((CHARGE, "tot_charge"), (SPIN, "tot_magnetization")):
        if setting in system:
            number = whole_number(system[setting])
            if number is None:
                raise InputError(
                    f"`{setting}` is {system[setting]!r}; the {what} of a configuration is a whole number."
                )
            stated[what] = number if what == CHARGE else abs(number)
    if is_pw and system.get("nspin") == 1:
        stated.setdefault(SPIN, 0)
    for what in (CHARGE, SPIN):
        if what not in statement:
            continue
        value_stated = NONE if statement[what] is None else statement[what]
        number = whole_number(value_stated)
        if value_stated != NONE and (number is None or (what == SPIN and number < 0)):
            raise InputError(f"`{what}` of the level of theory is {value_stated!r}; give a whole number, or `none`.")
        value = NONE if number is None else number
        if stated.get(what, value) != value:
            raise InputError(
                f"the level of theory states the {what} {value} under `{what}`, and {stated[what]} among its "
                f"{'parameters' if is_pw else 'settings'}; keep what is right."
            )
        stated[what] = value
    return stated


def _is_of_pw(statement: Mapping[str, Any]) -> bool:
    return statement.get("program", PW_PROGRAM if "parameters" in statement else None) == PW_PROGRAM


def _exported_level(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return the level of theory in a file written by an export."""
    levels = statement[EXPORTED]
    if not isinstance(levels, list) or not all(isinstance(level, Mapping) for level in levels) or not levels:
        raise InputError(f"`{EXPORTED}` is {levels!r}; give the list that `aiida-sicmlip dataset export` writes.")
    if len(levels) > 1:
        raise InputError(
            f"`{EXPORTED}` holds {len(levels)} levels of theory, and an import takes one: export the parts that "
            "`aiida-sicmlip dataset subset PK --levels N` makes, import each, and merge them."
        )
    level = dict(levels[0])
    if set(level) != _LEVEL_KEYS or not isinstance(level["settings"], Mapping):
        raise InputError(f"`{EXPORTED}` holds a level with the keys {sorted(level)}; it has {sorted(_LEVEL_KEYS)}.")
    return level


def _level_of_pw(statement: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the level of theory of labels by pw.x."""
    parameters = statement["parameters"]
    if not isinstance(parameters, Mapping):
        raise InputError(f"`parameters` is {parameters!r}; give the namelists of pw.x, such as `SYSTEM`.")
    pseudopotentials = statement["pseudopotentials"]
    if not isinstance(pseudopotentials, Mapping):
        raise InputError(f"`pseudopotentials` is {pseudopotentials!r}; give a file or an md5 for each element.")
    described = {str(kind): _pseudopotential(str(kind), entry, folder) for kind, entry in pseudopotentials.items()}
    kpoints = statement["kpoints"]
    if not isinstance(kpoints, (Mapping, list)):
        raise InputError(f"`kpoints` is {kpoints!r}; give `{{mesh: [1, 1, 1]}}`, for instance.")
    level = pw_level_of_theory(parameters, described, kpoints, PW_PROGRAM, hubbard=statement.get("hubbard"))
    if level["functional"] is None:
        raise InputError(
            "the level of theory names no functional: give `functional` beside `md5`, a file whose header names it, or "
            "`input_dft` under `parameters.SYSTEM`."
        )
    return level


def _pseudopotential(kind: str, entry: Any, folder: Path) -> dict[str, Any]:
    """Return md5 of a pseudopotential, and functional and element where they are given."""
    name = f"pseudopotentials.{kind}"
    if isinstance(entry, str):
        path = folder / Path(entry).expanduser()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"`{name}` is the file `{path}`, which cannot be read: {error.strerror}.") from error
        functional = functional_of_pseudopotential(content.decode("utf-8", "replace"))
        return {"md5": hashlib.md5(content, usedforsecurity=False).hexdigest(), "functional": functional}
    if not isinstance(entry, Mapping):
        raise InputError(f"`{name}` is {entry!r}; give a file, or `md5` and `functional`.")
    for key in entry:
        if key not in _KEYS_OF_PSEUDOPOTENTIAL:
            raise InputError(f"`{name}.{key}` is no known key. {nearest_name(str(key), _KEYS_OF_PSEUDOPOTENTIAL)}")
    md5 = str(entry.get("md5") or "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", md5):
        raise InputError(f"`{name}.md5` is {entry.get('md5')!r}; give the 32 digits that `md5sum` prints for the file.")
    return {**entry, "md5": md5}


def _refuse_numbers_as_text(value: Any, name: str) -> None:
    """Raise :class:`InputError` where YAML has read a number as text, as it does with `1e-6`."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _refuse_numbers_as_text(entry, f"{name}.{key}")
    elif (written := number_in_yaml(value)) is not None:
        raise InputError(f"`{name}` is the text {value!r}; to be a number in YAML, it is written as {written}.")


def _listed(names: tuple[str, ...]) -> str:
    """Return names as an enumeration."""
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"
