"""What a potential can be used for, told from its errors on configurations that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria

HELD_OUT = ("validation", "fixed_validation")
"""Sets of an assessment that the potential was not trained on. No training chooses its epoch by the last one."""

UNFIT = 2.0
"""A potential whose force MAE is above this many thresholds is not fit for dynamics. Ours."""


def fitness(criteria: ConvergenceCriteria, errors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return whether a potential is fit for dynamics of the crystal and for hops, and a message that says so.

    It is assessed by the larger of the force MAEs on :data:`HELD_OUT` sets; hops by the criteria on migrating atoms, on
    the last of these sets. With too few migrating atoms, or without such a criterion, hops are not known.

    :param errors: of each set, as an assessment keeps them.
    :return: ``crystal``: bool or None; ``hops``: likewise; ``message``: goes on after "the potential is".
    """
    known: dict[str, float] = {
        name: errors[name]["force_mae"]
        for name in HELD_OUT
        if name in errors and errors[name].get("force_mae") is not None
    }
    if not known:
        return {"crystal": None, "hops": None, "message": "of unknown errors"}
    worst = max(known, key=lambda name: known[name])
    mean = f"force MAE {known[worst]:.2g} eV/A on the {worst.replace('_', ' ')} set"
    if not known[worst] <= UNFIT * criteria.force_mae:
        message = f"not fit for dynamics: {mean} is above twice the threshold of {criteria.force_mae:g}"
        return {"crystal": False, "hops": False, "message": message}
    if not known[worst] < criteria.force_mae:
        mean += f", not below the threshold of {criteria.force_mae:g}"
    hops, reason = _hops(criteria, errors[list(known)[-1]])
    for_hops = {True: "and for hops", False: "not for hops", None: "not known for hops"}[hops]
    comma = " " if hops else ", "
    return {
        "crystal": True,
        "hops": hops,
        "message": f"usable for dynamics of the crystal ({mean}){comma}{for_hops}: {reason}",
    }


def _hops(criteria: ConvergenceCriteria, errors: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Return whether the errors on migrating atoms meet the criteria on them, and why."""
    migrating, around = errors.get("migrating", {}), errors.get("surroundings", {})
    count = migrating.get("n_atoms")
    if not count:
        return None, "there are no migrating atoms" if count == 0 else "migrating atoms were not looked for"
    atoms = "atom" if count == 1 else "atoms"
    values = (
        (migrating.get("force_mae"), criteria.migrating_force_mae, "{:.2g} eV/A on migrating atoms", False),
        (around.get("force_mae"), criteria.surroundings_force_mae, "{:.2g} eV/A around them", False),
        (migrating.get("score"), criteria.rare_event_score, "score {:.2g}", True),
    )
    told = ", ".join(words.format(value) for value, _, words, _ in values if value is not None)
    told = f"{told} ({count} {atoms})" if told else f"{count} migrating {atoms}"
    asked = [(value, threshold, at_least) for value, threshold, _, at_least in values if threshold is not None]
    if not asked:
        return None, f"{told}; no criterion asks for them"
    if count < criteria.minimum_migrating_atoms:
        return None, f"{told}, too few to tell"
    met = [
        value is not None and (value >= threshold if at_least else value < threshold)
        for value, threshold, at_least in asked
    ]
    return all(met), told


def fitness_sentence(
    assessment: Mapping[str, Any] | None,
    final_run: Mapping[str, Any] | None = None,
    potential: str = "The last potential",
) -> str:
    """Return what the potential of an assessment can be used for, as a sentence; the same wherever it is shown.

    :param final_run: results of the free runs with the potential, if there were any.
    """
    message = ((assessment or {}).get("fitness") or {}).get("message", "of unknown errors")
    if final_run is None:
        return f"{potential} is {message}."
    if not final_run["fit"]:
        return f"{potential} is not fit for dynamics: {final_run['message']}."
    return f"{potential} is {message}. In its final run {final_run['message']}."
