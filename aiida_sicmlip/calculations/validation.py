"""Validators that several processes share: each returns a message where something is wrong, else ``None``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.switches import checked_switches
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.lammps_input import MAXIMUM_SEED
from aiida_sicmlip.science.settings import Settings
from aiida_sicmlip.science.value_tests import within


@dataclass(frozen=True)
class Program:
    """A program that codes are made for.

    name: as messages call it.
    plugins: default plugins of its codes. One that several calculations share has none of its own.
    executables: names of its files, which tell a code without a default plugin.
    """

    name: str
    plugins: tuple[str, ...]
    executables: tuple[str, ...]


PW = Program("`pw.x`", ("quantumespresso.pw",), ("pw.x",))
LAMMPS = Program("LAMMPS", ("sicmlip.exploration", "lammps.base", "lammps.raw"), ("sicmlip-lmp", "lmp"))
SICMLIP = Program(
    "`sicmlip`",
    (
        *("sicmlip.training", "sicmlip.compilation", "sicmlip.evaluation", "sicmlip.reference_label"),
        *("sicmlip.collective_variables", "sicmlip.descriptors"),
    ),
    ("sicmlip",),
)
PROGRAMS = (PW, LAMMPS, SICMLIP)

Validator = Callable[[Any, Any], "str | None"]


def program_of(code: orm.AbstractCode) -> Program | None:
    """Return the program that a code says it is for, by its default plugin or the name of its file, if either tells."""
    plugin = code.default_calc_job_plugin
    executable = PurePath(str(getattr(code, "filepath_executable", ""))).name
    for program in PROGRAMS:
        if plugin in program.plugins or (plugin is None and executable in program.executables):
            return program
    return None


def validate_code(program: Program) -> Validator:
    """Return a validator that refuses a code of another program than ``program``.

    A code says what it is for by its default plugin, or, where it has none, by the name of its file. A file of any
    other name may be a script that starts the right program, and is taken.
    """

    def validator(code: orm.AbstractCode | None, _: Any) -> str | None:
        if code is None:
            return None
        plugin = code.default_calc_job_plugin
        executable = PurePath(str(getattr(code, "filepath_executable", ""))).name
        if plugin is not None:
            fits, known_by = plugin in program.plugins, f"is set up for `{plugin}`"
        else:
            others = [other for other in PROGRAMS if other != program]
            fits, known_by = all(executable not in other.executables for other in others), f"runs `{executable}`"
        if fits:
            return None
        plugins = " or ".join(f"`{plugin}`" for plugin in program.plugins)
        return (
            f"code `{code.full_label}` {known_by}, which is the wrong kind here; give a code of {program.name}, whose "
            f"default plugin, if it has one, is {plugins}."
        )

    return validator


def settings_port(kind: type[Settings], *, purpose: str = "", completed: bool = True) -> dict[str, Any]:
    """Return what ``spec.input`` takes for a ``Dict`` port that holds settings of the class ``kind``.

    A mapping that is given for it is completed with all defaults, so that the stored node says what ran. A node is
    taken as it is, and whoever reads it fills in defaults.

    :param purpose: for the help, before what the class says.
    :param completed: False where another input decides what the defaults are.
    """

    def serialize(value: Any) -> orm.Dict:
        if isinstance(value, orm.Dict) or not isinstance(value, Mapping):
            return orm.to_aiida_type(value)
        try:
            return orm.Dict(kind.complete(value) if completed else dict(value))
        except InputError:
            # What is wrong is for the validator to say.
            return orm.Dict(dict(value))

    def validate(value: orm.Dict | None, _: Any) -> str | None:
        if value is None:
            return None
        try:
            kind.from_mapping(value.get_dict())
        except InputError as error:
            return str(error)
        return None

    return {
        "valid_type": orm.Dict,
        "serializer": serialize,
        "validator": validate,
        "help": f"{purpose} {kind.summary()}".strip(),
    }


def seed_port(purpose: str) -> dict[str, Any]:
    """Return what ``spec.input`` takes for the port of a seed; ``purpose`` is its help."""
    return number_port("seed", purpose, at_least=1, at_most=MAXIMUM_SEED)


def number_port(
    name: str, purpose: str, default: float | None = None, *, kind: type[orm.Data] = orm.Int, **bounds: float
) -> dict[str, Any]:
    """Return what ``spec.input`` takes for a port of a number; ``purpose`` is its help.

    :param name: of the port, for messages.
    :param kind: `orm.Int` or `orm.Float`.
    :param bounds: as :func:`~aiida_sicmlip.science.value_tests.within` takes them.
    """
    words, fits = within(**bounds)

    def validate(value: orm.Int | orm.Float | None, _: Any) -> str | None:
        if value is not None and not fits(value.value):
            return f"`{name}` is {value.value}; give a {'whole ' if kind is orm.Int else ''}number{words}."
        return None

    port = {"valid_type": kind, "serializer": orm.to_aiida_type, "validator": validate, "help": purpose}
    return port if default is None else {**port, "default": lambda: kind(default)}


def validate_switches(switches: orm.List | None, _: Any) -> str | None:
    """Return a message where a command-line switch of LAMMPS cannot be used, else None."""
    if switches is None:
        return None
    try:
        checked_switches(switches.get_list(), "switches")
    except InputError as error:
        return str(error)
    return None
