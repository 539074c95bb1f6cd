"""Nodes from a settings file: start structures, host crystals, potentials of LAMMPS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.functions.build_host import build_host_structure
from aiida_sicmlip.calculations.functions.build_structure import (
    build_defect_structure,
    defect_structure,
    host_structure,
)
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.lammps_files import find_potential_file
from aiida_sicmlip.data.classical_potential import classical_potential
from aiida_sicmlip.science.defects.descriptions import with_named_keys
from aiida_sicmlip.science.defects.hosts import HostSettings
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.workflows.protocols.settings import StructureSettings


def build_structure(description: Any, field: str, store: bool = True) -> orm.StructureData:
    """Return the structure of ``description``, an existing node (`node`) or a host with defects (`host`, `defects`).

    :param store: whether to store the structure and the calcfunction that builds it.
    :raises InputError: if it cannot be built.
    """
    StructureSettings.check_given(description, f"{field}.")
    if description.get("node") is not None:
        return load(description["node"], [orm.StructureData], f"{field}.node")
    host, defects, seed = description.get("host"), description.get("defects"), description.get("seed", 1)
    if not isinstance(host, Mapping) or not isinstance(defects, list):
        raise InputError(f"`{field}` needs `host`, a mapping, and `defects`, a list; or `node`.")
    defects = with_named_keys(defects)
    check_host(host, field)
    try:
        structure = defect_structure(dict(host), defects, seed)
    except (TypeError, InputError) as error:
        raise InputError(f"`{field}` cannot be built: {error}") from error
    if not store:
        return structure
    return build_defect_structure(orm.Dict(dict(host)), orm.List(list(defects)), orm.Int(seed))


def build_host(description: Mapping[str, Any], field: str, store: bool = True) -> orm.StructureData | None:
    """Return the host crystal of a start structure, if ``description`` contains one.

    `host` is its description or, together with `node`, its PK or UUID.

    :param store: as in :func:`build_structure`.
    :raises InputError: if it cannot be built.
    """
    host = description.get("host")
    if host is None:
        return None
    if not isinstance(host, Mapping):
        return load(host, [orm.StructureData], f"{field}.host")
    check_host(host, field)
    if not store:
        return orm.StructureData(ase=host_structure(dict(host)))
    return build_host_structure(orm.Dict(dict(host)))


def build_structures(
    descriptions: Mapping[str, Any], store: bool = True
) -> tuple[dict[str, orm.StructureData], dict[str, orm.StructureData]]:
    """Return the start structures and their host crystals, by name, of the settings `structures`.

    :param store: as in :func:`build_structure`.
    :raises InputError: if there are no structures, or one cannot be built.
    """
    check_structures(descriptions)
    structures, hosts = {}, {}
    for name, description in descriptions.items():
        structures[name] = build_structure(description, f"structures.{name}", store)
        host = build_host(description, f"structures.{name}", store)
        if host is not None:
            hosts[name] = host
    return structures, hosts


def described_potential(settings: Mapping[str, Any], field: str, *kinds: type[orm.Data]) -> orm.Data:
    """Return the potential of a settings file: a stored node of one of the classes ``kinds``, or a LAMMPS file.

    :raises InputError: if there is no such node or file, or it is not a LAMMPS potential.
    """
    if settings.get("node") is not None:
        return load(settings["node"], kinds, f"{field}.node")
    path = find_potential_file(str(settings["file"]))
    try:
        return classical_potential(path, settings["pair_style"], settings["species"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"`{field}` does not describe a LAMMPS potential: {error}") from error


def check_host(host: Mapping[str, Any], field: str) -> None:
    """Raise :class:`InputError` unless ``host`` describes a host crystal."""
    try:
        HostSettings.from_mapping(host)
    except InputError as error:
        raise InputError(str(error).replace("`host.", f"`{field}.host.", 1)) from error


def check_structures(structures: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` if there are no start structures, or a name is not a valid link label."""
    if not structures:
        raise InputError("`structures` is empty; give at least one start structure.")
    for name in structures:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", name):
            raise InputError(f"`structures.{name}` is not a valid name; use letters, digits and single underscores.")
