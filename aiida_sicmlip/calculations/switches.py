"""Command-line switches of LAMMPS that a code may be started with."""

from __future__ import annotations

from typing import Any

from aiida_sicmlip.common.exceptions import InputError, nearest_name

SWITCHES = ("k", "kokkos", "sf", "suffix", "pk", "package", "nc", "nocite", "c", "cite", "e", "echo", "nb", "nonbuf")
"""Switches of LAMMPS that change how it runs and what it prints, and nothing that the calculation relies on."""
OWN_SWITCHES = {
    **dict.fromkeys(("i", "in", "l", "log"), "the calculation gives it itself"),
    **dict.fromkeys(("sc", "screen", "pl", "plog", "ps", "pscreen"), "the output has to stay where it is read"),
    **dict.fromkeys(("p", "partition", "ro", "reorder"), "one calculation is one run"),
    **dict.fromkeys(("v", "var"), "the input has no variables to set"),
}
"""Switches that are refused, and why."""


def checked_switches(value: Any, field: str) -> list[str]:
    """Return the words of a list of switches. YAML reads `on` and `off` as truth values; they become words again.

    :param field: name of the setting, for messages.
    :raises InputError: for a switch that the calculation gives itself or that this package does not pass on.
    """
    if not isinstance(value, list):
        raise InputError(f"`{field}` is {value!r}; give a list of words, such as [-k, on, g, 1, -sf, kk].")
    words = []
    for entry in value:
        if not isinstance(entry, (str, int, float)):
            raise InputError(f"`{field}` holds {entry!r}; give words and numbers.")
        word = ("on" if entry else "off") if isinstance(entry, bool) else str(entry)
        if not word or word.split() != [word]:
            raise InputError(f"`{field}` holds {word!r}; give each word of it as an entry of its own.")
        words.append(word)
    if words and not _is_switch(words[0]):
        raise InputError(f"`{field}` begins with `{words[0]}`; LAMMPS' switches begin with `-`, such as `-sf`.")
    for word in filter(_is_switch, words):
        name = word.lstrip("-")
        if name in OWN_SWITCHES:
            raise InputError(f"`{field}` holds `{word}`, which cannot be given: {OWN_SWITCHES[name]}. Leave it out.")
        if name not in SWITCHES:
            hint = nearest_name(f"-{name}", [f"-{known}" for known in SWITCHES])
            raise InputError(f"`{field}` holds `{word}`, which is not passed on to LAMMPS. {hint}")
    return words


def _is_switch(word: str) -> bool:
    """Whether a word is a switch and not a number below zero."""
    return word.startswith("-") and not word.lstrip("-").replace(".", "", 1).isdigit()
