"""How the loop begins with what there is: data sets that were given, or all that an earlier run left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.labels import surface_of_labelling
from aiida_sicmlip.science.labels.states import require_one_surface
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.continuation import SETS, outputs_of_run

DESCRIPTION = ("centres", "centre_radius", "cutoff", "n_max", "l_max", "sigma")
"""Settings of the selection that descriptors depend on: those of different runs can be compared where these agree."""


def initial_context(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context that a loop begins with: what it was given, and nothing where it was given nothing.

    :param inputs: of the loop.
    """
    initial: Mapping[str, Any] = inputs.get("initial", {})
    first_round = initial["first_round"].value if "first_round" in initial else 0
    finished = {}
    if "potential" in initial:
        # Until there is a new one, the potential of the earlier run is the last.
        finished = {"potential": initial["potential"], "compiled_potential": inputs["bootstrap_potential"]}
    return {
        "first_round": first_round,
        "round": first_round,
        "n_segments": initial["n_segments"].value if "n_segments" in initial else 0,
        "converged": False,
        "seed": inputs["seed"],
        "exploring_potential": inputs["bootstrap_potential"],
        "committee": {},
        "trajectories": {
            name: dict(segments)
            for name, segments in initial.get("trajectories", {}).items()
            if name in inputs["structures"]
        },
        "candidates": dict(initial.get("candidates", {})),
        "picks": dict(initial.get("picks", {})),
        "replacement_labelling": None,
        "datasets": {role: initial.get(f"{role}_set") for role in ROLES},
        "assessment": initial.get("assessment"),
        "finished": finished,
    }


def continue_from(builder: ProcessBuilder, run: orm.WorkChainNode) -> list[str]:
    """Fill a builder of a loop with what another run has left, and return what that is, one line a fact.

    The potential explores the first round in the place of the bootstrap potential. Candidates and picks are left out
    where frames are described in another way now, or other elements are there.

    :raises InputError: if the run is at work, or has not labelled anything.
    """
    found = outputs_of_run(run)
    if "training_set" not in found.sets:
        raise InputError(
            f"run <{run.pk}> has left no labels, so that there is nothing to continue; start a run without it."
        )
    initial: dict[str, Any] = dict(found.sets)
    lines = [f"Continues run <{run.pk}>: round {found.next_round} comes next"]
    sizes = [f"{found.sets[kind].n_frames} for {kind.removesuffix('_set')}" for kind in SETS if kind in found.sets]
    lines.append(f"Labels taken over: {', '.join(sizes).replace('_', ' ')}")
    if found.compiled_potential is not None:
        builder.bootstrap_potential = found.compiled_potential
        lines.append(f"Explores first with: potential <{found.compiled_potential.pk}>")
    if found.potential is not None:
        initial["potential"] = found.potential
    shared = sorted(set(found.trajectories) & set(builder.structures))
    initial["trajectories"] = {name: found.trajectories[name] for name in shared}
    reason = _other_descriptors(builder, run)
    if reason is None:
        initial["candidates"], initial["picks"] = found.candidates, found.picks
    else:
        lines.append(f"Candidates of earlier rounds are left out: {reason}")
    if found.assessment is not None:
        initial["assessment"] = found.assessment
    initial["first_round"], initial["n_segments"] = orm.Int(found.next_round), orm.Int(found.n_segments)
    builder.initial = {name: node for name, node in initial.items() if node != {}}
    builder.seed = found.seed
    return lines


def _other_descriptors(builder: ProcessBuilder, run: orm.WorkChainNode) -> str | None:
    """Return why descriptors of a run cannot be compared with those of another; None where they can."""
    before, now = (
        SelectionSettings.from_mapping(given.selection.parameters.get_dict()) for given in (run.inputs, builder)
    )
    changed = [f"`{name}`" for name in DESCRIPTION if getattr(before, name) != getattr(now, name)]
    if changed:
        return f"{', '.join(changed)} of `selection.parameters` differ from that run's"
    elements = [
        {kind for structure in structures.values() for kind in structure.get_symbols_set()}
        for structures in (run.inputs.structures, builder.structures)
    ]
    return None if elements[0] == elements[1] else "the start structures have other elements"


def require_usable_sets(inputs: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` where labels that are given cannot be added to.

    :param inputs: of the loop.
    """
    initial = inputs.get("initial", {})
    if "training_set" not in initial:
        for name in ("validation_set", "fixed_validation_set"):
            if name in initial:
                raise InputError(
                    f"`initial.{name}` is given without `initial.training_set`: give what it belongs to, or none."
                )
        return
    surfaces = {f"`initial.{name}` <{initial[name].pk}>": initial[name].surfaces for name in SETS if name in initial}
    to_come = surface_of_labelling(inputs["labelling"])
    if to_come is not None:
        surfaces["the labels to come"] = [to_come]
    require_one_surface(surfaces, "a run")
