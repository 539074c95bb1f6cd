"""The parser of labels by a reference potential, on real runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm

DEFAULT = Path(__file__).parent / "fixtures" / "reference_label" / "default"


def test_label_is_what_the_program_found(parse_folder: Callable[..., Any], case_inputs: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT)
    assert parsed.status == 0
    label = parsed.outputs["output_trajectory"]
    atoms = case_inputs(DEFAULT)["structure"].store().get_ase()
    assert np.array_equal(label.get_positions(), atoms.positions[None])
    assert np.array_equal(label.get_cells(), atoms.cell.array[None])
    assert label.symbols == atoms.get_chemical_symbols()
    with np.load(DEFAULT / "temporary" / "predictions.npz") as arrays:
        assert np.array_equal(label.get_array("energy"), arrays["energies"])
        assert np.array_equal(label.get_array("forces")[0], arrays["forces"])
    assert label.get_array("forces").shape == (1, len(atoms), 3)
    assert np.abs(label.get_array("forces").sum(axis=1)).max() < 1e-10
    assert parsed.outputs["results"]["versions"]["lammps"]


@pytest.mark.parametrize(("factor", "status"), [(1.01, 0), (0.99, 460)])
def test_label_with_too_large_forces_is_rejected(parse_folder: Callable[..., Any], factor: float, status: int) -> None:
    with np.load(DEFAULT / "temporary" / "predictions.npz") as arrays:
        largest = float(np.linalg.norm(arrays["forces"], axis=1).max())
    parsed = parse_folder(DEFAULT, inputs={"max_force": orm.Float(factor * largest)})
    assert parsed.status == status
    assert "output_trajectory" in parsed.outputs
    if status:
        assert parsed.message.startswith("Rejected: the force on atom ") and f"{largest:.1f} eV/A" in parsed.message


def test_failed_label(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT.parent / "failed_pair_style")
    assert (parsed.status, parsed.outputs) == (420, {})
    assert "stopped with an error: LAMMPS could not evaluate the potential: ERROR" in parsed.message


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ({"label.json": None, "reference_label.err": b"Killed\n"}, 420, "stopped with an error: Killed"),
        ({"predictions.npz": None}, 302, "left no energy and forces"),
    ],
)
def test_output_that_is_missing(
    parse_folder: Callable[..., Any], files: dict[str, bytes | None], status: int, words: str
) -> None:
    parsed = parse_folder(DEFAULT, files)
    assert parsed.status == status
    assert words in parsed.message
    assert "output_trajectory" not in parsed.outputs
