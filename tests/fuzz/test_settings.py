"""Settings with names and values of any kind: they are refused in a message, or kept as they are."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aiida_sicmlip import science
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import Settings
from aiida_sicmlip.workflows.protocols.loop import load_protocol
from tests.fuzz.mutations import CASES

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from([0, 1, 2, -1, 0.5, 1e9, 10**12, 10**400, "auto", "none", "defect", "1e-6", "1" * 5000]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=2)),
    max_leaves=4,
)


def classes(base: type[Settings] = Settings) -> list[type[Settings]]:
    """Return all classes of settings of the package."""
    for module in pkgutil.walk_packages(science.__path__, f"{science.__name__}."):
        importlib.import_module(module.name)
    found = []
    for kind in base.__subclasses__():
        if kind.__module__.startswith("aiida_sicmlip"):
            found += [kind, *classes(kind)]
    return found


KINDS = sorted(set(classes()), key=lambda kind: (kind.__module__, kind.__qualname__))


@CASES
@given(st.data())
def test_classes_of_settings(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    names = st.one_of(st.sampled_from([*kind.names(), "nonsense"]), st.text(max_size=8))
    mapping = data.draw(st.dictionaries(names, VALUES, max_size=4))
    try:
        settings = kind.from_mapping(mapping)
    except InputError as error:
        assert str(error)
    else:
        # What was taken is taken again, as the provenance graph stores it.
        again = kind.from_mapping(settings.to_dict())
        assert again == settings and again.to_dict() == settings.to_dict()


def paths(tree: Any, *before: str) -> list[tuple[str, ...]]:
    """Return the path of each setting of a protocol."""
    if not isinstance(tree, dict) or not tree:
        return [before]
    return [before, *(path for key, entry in tree.items() for path in paths(entry, *before, str(key)))]


PATHS = [path for path in paths(load_protocol("fast")) if path]


@CASES
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=2))
def test_settings_files(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    """One or two settings of a protocol, at any depth, with a value of any kind."""
    overrides: dict[str, Any] = {}
    for path, value in changes:
        place = overrides
        for key in path[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                return
        place[path[-1]] = value
    try:
        settings = load_protocol("fast", overrides)
    except InputError as error:
        assert str(error)
    else:
        assert load_protocol("fast", overrides) == settings


def test_the_classes_are_all_there() -> None:
    assert len(KINDS) > 25
