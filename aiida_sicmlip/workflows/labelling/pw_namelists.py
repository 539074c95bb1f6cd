"""Validation of the namelists of pw.x."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from aiida_sicmlip.common.exceptions import nearest_name
from aiida_sicmlip.science.labels import pw_settings
from aiida_sicmlip.science.value_tests import number_in_yaml

_DEFINITION = "INPUT_PW-6.4.xml"
_MIN_SIMILARITY = 0.85
"""Minimum similarity (0 to 1) of a name and a keyword for the name to be a misspelling of it."""


def mistake_in_namelists(parameters: Mapping[str, Any]) -> str | None:
    """Return a message on the first mistake in the namelists ``parameters``, or ``None``.

    Unknown keywords that do not resemble a known one are accepted, as newer versions of pw.x may support them.
    """
    for name, content in parameters.items():
        if name.upper() not in pw_settings.NAMELISTS:
            return f"`{name}` is not a namelist of pw.x. {nearest_name(name.upper(), pw_settings.NAMELISTS)}"
        if not isinstance(content, Mapping):
            return f"`{name}` is {content!r}; give settings under it, such as `ecutwfc: 50.0`."
        for key, value in content.items():
            if (written := number_in_yaml(value)) is not None:
                return f"`{name}.{key}` is the text {value!r}; write it as {written} for YAML to read a number."
            if str(key).lower() not in keywords():
                close = difflib.get_close_matches(str(key).lower(), keywords(), n=1, cutoff=_MIN_SIMILARITY)
                if close:
                    return f"`{name}.{key}` is not a keyword of pw.x. Did you mean `{close[0]}`?"
    return None


@cache
def keywords() -> frozenset[str]:
    """Return the known keywords of pw.x in lower case."""
    text = (resources.files("aiida_quantumespresso.calculations.helpers") / _DEFINITION).read_text(encoding="utf-8")
    names = {name.lower() for name in re.findall(r'<(?:var|dimension) name="(\w+)"', text)}
    for defaults in (pw_settings.SYSTEM_DEFAULTS, pw_settings.SYSTEM_IGNORED, *pw_settings.OTHER_DEFAULTS.values()):
        names.update(defaults)
    return frozenset(names)
