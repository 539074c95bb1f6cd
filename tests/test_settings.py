"""Settings: every class of them says what is wrong with a value, where, and what to give; and completes itself."""

from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import dataclass
from typing import Any

import pytest

from aiida_sicmlip import calculations, engine, science, workflows
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import (
    REQUIRED,
    SettingGroup,
    Settings,
    choice,
    flag,
    group,
    groups,
    integer,
    number,
    sequence,
    text,
)

NEEDED: dict[str, dict[str, Any]] = {
    "WallSettings": {"variable": 0, "at": 1.0},
    "RestraintSettings": {"variable": 0, "at": 1.0, "kappa": 2.0},
    "ClassicalSettings": {"species": ["Si"], "commands": ["pair_style zero 3"]},
    "CvTrainingSettings": {"groups": {"C": [0, 1]}},
    "CandidatesSettings": {"segments": [{}]},
    "MachineSettings": {"code": "sicmlip@cluster"},
    "LammpsPotentialSettings": {"node": 1},
    "BootstrapSettings": {"node": 1},
    "ReferenceSettings": {"node": 1},
}
"""What classes need that have settings without defaults, or that depend on each other."""


def subclasses(base: type[Settings]) -> list[type[Settings]]:
    """Return all classes below ``base`` that the package defines."""
    found = [base for base in base.__subclasses__() if base.__module__.startswith("aiida_sicmlip.")]
    return [*found, *(cls for each in found for cls in subclasses(each))]


for layer in (calculations, engine, science, workflows):
    for module in pkgutil.walk_packages(layer.__path__, f"{layer.__name__}."):
        importlib.import_module(module.name)

CLASSES = sorted(set(subclasses(Settings)), key=lambda cls: cls.__name__)
COMPLETE = [cls for cls in CLASSES if set(cls.names()) <= {*cls.defaults(), *NEEDED.get(cls.__name__, {})}]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_setting_says_what_it_means_and_refuses_what_is_wrong(cls: type[Settings]) -> None:
    """By its whole name, with what was given and what to give."""
    for name, described in cls.described().items():
        assert described.meaning, name
        with pytest.raises(InputError) as caught:
            cls.check_given({name: object()}, "here.")
        message = str(caught.value)
        assert f"`here.{name}` is <object" in message and "; give " in message and message.endswith(".")
        if not described.nullable and not isinstance(described, SettingGroup):
            with pytest.raises(InputError, match=f"`here.{name}` is None; give "):
                cls.check_given({name: None}, "here.")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_misspelt_name_is_told_with_the_nearest(cls: type[Settings]) -> None:
    longest = max(cls.names(), key=len)
    with pytest.raises(InputError) as caught:
        cls.from_mapping({f"{longest}x": 1})
    assert str(caught.value) == f"`{cls.PREFIX}{longest}x` is not a known setting. Did you mean `{longest}`?"


@pytest.mark.parametrize("cls", COMPLETE, ids=lambda cls: cls.__name__)
def test_settings_are_completed_and_read_again(cls: type[Settings]) -> None:
    """As a node or a file holds them: with every name, as plain data."""
    needed = NEEDED.get(cls.__name__, {})
    settings = cls.from_mapping(needed)
    complete = settings.to_dict()
    assert set(complete) == set(cls.names())
    assert cls.from_mapping(json.loads(json.dumps(complete))) == settings
    assert {**cls.defaults(), **needed}.keys() == complete.keys()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_comes_from_elsewhere_is_told(cls: type[Settings]) -> None:
    for name in cls.ELSEWHERE:
        with pytest.raises(InputError, match=f"`{cls.PREFIX}{name}` is taken from .*; leave it out"):
            cls.from_mapping({name: 1})


@dataclass(frozen=True)
class Inner(Settings):
    """Settings below others."""

    width: int = integer(2, "a width", at_least=1, at_most=3)


@dataclass(frozen=True, kw_only=True)
class Outer(Settings):
    """Settings of each kind."""

    PREFIX = "outer."

    temperature: float = number(300.0, "a temperature", unit="K", above=0)
    fraction: float = number(0.5, "a fraction", at_least=0, below=1)
    limit: float | None = number(None, "a limit", unit="eV", above=1.5)
    kind: str = choice("one", ("one", "two"), "a kind")
    is_on: bool = flag(True, "a switch")
    name: str = text(REQUIRED, "a name")
    sizes: tuple[int, ...] = sequence(
        (1, 2), "sizes", "a list of sizes", lambda size: size in (1, 2, 3), different=True
    )
    inner: Inner = group(Inner, "settings below")
    changes: dict[str, Any] = group(Inner, "settings on top of others", partial=True)
    entries: tuple[Inner, ...] = groups(Inner, "several")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`outer.name` is missing; give text."),
        ({"name": ""}, "`outer.name` is ''; give text."),
        ({"temperature": 0}, "`outer.temperature` is 0; give a number above zero, in K."),
        ({"temperature": True}, "`outer.temperature` is True; give a number above zero, in K."),
        ({"temperature": float("nan")}, "`outer.temperature` is nan; give a number above zero, in K."),
        ({"temperature": float("inf")}, "`outer.temperature` is inf; give a number above zero, in K."),
        ({"temperature": "1e3"}, "is '1e3'; give a number above zero, in K, in YAML written as 1000.0."),
        ({"temperature": "-1e3"}, "`outer.temperature` is '-1e3'; give a number above zero, in K."),
        ({"fraction": 1}, "`outer.fraction` is 1; give a number of at least 0 and below 1."),
        ({"limit": 1.5}, "`outer.limit` is 1.5; give a number above 1.5, in eV, or null."),
        ({"kind": "three"}, "`outer.kind` is 'three'; give `one` or `two`."),
        ({"is_on": 1}, "`outer.is_on` is 1; give true or false."),
        ({"sizes": [1, 1]}, "`outer.sizes` is [1, 1]; give a list of sizes."),
        ({"sizes": []}, "`outer.sizes` is []; give a list of sizes."),
        ({"inner": 3}, "`outer.inner` is 3; give settings under it: width."),
        ({"inner": None}, "`outer.inner` is None; give settings under it: width."),
        ({"inner": {"width": 4}}, "`outer.inner.width` is 4; give a whole number of at least 1 and at most 3."),
        ({"inner": {"width": 1.0}}, "`outer.inner.width` is 1.0; give a whole number"),
        ({"inner": {"with": 1}}, "`outer.inner.with` is not a known setting. Did you mean `width`?"),
        ({"changes": {"width": 0}}, "`outer.changes.width` is 0; give a whole number"),
        ({"entries": {"width": 1}}, "`outer.entries` is {'width': 1}; give a list of mappings."),
        ({"entries": [{}, {"width": 9}]}, "Entry 2 of `outer.entries`: `width` is 9; give a whole number"),
        ({"entries": [5]}, "Entry 1 of `outer.entries` is 5; give settings under it: width."),
    ],
)
def test_messages(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Outer.from_mapping(given)
    assert message in str(caught.value)


def test_groups_are_completed_and_partial_ones_are_not() -> None:
    given = {"name": "a", "changes": {"width": 3}, "entries": [{}], "sizes": [3]}
    complete = Outer.complete(given)
    assert complete["inner"] == {"width": 2}
    assert complete["changes"] == {"width": 3}
    assert complete["entries"] == [{"width": 2}]
    assert complete["sizes"] == [3]
    assert complete["limit"] is None


def test_the_help_of_a_port_names_settings_and_units() -> None:
    assert Outer.summary().startswith("Settings of each kind. Keys: `temperature` (K), `fraction`, `limit` (eV), ")


def test_a_field_without_description_is_refused() -> None:
    @dataclass(frozen=True)
    class Bare(Settings):
        size: int = 3

    with pytest.raises(TypeError, match="the field `size` has no description"):
        Bare()
