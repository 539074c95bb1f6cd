"""Mistakes in the namelists of pw.x that can be seen before it runs."""

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
_ALIKE = 0.85
"""How much a name must resemble a known one (0 to 1) to be taken for a misspelling of it."""


def mistake_in_namelists(parameters: Mapping[str, Any]) -> str | None:
    """Return a sentence on the first mistake in ``parameters``, namelist by namelist, or ``None``.

    A keyword that is neither known nor like a known one passes: newer versions of pw.x know more.
    """
    for name, content in parameters.items():
        if name.upper() not in pw_settings.NAMELISTS:
            return f"`{name}` is not a namelist of pw.x. {nearest_name(name.upper(), pw_settings.NAMELISTS)}"
        if not isinstance(content, Mapping):
            return f"`{name}` is {content!r}; give settings under it, such as `ecutwfc: 50.0`."
        for key, value in content.items():
            if (written := number_in_yaml(value)) is not None:
                return f"`{name}.{key}` is the text {value!r}; to be a number in YAML, it is written as {written}."
            known = keywords()
            if str(key).lower() not in known:
                close = difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=_ALIKE)
                if close:
                    return f"`{name}.{key}` is not a keyword of pw.x. Did you mean `{close[0]}`?"
    return None


@cache
def keywords() -> frozenset[str]:
    """Return the keywords of pw.x that are known, in lower case."""
    text = (resources.files("aiida_quantumespresso.calculations.helpers") / _DEFINITION).read_text(encoding="utf-8")
    found = {name.lower() for name in re.findall(r'<(?:var|dimension) name="(\w+)"', text)}
    for defaults in (pw_settings.SYSTEM_DEFAULTS, pw_settings.SYSTEM_IGNORED, *pw_settings.OTHER_DEFAULTS.values()):
        found.update(defaults)
    return frozenset(found)
