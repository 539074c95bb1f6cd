"""From a protocol of the loop and overrides to the inputs of one of its steps alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.workflows.protocols.exploration import fill_exploration, fill_walker
from aiida_sicmlip.workflows.protocols.files import Overrides
from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
from aiida_sicmlip.workflows.protocols.loop import load_codes, load_protocol
from aiida_sicmlip.workflows.protocols.nodes import build_structures, described_potential


def exploration_builder(
    process: Any,
    structures: Mapping[str, orm.StructureData] | None,
    potential: LammpsPotentialData | CompiledPotentialData | None,
    *,
    protocol: str | None,
    overrides: Overrides,
    hosts: Mapping[str, orm.StructureData] | None,
) -> ProcessBuilder:
    """Return the builder of ``process`` (the ``ExplorationWorkChain``); see its ``get_builder_from_protocol``."""
    settings, codes, switches = load_codes(load_protocol(protocol, overrides), ("lammps", "collective_variables"))
    builder = process.get_builder()
    descriptions = settings["structures"]
    if structures is None:
        structures, hosts = build_structures(descriptions)
    # What a file says of a structure under the name of a given one holds for that.
    described = {name: descriptions.get(name, {}) for name in structures}
    builder.structures = dict(structures)
    builder.hosts = dict(hosts or {})
    builder.potential = potential or described_potential(
        settings["bootstrap"], "bootstrap", LammpsPotentialData, CompiledPotentialData
    )
    builder.seed = settings["seed"]
    fill_exploration(builder, settings["exploration"], described, codes, switches)
    return builder


def walker_builder(
    process: Any,
    structure: orm.StructureData,
    potential: LammpsPotentialData | CompiledPotentialData,
    *,
    protocol: str | None,
    overrides: Overrides,
    host: orm.StructureData | None,
    collective_variables: CollectiveVariablesData | None,
) -> ProcessBuilder:
    """Return the builder of ``process`` (the ``WalkerWorkChain``); see its ``get_builder_from_protocol``.

    :raises InputError: if the settings have several temperatures, or variables are given and no bias is wanted.
    """
    settings, codes, switches = load_codes(load_protocol(protocol, overrides), ("lammps",))
    exploration = settings["exploration"]
    if exploration["temperatures"] is not None:
        raise InputError(
            f"`exploration.temperatures` is {exploration['temperatures']}, but one walker has one temperature: set "
            "`exploration.parameters.temperature`, or take `ExplorationWorkChain`."
        )
    if collective_variables is not None and exploration["bias"] is None:
        raise InputError("`exploration.bias` is null, but collective variables are given: leave one of the two out.")
    builder = process.get_builder()
    fill_walker(builder, exploration, codes["lammps"], switches)
    run = builder.exploration
    run.structure, run.potential, run.seed = structure, potential, orm.Int(settings["seed"])
    if host is not None:
        run.host = host
    if collective_variables is not None:
        run.collective_variables = collective_variables
        run.bias = exploration["bias"]
    return builder


def labelling_builder(
    process: Any,
    structures: Mapping[str, orm.StructureData],
    *,
    protocol: str | None,
    overrides: Overrides,
) -> ProcessBuilder:
    """Return the builder of ``process`` (the ``LabellingWorkChain``); see its ``get_builder_from_protocol``."""
    settings = load_protocol(protocol, overrides)
    wanted = "pw" if settings["labelling"]["reference"] is None else "reference_label"
    settings, codes, _ = load_codes(settings, (wanted,))
    builder = process.get_builder()
    builder.structures = dict(structures)
    fill_labelling(builder, settings["labelling"], codes, structures)
    return builder
