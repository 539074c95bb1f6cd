"""Validation of the namelists of pw.x."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any
from xml.etree import ElementTree

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.labels import pw_settings
from aiida_sicmlip.science.value_tests import is_integer, is_number, is_sequence, number_in_yaml

_DEFINITION = "INPUT_PW-6.4.xml"
_MIN_SIMILARITY = 0.85
"""Minimum similarity (0 to 1) of a name and a keyword for the name to be a misspelling of it."""
_VARIABLES = ("var", "dimension", "multidimension")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "REAL": (is_number, "a number"),
    "INTEGER": (is_integer, "a whole number"),
    "LOGICAL": (lambda value: isinstance(value, bool), "true or false"),
    "CHARACTER": (lambda value: isinstance(value, str), "text"),
}
"""Type of a keyword in the definition of the input, its test, and what it takes in words."""
_LARGEST_CUTOFFS = {"ecutwfc": 10_000.0, "ecutrho": 100_000.0}
"""Largest cutoffs, Ry; memory grows with the power 3/2 of them."""
_MAGNETISATIONS = ("starting_magnetization", "tot_magnetization")


def mistake_in_namelists(parameters: Mapping[str, Any]) -> str | None:
    """Return a message on the first mistake in the namelists ``parameters``, or ``None``.

    Namelists and keywords may be in any case. Unknown keywords that do not resemble a known one are accepted, as newer
    versions of pw.x may support them.
    """
    for name, content in parameters.items():
        if str(name).upper() not in pw_settings.NAMELISTS:
            return f"`{name}` is not a namelist of pw.x. {nearest_name(str(name).upper(), pw_settings.NAMELISTS)}"
        if not isinstance(content, Mapping):
            return f"`{name}` is {content!r}; give settings under it, such as `ecutwfc: 50.0`."
        for key, value in content.items():
            mistake = _mistake_in_value(f"{name}.{key}", str(key).lower(), value)
            if mistake is not None:
                return mistake
    try:
        return _contradiction(pw_settings.canonical_namelists(parameters))
    except InputError as error:
        return str(error)


def _mistake_in_value(name: str, keyword: str, value: Any) -> str | None:
    if (written := number_in_yaml(value)) is not None:
        return f"`{name}` is the text {value!r}; write it as {written} for YAML to read a number."
    if keyword not in keywords():
        close = difflib.get_close_matches(keyword, keywords(), n=1, cutoff=_MIN_SIMILARITY)
        return f"`{name}` is not a keyword of pw.x. Did you mean `{close[0]}`?" if close else None
    test, words = _KINDS.get(keywords()[keyword], (lambda _: True, ""))
    # One value for each kind of atoms is given as a mapping or a list, in which the last entries are values.
    values = list(value.values()) if isinstance(value, Mapping) else list(value) if is_sequence(value) else [value]
    for entry in values:
        single = entry[-1] if is_sequence(entry) and entry else entry
        if single is None:
            continue
        if isinstance(single, str) and single.lower() in pw_settings.LOGICALS and words == "true or false":
            return f"`{name}` is the text {single!r}; write {str(pw_settings.LOGICALS[single.lower()]).lower()}."
        if not test(single):
            return f"`{name}` is {single!r}; give {words}."
    return None


def _contradiction(parameters: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return a message on values that contradict each other or are out of any range, or ``None``."""
    system = {key: value for key, value in parameters.get("SYSTEM", {}).items() if value is not None}
    for key, largest in _LARGEST_CUTOFFS.items():
        if key in system and not 0 < system[key] <= largest:
            return f"`SYSTEM.{key}` is {system[key]}; give a cutoff in Ry above zero, of at most {largest:g}."
    if "ecutwfc" in system and "ecutrho" in system and system["ecutrho"] < system["ecutwfc"]:
        return (
            f"`SYSTEM.ecutrho` is {system['ecutrho']:g} Ry, below `SYSTEM.ecutwfc`, {system['ecutwfc']:g} Ry; give at "
            "least 4 times of it, and 8 to 12 times for ultrasoft pseudopotentials, or leave it out."
        )
    magnetic = [key for key in _MAGNETISATIONS if _is_magnetic(system.get(key))]
    if magnetic and system.get("nspin", 1) == 1 and not system.get("noncolin"):
        said = "is 1" if "nspin" in system else "is not set, and 1 by default"
        return f"`SYSTEM.nspin` {said}, but `SYSTEM.{magnetic[0]}` is given; set `nspin: 2`, or leave it out."
    return None


def _is_magnetic(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_magnetic(entry) for entry in value.values())
    if is_sequence(value):
        return any(_is_magnetic(entry[-1] if is_sequence(entry) else entry) for entry in value)
    return isinstance(value, (int, float)) and value != 0


@cache
def keywords() -> dict[str, str]:
    """Return the known keywords of pw.x in lower case, and the type of each as far as it is known."""
    text = (resources.files("aiida_quantumespresso.calculations.helpers") / _DEFINITION).read_text(encoding="utf-8")
    types: dict[str, str] = {}
    for defaults in (pw_settings.SYSTEM_DEFAULTS, pw_settings.SYSTEM_IGNORED, *pw_settings.OTHER_DEFAULTS.values()):
        types.update(dict.fromkeys(defaults, ""))
    root = ElementTree.fromstring(text)
    for element in root.iter():
        if element.tag in _VARIABLES and "type" in element.attrib:
            types[element.attrib["name"].lower()] = element.attrib["type"]
    for group in root.iter("vargroup"):
        types.update({entry.attrib["name"].lower(): group.attrib["type"] for entry in group.iter("var")})
    return types
