"""Validators that several processes share: each returns a sentence where something is wrong, else ``None``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.switches import checked_switches
from aiida_sicmlip.common.exceptions import InputError

LAMMPS_PLUGINS = ("sicmlip.exploration", "lammps.base", "lammps.raw")
POTENTIAL_PLUGINS = ("sicmlip.training", "sicmlip.compilation", "sicmlip.evaluation", "sicmlip.reference_label")
CV_PLUGINS = ("sicmlip.collective_variables",)
DESCRIPTORS_PLUGINS = ("sicmlip.descriptors",)
PW_PLUGINS = ("quantumespresso.pw",)

MAXIMUM_SEED = 2**31 - 1
"""LAMMPS takes seeds as positive 32-bit integers; the other programs take those too."""

Validator = Callable[[Any, Any], "str | None"]


def validate_code_plugin(plugins: Iterable[str]) -> Validator:
    """Return a validator that refuses a code made for another program than one of ``plugins``."""
    plugins = tuple(plugins)

    def validator(code: orm.AbstractCode | None, _: Any) -> str | None:
        if code is None or code.default_calc_job_plugin in (None, *plugins):
            return None
        return (
            f"code `{code.full_label}` is set up for `{code.default_calc_job_plugin}`, which is the wrong kind here; "
            f"give a code whose default plugin is {' or '.join(f'`{plugin}`' for plugin in plugins)}."
        )

    return validator


def sentence_of(reader: Callable[[Any], Any]) -> Validator:
    """Return a validator of a ``Dict`` port that hands its content to ``reader`` and reports its error."""

    def validator(value: orm.Dict | None, _: Any) -> str | None:
        if value is None:
            return None
        try:
            reader(value.get_dict())
        except InputError as error:
            return str(error)
        return None

    return validator


def validate_seed(value: orm.Int | None, _: Any) -> str | None:
    """A seed is a positive 32-bit integer."""
    if value is not None and not 0 < value.value <= MAXIMUM_SEED:
        return f"`seed` is {value.value}; give a whole number from 1 to {MAXIMUM_SEED}."
    return None


def validate_positive(name: str) -> Validator:
    """Return a validator of a number port called ``name`` that must be above zero."""

    def validator(value: orm.Int | orm.Float | None, _: Any) -> str | None:
        if value is not None and not value.value > 0:
            return f"`{name}` is {value.value}; give a number above zero."
        return None

    return validator


def validate_not_negative(name: str) -> Validator:
    """Return a validator of a number port called ``name`` that must not be below zero."""

    def validator(value: orm.Int | orm.Float | None, _: Any) -> str | None:
        if value is not None and value.value < 0:
            return f"`{name}` is {value.value}; give a number of at least zero."
        return None

    return validator


def validate_switches(switches: orm.List | None, _: Any) -> str | None:
    """Say which command-line switch of LAMMPS cannot be used, if any."""
    if switches is None:
        return None
    try:
        checked_switches(switches.get_list(), "switches")
    except InputError as error:
        return str(error)
    return None
