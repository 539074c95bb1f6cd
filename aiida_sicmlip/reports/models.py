"""How two models differ: what they were trained on and how, with what, and how well."""

from __future__ import annotations

from aiida_sicmlip.reports.datasets import comparison_lines
from aiida_sicmlip.reports.text import table
from aiida_sicmlip.tools.comparison import weights_text
from aiida_sicmlip.tools.model_comparison import ModelComparison
from aiida_sicmlip.tools.potentials import training_of


def model_comparison_lines(comparison: ModelComparison) -> list[str]:
    """Return the comparison of two models, one line a fact, and a table of their errors."""
    first, second = comparison.first, comparison.second
    lines = [f"Models <{first.pk}> and <{second.pk}>"]
    for name, of_set in comparison.sets.items():
        one, other = (getattr(training_of(model).inputs, name) for model in (first, second))
        title = name.replace("_", " ")
        if one.uuid == other.uuid:
            lines.append(f"{title}: the same, <{one.pk}>")
            continue
        told, different = comparison_lines(one, other, of_set)
        lines.append(f"{title}: <{one.pk}> and <{other.pk}>" + ("" if different else ", with the same content"))
        lines += [f"  {line}" for line in told] if different else []
    lines += [f"hyperparameter `{name}`: {one!r} and {other!r}" for name, one, other in comparison.settings]
    lines += [] if comparison.settings else ["hyperparameters: the same"]
    lines += [f"{name}: {text}" for name, text in comparison.inputs] or [
        "prior, seeds and what else was given: the same"
    ]
    lines += [f"version of {name}: {one} and {other}" for name, one, other in comparison.versions]
    lines += [] if comparison.versions else ["versions: the same"]
    lines += [f"{name}: {one} and {other}" for name, one, other in comparison.machine]
    lines.append(f"weights: {weights_text(comparison.weights)}")
    if comparison.errors:
        header = ["errors on", f"force MAE (eV/A)\n<{first.pk}>", f"\n<{second.pk}>"]
        header += [f"energy MAE (meV/atom)\n<{first.pk}>", f"\n<{second.pk}>"]
        rows = [
            (name, f"{one[0]:.4f}", f"{other[0]:.4f}", f"{1000 * one[1]:.2f}", f"{1000 * other[1]:.2f}")
            for name, (one, other) in comparison.errors.items()
        ]
        lines += ["", table(header, rows)]
    return lines
