"""Whether a training has ended before its model has learnt its data: then more steps help, and more data do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LARGEST_GAP = 1.25
"""Up to this times the error on the training set, that on the validation set counts as close to it."""


def assess_errors(training_force_mae: float, validation_force_mae: float, asked_force_mae: float) -> dict[str, Any]:
    """Return whether a model is underfitted, with the force MAE (eV/A) that this follows from.

    Underfitted is a model whose error on the training set is above what is asked, while that on the validation set is
    close to it: it knows what it has not seen as well as what it was shown, so that further labels cannot help.
    """
    above = training_force_mae > asked_force_mae
    close = validation_force_mae <= LARGEST_GAP * training_force_mae
    return {
        "underfitted": above and close,
        "training_force_mae": training_force_mae,
        "validation_force_mae": validation_force_mae,
        "asked_force_mae": asked_force_mae,
        "largest_gap": LARGEST_GAP,
    }


def message_of_fit(fit: Mapping[str, Any]) -> str:
    """Return what is said of an underfitted model."""
    return (
        f"the training is underfitted: force MAE {fit['training_force_mae']:.3f} eV/A on the training set, where "
        f"{fit['asked_force_mae']:g} is asked, and {fit['validation_force_mae']:.3f} on the validation set; more steps "
        "or a larger network help, more labels do not"
    )
