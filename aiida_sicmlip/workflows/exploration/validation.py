"""Validation of the inputs of an exploration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.collective_variables import frames_used
from aiida_sicmlip.calculations.exploration_checks import validate_committee, validate_host, validate_variables
from aiida_sicmlip.calculations.lammps_potential import validate_species
from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.defects.crystals import overlapping_pairs
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.pines.atoms import choose_atoms_of_structure
from aiida_sicmlip.science.pines.settings import CollectiveVariableSettings

MIN_FRACTION_OF_BOND = 0.6
"""Atoms of a start structure closer than this fraction of the sum of their covalent radii overlap."""


def validate_structures(structures: dict[str, orm.StructureData], _: Any) -> str | None:
    """Validate that no start structure has overlapping atoms."""
    for name, structure in structures.items():
        pairs = overlapping_pairs(structure.get_ase(), MIN_FRACTION_OF_BOND)
        if pairs:
            first, second, distance = pairs[0]
            return (
                f"in `structures.{name}` atoms {first} and {second} are {distance:.2f} A apart and overlap; correct "
                "the start structure."
            )
    return None


def validate_exploration(inputs: Mapping[str, Any]) -> str | None:
    """Validate the inputs of an ``ExplorationWorkChain``.

    Inputs that are not available yet, such as the potential of a later round, are not validated.
    """
    structures = inputs.get("structures")
    if not structures:
        return "`structures` is empty; give at least one start structure."
    for namespace in (
        *("hosts", "collective_variables", "earlier", "earlier_filters"),
        *("walker_parameters", "unbiased_parameters"),
    ):
        for name in inputs.get(namespace, {}):
            if name not in structures:
                return (
                    f"`{namespace}.{name}` is not the name of a start structure. {nearest_name(name, list(structures))}"
                )
    run = inputs.get("walker", {}).get("exploration", {})
    of_potential = {name: inputs[name] for name in ("potential", "committee") if name in inputs}
    for name, structure in structures.items():
        message = validate_committee({**of_potential, "structure": structure})
        message = message or validate_species(structure, inputs["potential"]) if "potential" in inputs else None
        message = message or _validate_settings(name, inputs) or _validate_run(name, structure, run, inputs)
        for parameters in walker_parameters(name, inputs):
            message = message or _validate_bias(name, {**run, "parameters": parameters}, inputs)
        if message:
            return message
    return None


def without_frames(names: Iterable[str], inputs: Mapping[str, Any]) -> list[str]:
    """Return the start structures of which no earlier frame is left to learn from."""
    earlier, filters = inputs.get("earlier", {}), inputs.get("earlier_filters", {})
    return [name for name in names if not any(frames_used(earlier.get(name, {}), filters.get(name, {})).values())]


def walker_parameters(name: str, inputs: Mapping[str, Any]) -> list[orm.Dict]:
    """Return the settings of the walkers of a start structure, one node for each condition."""
    own = inputs.get("walker_parameters", {}).get(name, {})
    common = inputs.get("walker", {}).get("exploration", {}).get("parameters")
    return [own[condition] for condition in sorted(own)] or ([] if common is None else [common])


def _unbiased_parameters(name: str, inputs: Mapping[str, Any]) -> list[orm.Dict]:
    """Return the settings of the unbiased runs of a start structure, if any."""
    parameters = inputs.get("unbiased_parameters", {}).get(name, inputs.get("unbiased", {}).get("parameters"))
    return [] if parameters is None else [parameters]


def _validate_settings(name: str, inputs: Mapping[str, Any]) -> str | None:
    """Validate the settings that are specific to a start structure."""
    own = [*inputs.get("walker_parameters", {}).get(name, {}).values()]
    own += [inputs["unbiased_parameters"][name]] if name in inputs.get("unbiased_parameters", {}) else []
    for parameters in own:
        try:
            ExplorationSettings.from_mapping(parameters.get_dict())
        except InputError as error:
            return f"for `structures.{name}`: {error}"
    return None


def _validate_run(
    name: str, structure: orm.StructureData, run: Mapping[str, Any], inputs: Mapping[str, Any]
) -> str | None:
    """Validate the inputs of walkers and unbiased runs of one structure."""
    host = inputs.get("hosts", {}).get(name)
    common = {key: run[key] for key in ("metadata",) if key in run} | {"structure": structure}
    if host is not None:
        common["host"] = host
    for parameters in walker_parameters(name, inputs) + _unbiased_parameters(name, inputs):
        message = validate_host({**common, "parameters": parameters})
        if message:
            return f"for `structures.{name}`: {message}"
    return None


def _validate_bias(name: str, run: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
    """Validate the bias of the walkers of one structure."""
    if "bias" not in run or "parameters" not in run:
        return None
    variables = inputs.get("collective_variables", {}).get(name)
    if variables is not None:
        count = variables.n_variables
        message = validate_variables(inputs["structures"][name], variables)
        if message:
            return message
    else:
        if name not in inputs.get("hosts", {}):
            return (
                f"`exploration.bias` requires a bias on `structures.{name}`, but `hosts.{name}` is missing: the atoms "
                "of the collective variables are determined from the host crystal. Give it (in a settings file: "
                f"`structures.{name}.host`), or `exploration.bias: null` for unbiased runs."
            )
        if "code" not in inputs.get("variables", {}):
            return (
                f"`exploration.bias` requires a bias on `structures.{name}`, whose variables must be learned, but "
                "`variables.code` is missing: give a code of `sicmlip`."
            )
        if without_frames([name], inputs) and not _unbiased_parameters(name, inputs):
            return (
                f"there is no data to learn the collective variables of `structures.{name}` from: give "
                f"`unbiased.parameters` for unbiased runs, or trajectories (`earlier.{name}`) with frames that pass "
                f"their filters (`earlier_filters.{name}`)."
            )
        try:
            parameters = inputs["variables"].get("parameters")
            learned = CollectiveVariableSettings.from_mapping({} if parameters is None else parameters.get_dict())
            count = learned.autoencoder.latent
            choose_atoms_of_structure(
                inputs["structures"][name].get_ase(), inputs["hosts"][name].get_ase(), learned.shells, learned.around
            )
        except InputError as error:
            return f"for `structures.{name}`: {error}"
    try:
        BiasSettings.from_mapping(run["bias"].get_dict()).check(
            count, ExplorationSettings.from_mapping(run["parameters"].get_dict())
        )
    except InputError as error:
        return str(error)
    return None
