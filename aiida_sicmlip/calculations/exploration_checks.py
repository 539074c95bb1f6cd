"""Checks of the inputs of an exploration against each other, and what follows from several of them."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.lammps_potential import validate_species
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.pines.atoms import atoms_of_shell_of_structure


def validate_variables(structure: orm.StructureData, variables: CollectiveVariablesData) -> str | None:
    """Return a message where collective variables do not fit ``structure``, else None."""
    symbols = structure.get_ase().get_chemical_symbols()
    for name, atoms in variables.groups.items():
        # The groups are called after species and shell, such as `Si1`.
        species = name.rstrip("0123456789")
        unknown = [atom for atom in atoms if atom >= len(symbols) or symbols[atom] != species]
        if unknown:
            return (
                f"the collective variables <{variables.pk}> name atom {unknown[0]} in their group `{name}`, but the "
                f"structure {structure.get_formula()} has another atom, or none, at that index; use variables that "
                "were trained for this structure."
            )
    return None


def validate_committee(inputs: dict[str, Any]) -> str | None:
    """Return a message where the members of a committee do not fit together, else None."""
    potential = inputs.get("potential")
    members = inputs.get("committee", {})
    if members and potential is not None and not isinstance(potential, CompiledPotentialData):
        return "`committee` is given for a classical potential, which is no member of one: leave it out."
    for name, member in members.items():
        message = validate_species(inputs["structure"], member) if "structure" in inputs else None
        if message:
            return message.replace("`potential`", f"`committee.{name}`", 1)
        if potential is not None and member.device != potential.device:
            return (
                f"`committee.{name}` <{member.pk}> was compiled for {member.device} and `potential` "
                f"<{potential.pk}> for {potential.device}: compile all members for one machine."
            )
    return None


def max_disagreement(inputs: Any, settings: ExplorationSettings) -> float | None:
    """Return the disagreement of the committee at which a run is stopped, eV/A; None for no bound."""
    if settings.max_disagreement is None or "committee" not in inputs or not inputs["committee"]:
        return None
    calibrated = inputs["calibration"].get_dict()["max_disagreement"] if "calibration" in inputs else None
    # Too few labels calibrate nothing.
    return settings.max_disagreement if calibrated is None else float(calibrated)


def validate_bias(inputs: dict[str, Any]) -> str | None:
    """Return a message where the bias does not fit the variables, else None."""
    biased = [name for name in ("bias", "collective_variables") if name in inputs]
    if len(biased) == 1:
        missing = "collective_variables" if biased == ["bias"] else "bias"
        return f"`{biased[0]}` is given without `{missing}`; a biased run needs both, a free one neither."
    if not biased or "parameters" not in inputs:
        return None
    variables = inputs["collective_variables"]
    try:
        BiasSettings.from_mapping(inputs["bias"].get_dict()).check(
            variables.n_variables, ExplorationSettings.from_mapping(inputs["parameters"].get_dict())
        )
    except InputError as error:
        return str(error)
    return validate_variables(inputs["structure"], variables) if "structure" in inputs else None


def validate_continuation(inputs: dict[str, Any]) -> str | None:
    """Return a message where the run cannot be continued, else None."""
    if "continuation" not in inputs or "parameters" not in inputs:
        return None
    continuation = inputs["continuation"]
    settings = ExplorationSettings.from_mapping(inputs["parameters"].get_dict())
    if continuation.step >= settings.steps(settings.production):
        return (
            f"`continuation` <{continuation.pk}> stands at {continuation.step * settings.timestep:g} ps, and "
            f"`exploration.parameters.production` is {settings.production:g} ps: nothing is left to run. Ask for "
            "a longer production."
        )
    if continuation.biased != ("bias" in inputs):
        kinds = ("a free", "a biased")
        return (
            f"`continuation` <{continuation.pk}> is of {kinds[continuation.biased]} run, and this is "
            f"{kinds['bias' in inputs]} one; continue it as it was started."
        )
    return None


def validate_host(inputs: dict[str, Any]) -> str | None:
    """Return a message where inputs that depend on the host crystal are inconsistent, else None."""
    if "parameters" not in inputs or "structure" not in inputs:
        return None
    settings = ExplorationSettings.from_mapping(inputs["parameters"].get_dict())
    if settings.restrained_shell is not None and "host" not in inputs:
        return (
            "`restrained_shell` is given, but no `host`: the perfect crystal tells which atoms "
            "form that shell. Give it, or leave `restrained_shell` out."
        )
    if not settings.retrieve_trajectory:
        stash = inputs.get("metadata", {}).get("options", {}).get("stash", {})
        if filenames.TRAJECTORY_FILE not in stash.get("source_list", []):
            return (
                "`exploration.parameters.retrieve_trajectory` is false, so that the frames would be lost with the "
                f"work folder; stash `{filenames.TRAJECTORY_FILE}` (`metadata.options.stash`), or retrieve it."
            )
    try:
        held_atoms(inputs, settings)
    except InputError as error:
        return str(error)
    return None


def held_atoms(inputs: Any, settings: ExplorationSettings) -> tuple[int, ...]:
    """Return the atoms that springs restrain to their initial positions, from 0; none where no shell is restrained.

    :raises InputError: if structure and host do not belong together, or there is no such shell.
    """
    if settings.restrained_shell is None:
        return ()
    return atoms_of_shell_of_structure(
        inputs["structure"].get_ase(), inputs["host"].get_ase(), settings.restrained_shell, settings.held_around
    ).indices
