"""Inputs of the labelling from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.workflows.protocols.nodes import described_potential

PW_ALONE = ("pseudo_family", "kpoints", "gamma_only", "max_iterations", "clean_workdir", "parameters")
"""Settings that do not apply to labels with a reference potential."""


def labelling_settings(
    labelling: Mapping[str, Any], overrides: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of the labelling without those that do not apply.

    :param labelling: complete settings.
    :param overrides: settings given by the user.
    :param options: default options of the jobs of a reference potential.
    :raises InputError: if the overrides contain both settings of pw.x and a reference potential.
    """
    reference = labelling["reference"]
    if reference is None:
        return dict(labelling)
    for key in PW_ALONE:
        if key in overrides:
            raise InputError(
                f"`labelling.{key}` is a setting for pw.x, but `labelling.reference` labels with a potential instead; "
                "remove one of them."
            )
    kept = {key: value for key, value in labelling.items() if key not in PW_ALONE}
    return {**kept, "options": {**options, **overrides.get("options", {})}}


def check_kpoints(labelling: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` if ``gamma_only`` is set and the k-point mesh is not the gamma point."""
    mesh = labelling["kpoints"]
    if labelling["gamma_only"] and mesh != [1, 1, 1]:
        raise InputError(
            f"`labelling.gamma_only` is true, but `labelling.kpoints` is {mesh}; set the former to false or the latter "
            "to [1, 1, 1]."
        )


def pseudopotentials(family: str, structures: Mapping[str, orm.StructureData]) -> dict[str, orm.Data]:
    """Return the pseudopotential of each kind of the structures from the family ``family``.

    :raises InputError: if there is no such family, or it lacks an element.
    """
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    try:
        group = orm.load_group(family)
    except NotExistent as error:
        families = orm.QueryBuilder().append(PseudoPotentialFamily, project="label").all(flat=True)
        hint = nearest_name(family, families) if families else "None is installed: run `aiida-sicmlip setup`."
        raise InputError(f"`labelling.pseudo_family` is `{family}`, which does not exist. {hint}") from error
    pseudos: dict[str, orm.Data] = {}
    for name, structure in structures.items():
        try:
            pseudos.update(group.get_pseudos(structure=structure))
        except ValueError as error:
            raise InputError(
                f"the pseudopotential family `{family}` lacks an element of structure `{name}`: {error} It has "
                f"{', '.join(sorted(group.elements))}. Install a family that has it, or change the structure."
            ) from error
    return pseudos


def without_nulls(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``mapping`` without keys that are null, with which a settings file removes a setting."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in mapping.items()
        if value is not None
    }


def fill_labelling(
    namespace: Any,
    labelling: Mapping[str, Any],
    codes: Mapping[str, orm.AbstractCode],
    structures: Mapping[str, orm.StructureData],
) -> None:
    """Set the inputs of a ``LabellingWorkChain`` in a builder.

    :param labelling: settings ``labelling``, with options in the form of AiiDA.
    :param codes: the code ``pw``, or ``reference_label`` for a reference potential.
    :raises InputError: if a setting is invalid.
    """
    namespace.max_concurrent = labelling["max_concurrent"]
    namespace.allowed_failed_fraction = labelling["allowed_failed_fraction"]
    bound = labelling["max_force"]
    if bound is not None:
        label = namespace.pw if labelling["reference"] is None else namespace.reference
        label.max_force = orm.Float(bound)
    if labelling["reference"] is not None:
        reference = namespace.reference
        reference.code = codes["reference_label"]
        reference.potential = described_potential(labelling["reference"], "labelling.reference", LammpsPotentialData)
        reference.metadata.options = labelling["options"]
        return
    check_kpoints(labelling)
    pw = namespace.pw
    pw.kpoints = orm.KpointsData()
    pw.kpoints.set_kpoints_mesh(labelling["kpoints"])
    pw.max_iterations = orm.Int(labelling["max_iterations"])
    pw.clean_workdir = orm.Bool(labelling["clean_workdir"])
    pw.pw.code = codes["pw"]
    pw.pw.parameters = orm.Dict(without_nulls(labelling["parameters"]))
    pw.pw.pseudos = pseudopotentials(labelling["pseudo_family"], structures)
    pw.pw.metadata.options = labelling["options"]
    if labelling["gamma_only"]:
        pw.pw.settings = orm.Dict({"GAMMA_ONLY": True})
