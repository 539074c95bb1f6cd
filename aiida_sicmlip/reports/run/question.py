"""What a run asks: of which defects, in which host, at which level of theory, within which thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida_lammps.data.potential import LammpsPotentialData

from aiida_sicmlip.data.classical_potential import potential_name
from aiida_sicmlip.data.labels import surface_of_labelling
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.reports.lineage import level_in_words
from aiida_sicmlip.reports.run.criteria import SIGNS
from aiida_sicmlip.science.evaluation.assessment import assess
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.labels.level_of_theory import without_state
from aiida_sicmlip.tools.origins import defect_in_words
from aiida_sicmlip.tools.runs import Run


def question_of_run(node: orm.WorkChainNode, run: Run) -> dict[str, Any]:
    """Return what a run asks as plain values.

    Keys: `text`, `structures` (`name`, `pk`, `label`, `formula`, `n_atoms`, `defect`, `host`), `level_of_theory`
    (None before it is known), `state` (`charge` and `spin` of the labels), `labelled_by`, `explores_first_with`, and
    `criteria` (`criterion`, `direction`, `threshold`, `unit`).
    """
    inputs = node.inputs
    structures = [_structure(node, name, given) for name, given in sorted(_given(inputs, "structures").items())]
    level = level_of_run(node, run)
    criteria = _criteria(inputs)
    labelled_by = run.reference or (level_in_words(level) if level is not None else "") or _code_of_labels(inputs)
    return {
        "text": _text(structures, labelled_by, criteria),
        "structures": structures,
        "level_of_theory": level,
        "state": _state_of_labels(inputs),
        "labelled_by": labelled_by,
        "explores_first_with": _explorer(inputs),
        "criteria": criteria,
    }


def level_of_run(node: orm.WorkChainNode, run: Run) -> dict[str, Any] | None:
    """Return the level of theory of a run's labels; None before any are known."""
    for entry in run.rounds:
        if "labelling" not in entry.steps:
            continue
        labelling = orm.load_node(entry.steps["labelling"].pk)
        links = labelling.base.links.get_outgoing(node_class=LevelOfTheoryData, link_type=LinkType.RETURN)
        link = links.first()
        if link is not None:
            # Levels of earlier versions hold charge and spin, which are said beside them.
            return without_state(link.node.get_dict())
    given = _given(node.inputs, "initial")
    # A run adds to labels at one level alone.
    return dict(given["training_set"].levels_of_theory[0]) if "training_set" in given else None


def _state_of_labels(inputs: Any) -> dict[str, Any] | None:
    """Return charge and spin of a run's labels; None where its inputs do not say them."""
    surface = surface_of_labelling(_given(inputs, "labelling"))
    return None if surface is None else {"charge": surface.charge, "spin": surface.spin}


def threshold_in_words(criterion: Mapping[str, Any]) -> str:
    """Return what is asked of a criterion: ``< 0.1 eV/A``."""
    return f"{SIGNS[criterion['direction']]} {criterion['threshold']:g} {criterion['unit']}".rstrip()


def _given(inputs: Any, name: str) -> Mapping[str, Any]:
    """Return a namespace of inputs, empty where it is not given."""
    if name in inputs:
        return dict(inputs[name])
    return {}


def _structure(node: orm.WorkChainNode, name: str, structure: orm.StructureData) -> dict[str, Any]:
    """Return what a start structure is."""
    host = _given(node.inputs, "hosts").get(name)
    return {
        "name": name,
        "pk": structure.pk,
        "label": structure.label,
        "formula": structure.get_formula(),
        "n_atoms": len(structure.sites),
        "defect": defect_in_words(structure),
        "host": None
        if host is None
        else {"pk": host.pk, "label": host.label, "formula": host.get_formula(), "n_atoms": len(host.sites)},
    }


def _criteria(inputs: Any) -> list[dict[str, Any]]:
    """Return what is asked of a potential, as an assessment that knows nothing states it."""
    settings = inputs["convergence"].get_dict() if "convergence" in inputs else {}
    criteria = ConvergenceCriteria.from_mapping(settings)
    parameters = _given(inputs, "selection")["parameters"].get_dict() if "selection" in inputs else {}
    has_fixed = parameters.get("n_fixed_validation") or "fixed_validation_set" in _given(inputs, "initial")
    fixed: dict[str, Any] = {"fixed_validation": {}} if has_fixed else {}
    nothing = assess(criteria, exploring={}, training={}, validation={}, selection={}, **fixed)
    return [
        {key: verdict[key] for key in ("criterion", "direction", "threshold", "unit")}
        for verdict in nothing["criteria"]
    ]


def _code_of_labels(inputs: Any) -> str:
    """Return the program that labels."""
    pw = _given(_given(_given(inputs, "labelling"), "pw"), "pw")
    return pw["code"].full_label if "code" in pw else "first principles"


def _explorer(inputs: Any) -> str | None:
    """Return what explores first."""
    if "bootstrap_potential" not in inputs:
        return None
    potential = inputs["bootstrap_potential"]
    return (
        potential_name(potential) if isinstance(potential, LammpsPotentialData) else f"compiled model <{potential.pk}>"
    )


def _text(structures: Sequence[Mapping[str, Any]], labelled_by: str, criteria: Sequence[Mapping[str, Any]]) -> str:
    """Return the question as text."""
    parts = []
    for entry in structures:
        host = f" in {entry['host']['formula']}" if entry["host"] else ""
        # A structure that was given as it is is called by its formula.
        cell = f"{entry['n_atoms']} atoms" if entry["defect"] == entry["formula"] else f"{entry['formula']}"
        parts.append(f"{entry['defect']}{host} ({cell})")
    what = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "its structures"
    asked = "; ".join(f"{entry['criterion']} {threshold_in_words(entry)}" for entry in criteria)
    return f"Which Allegro potential describes {what} as {labelled_by} does, with {asked}?"
