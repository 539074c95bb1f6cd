"""Initial state of the loop: from data sets that are provided, or from the outputs of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_sicmlip.calculations.functions.merge_datasets import merged_frames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import dataset_label
from aiida_sicmlip.data.labels import surface_of_labelling
from aiida_sicmlip.science.labels.states import require_one_surface
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.continuation import SETS, outputs_of_run

DESCRIPTION = ("centres", "centre_radius", "cutoff", "n_max", "l_max", "sigma")
"""Settings of the selection that descriptors depend on: descriptors of runs are comparable where these are equal."""


def initial_context(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the initial context of a loop.

    :param inputs: inputs of the loop.
    """
    initial: Mapping[str, Any] = inputs.get("initial", {})
    first_round = initial["first_round"].value if "first_round" in initial else 0
    finished = {}
    if "potential" in initial:
        # Until the first training has finished, the last potential is that of the earlier run.
        finished = {"potential": initial["potential"], "compiled_potential": inputs["bootstrap_potential"]}
    return {
        "first_round": first_round,
        "round": first_round,
        "n_segments": initial["n_segments"].value if "n_segments" in initial else 0,
        "converged": False,
        "seed": inputs["seed"],
        "exploring_potential": inputs["bootstrap_potential"],
        "committee": dict(initial.get("committee", {})),
        "evaluation_of_committee": initial.get("evaluation"),
        **{
            kind: {
                name: dict(segments) for name, segments in initial.get(kind, {}).items() if name in inputs["structures"]
            }
            for kind in ("trajectories", "filters")
        },
        "candidates": dict(initial.get("candidates", {})),
        "picks": dict(initial.get("picks", {})),
        "replacement_labelling": None,
        "datasets": {role: initial.get(f"{role}_set") for role in ROLES},
        "assessment": initial.get("assessment"),
        "tested": None,
        "finished": finished,
    }


def continue_from(builder: ProcessBuilder, run: orm.WorkChainNode) -> list[str]:
    """Fill the builder of a loop with the outputs of another run, and return a description, one line for each item.

    The potential of the run explores the first round instead of the bootstrap potential. Candidates and picks are left
    out if the settings of the descriptors or the elements differ.

    :raises InputError: if the run is still running, or has no labels.
    """
    outputs = outputs_of_run(run)
    if "training_set" not in outputs.sets:
        raise InputError(
            f"run <{run.pk}> has no labels, so that there is nothing to continue; start a new run instead."
        )
    initial: dict[str, Any] = dict(outputs.sets)
    lines = [f"Continues run <{run.pk}>: next round {outputs.next_round}"]
    sizes = [f"{outputs.sets[kind].n_frames} for {kind.removesuffix('_set')}" for kind in SETS if kind in outputs.sets]
    lines.append(f"Labels taken over: {', '.join(sizes).replace('_', ' ')}")
    if outputs.compiled_potential is not None:
        builder.bootstrap_potential = outputs.compiled_potential
        members = f", of a committee of {1 + len(outputs.committee)}" if outputs.committee else ""
        lines.append(f"First round explores with: potential <{outputs.compiled_potential.pk}>{members}")
    if outputs.potential is not None:
        initial["potential"], initial["committee"] = outputs.potential, outputs.committee
    if outputs.evaluation is not None:
        initial["evaluation"] = outputs.evaluation
    for kind, nodes in (("trajectories", outputs.trajectories), ("filters", outputs.filters)):
        initial[kind] = {name: nodes[name] for name in sorted(set(nodes) & set(builder.structures))}
    reason = _other_descriptors(builder, run)
    if reason is None:
        initial["candidates"], initial["picks"] = outputs.candidates, outputs.picks
    else:
        lines.append(f"Candidates of earlier rounds are left out: {reason}")
    if outputs.assessment is not None:
        initial["assessment"] = outputs.assessment
    initial["first_round"], initial["n_segments"] = orm.Int(outputs.next_round), orm.Int(outputs.n_segments)
    builder.initial = {name: node for name, node in initial.items() if node != {}}
    builder.seed = outputs.seed
    return lines


def _other_descriptors(builder: ProcessBuilder, run: orm.WorkChainNode) -> str | None:
    """Return why descriptors of two runs are not comparable; None if they are."""
    before, now = (
        SelectionSettings.from_mapping(inputs.selection.parameters.get_dict()) for inputs in (run.inputs, builder)
    )
    changed = [f"`{name}`" for name in DESCRIPTION if getattr(before, name) != getattr(now, name)]
    if changed:
        return f"{', '.join(changed)} of `selection.parameters` differ from those of that run"
    elements = [
        {kind for structure in structures.values() for kind in structure.get_symbols_set()}
        for structures in (run.inputs.structures, builder.structures)
    ]
    return None if elements[0] == elements[1] else "the start structures have different elements"


def require_usable_sets(inputs: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` if the initial data sets cannot be extended, or merged where one replaces the other.

    :param inputs: inputs of the loop.
    """
    initial = inputs.get("initial", {})
    if "training_set" not in initial:
        for name in ("validation_set", "fixed_validation_set"):
            if name in initial:
                raise InputError(f"`initial.{name}` is given without `initial.training_set`: give both, or neither.")
        return
    selection = SelectionSettings.from_mapping(inputs["selection"]["parameters"].get_dict())
    if "validation_set" in initial and selection.trains_on_replaced:
        merged_frames({dataset_label(0): initial["training_set"], dataset_label(1): initial["validation_set"]})
    surfaces = {f"`initial.{name}` <{initial[name].pk}>": initial[name].surfaces for name in SETS if name in initial}
    to_come = surface_of_labelling(inputs["labelling"])
    if to_come is not None:
        surfaces["the labels to come"] = [to_come]
    require_one_surface(surfaces, "a run")
