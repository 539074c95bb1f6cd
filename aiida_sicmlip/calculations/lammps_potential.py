"""What potentials mean to LAMMPS: commands, files, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.common import filenames
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData


def potential_commands(potential: LammpsPotentialData | CompiledPotentialData, species: list[str]) -> list[str]:
    """Return the LAMMPS commands that declare ``potential`` for atom types in the order of ``species``."""
    names = " ".join(species)
    if isinstance(potential, CompiledPotentialData):
        return ["pair_style allegro", f"pair_coeff * * {filenames.COMPILED_MODEL_FILE} {names}"]
    return [f"pair_style {potential.pair_style}", f"pair_coeff * * {filenames.CLASSICAL_POTENTIAL_FILE} {names}"]


def potential_file(potential: LammpsPotentialData | CompiledPotentialData) -> tuple[str, str, str]:
    """Return what ``local_copy_list`` needs to put the file of ``potential`` into the working directory."""
    trained = isinstance(potential, CompiledPotentialData)
    target = filenames.COMPILED_MODEL_FILE if trained else filenames.CLASSICAL_POTENTIAL_FILE
    return potential.uuid, potential.filename, target


def validate_potential(potential: orm.Data, _: Any) -> str | None:
    """Return a message where ``potential`` cannot be used in LAMMPS, else None."""
    if isinstance(potential, CompiledPotentialData) and potential.target != "pair_allegro":
        return (
            f"`potential` <{potential.pk}> was compiled for the target `{potential.target}`; LAMMPS needs one compiled "
            "for `pair_allegro`."
        )
    return None


def validate_members(committee: Mapping[str, CompiledPotentialData] | None, _: Any) -> str | None:
    """Return which member of a committee cannot be evaluated, if any."""
    for name, member in (committee or {}).items():
        if member.target != "pair_allegro":
            return (
                f"`committee.{name}` <{member.pk}> was compiled for the target `{member.target}`; give one that was "
                "compiled for `pair_allegro`."
            )
    return None


def validate_species(structure: orm.StructureData, potential: Any) -> str | None:
    """Return a message where the potential does not cover a species of ``structure``, else None."""
    unknown = sorted(structure.get_symbols_set() - set(potential.species))
    if unknown:
        return (
            f"`potential` ({potential.filename}) knows the species {', '.join(potential.species)}, but the structure "
            f"{structure.get_formula()} holds {', '.join(unknown)} too; use a potential that covers them."
        )
    return None
