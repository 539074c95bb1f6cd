"""The parser of evaluations, on real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DEFAULT = Path(__file__).parent / "fixtures" / "evaluation" / "default"


def test_errors_and_predictions(parse_folder: Callable[..., Any], generate_dataset: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT)
    assert parsed.status == 0
    assert parsed.outputs["results"].get_dict() == json.loads((DEFAULT / "retrieved" / "evaluation.json").read_text())
    predictions = parsed.outputs["predictions"]
    assert predictions.get_array("energies").shape == (2,)
    assert predictions.get_array("n_atoms").tolist() == [14, 14]
    assert predictions.get_array("atomic_energies").reshape(2, 14).sum(axis=1) == pytest.approx(
        predictions.get_array("energies")
    )
    assert set(predictions.get_array("region")) <= {0, 1, 2}
    # Two vacant sites side by side: each atom is near one of them.
    assert predictions.get_array("distance_to_defect").min() < 2.2
    # The errors in the report are those of these predictions on these labels.
    labels = np.concatenate([frame.get_forces() for frame in generate_dataset(2, seed=3).frames()])
    mae = np.abs(predictions.get_array("forces") - labels).mean()
    assert parsed.outputs["results"]["force_mae"] == pytest.approx(mae)


def test_failed_evaluation(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT.parent / "failed_pair_style")
    assert (parsed.status, parsed.outputs) == (420, {})
    assert "stopped with an error: LAMMPS could not evaluate the potential: ERROR" in parsed.message


def test_evaluation_without_a_report(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT, {"evaluation.json": None, "evaluation.err": b"Killed\n"})
    assert (parsed.status, parsed.outputs) == (420, {})
    assert parsed.message.endswith("stopped with an error: Killed")


def test_evaluation_without_predictions(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT, {"predictions.npz": None})
    assert (parsed.status, parsed.message) == (302, "The evaluation left no predictions.")
