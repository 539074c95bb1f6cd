"""A model card as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiida_sicmlip.science.labels.states import charge_in_words, spin_in_words

MISSING = "not stated by its authors"


def model_card_text(card: dict[str, Any]) -> str:
    """Return the card that :func:`aiida_sicmlip.reports.model_card.model_card` gives, as Markdown."""
    model, stated = card["model"], card["statement"]
    parts = [
        f"# Interatomic potential for {'-'.join(model['species'])}",
        stated["purpose"] or f"What it is meant for is {MISSING}; see below where it has been tried.",
        "## What it is",
        _list(
            {
                "type": f"Allegro, cutoff {model['cutoff']:g} A, {model['numbers']} numbers, "
                f"{model['hyperparameters']['model']['precision']}",
                "prior": model["prior"] or "none",
                "started from": model["trained_from"] or "new weights",
                "seed": model["seed"],
                "UUID": model["uuid"],
                "trained in": "no run" if model["round"] is None else f"round {model['round']} of run {model['run']}",
                "authors": stated["authors"] or MISSING,
                "licence": stated["licence"] or MISSING,
            }
        ),
        "## What it was trained on",
        _sets(card["trained_on"]),
        "## Level of theory",
        *(_list({name: value for name, value in level.items() if value}) for level in card["levels_of_theory"]),
        "## Errors",
        _errors(card["errors"]["at_the_end_of_the_training"]),
        _errors_by_round(card["errors"]["by_round"]),
        "## Errors on rare events",
        _rare_events(card["errors"]["on_rare_events"]),
        "## Where it may be used",
        card["fitness"] or "",
        "It was trained on the following. Outside of this range it extrapolates.",
        _range(card["valid_range"]),
        "## Made with",
        _list({**card["made_with"]["versions"], **_without(card["made_with"], "versions")}),
        "## Cite",
        "\n".join(f"- {entry}" for entry in card["citations"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _without(entries: dict[str, Any], name: str) -> dict[str, Any]:
    """Return all entries but one."""
    return {key: value for key, value in entries.items() if key != name}


def _list(entries: dict[str, Any]) -> str:
    """Return names and values as a list."""
    return "\n".join(f"- {name}: {value}" for name, value in entries.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sets(sets: dict[str, Any]) -> str:
    """Return the sizes of the data sets by round and start structure."""

    def counts(found: dict[str, int]) -> str:
        return ", ".join(f"{name}: {count}" for name, count in found.items())

    header = ("set", "configurations", "by round", "by start structure")
    rows = [
        (name, str(found["n_configurations"]), counts(found["by_round"]), counts(found["by_start_structure"]))
        for name, found in sets.items()
    ]
    return _table(header, rows)


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _errors(errors: dict[str, Any]) -> str:
    """Return the errors at the end of the training."""
    header = ("set", "configurations", "force MAE (eV/A)", "force RMSE (eV/A)", "energy MAE (meV/atom)")
    rows = [
        (
            name,
            str(found.get("n_frames", "-")),
            _number(found.get("force_mae")),
            _number(found.get("force_rmse")),
            _number(None if found.get("energy_mae") is None else 1000 * found["energy_mae"], 2),
        )
        for name, found in errors.items()
    ]
    return _table(header, rows)


def _errors_by_round(rounds: Sequence[dict[str, Any]]) -> str:
    """Return the force errors of the rounds before, where there were any."""
    if not rounds:
        return "It was trained outside of a run, or its run is not part of this history."
    names = [name for name in ("training", "validation", "fixed_validation", "exploring") if name in rounds[-1]]
    header = ("round", *(f"{name.replace('_', ' ')}, force MAE (eV/A)" for name in names))
    rows = [
        (str(entry["round"]), *(_number(entry.get(name, {}).get("force_mae")) for name in names)) for entry in rounds
    ]
    note = "`exploring`: the potential that explored a round, on labels that it had not seen."
    return f"By round:\n\n{_table(header, rows)}\n\n{note}" if "exploring" in names else _table(header, rows)


def _rare_events(errors: dict[str, Any]) -> str:
    """Return the errors on rare events, or that there are none."""
    if not errors:
        return "The model was not evaluated on migrating atoms. Low mean errors say little about them."
    header = ("set", "region", "atoms", "force MAE (eV/A)", "score P (1 is perfect)")
    rows = [
        (name, region, str(score["n_atoms"]), _number(score["force_mae"]), _number(score["score"]))
        for name, regions in errors.items()
        for region, score in regions.items()
    ]
    return _table(header, rows)


def _range(seen: dict[str, Any]) -> str:
    """Return what the training has seen."""

    def span(values: dict[str, float] | None, unit: str, digits: int = 2) -> str:
        if values is None:
            return "not known"
        return f"{values['least']:.{digits}f} to {values['greatest']:.{digits}f} {unit}".strip()

    distances = ", ".join(f"{pair} {value:.2f} A" for pair, value in seen["min_distances"].items())
    return _list(
        {
            "defects that runs started from": ", ".join(seen["defects"]) or "none that are known",
            "formulas": ", ".join(f"{formula} ({count})" for formula, count in seen["formulas"].items()),
            "atoms in a cell": span(seen["atoms_in_a_cell"], "", 0),
            "temperatures of the explorations": span(seen["temperature"], "K", 0),
            "volumes": span(seen["volume_per_atom"], "A^3/atom"),
            "least distances": distances,
            "energies": span(seen["energy_per_atom"], "eV/atom"),
            "greatest force": f"{seen['greatest_force']:.2f} eV/A",
            "charge and spin": "; ".join(
                f"{charge_in_words(state['charge'])}, {spin_in_words(state['spin'])} ({state['n_frames']})"
                for state in seen["states"]
            ),
        }
    )
