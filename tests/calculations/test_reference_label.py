"""What a label by a reference potential writes and asks back, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

ENTRY_POINT = "sicmlip.reference_label"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], edip: Any, divacancy: Atoms) -> dict[str, Any]:
    """Inputs of a complete label; one port is changed by each test."""
    divacancy.rotate(17.0, (1.0, 2.0, 3.0), rotate_cell=True)
    structure = orm.StructureData(ase=divacancy)
    return {"code": generate_code("sicmlip.training"), "structure": structure, "potential": edip}


def test_files_hold_the_structure_to_the_last_bit(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any]
) -> None:
    # A node keeps what its database keeps of a number, which is what has to be labelled.
    atoms = inputs["structure"].store().get_ase()
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    written = json.loads((folder / "configuration.json").read_text())
    assert written["symbols"] == atoms.get_chemical_symbols()
    assert np.array_equal(written["positions"], atoms.positions)
    assert np.array_equal(written["cell"], atoms.cell.array)
    assert json.loads((folder / "classical.json").read_text()) == {
        "species": ["C", "Si"],
        "commands": ["pair_style edip/multi", "pair_coeff * * potential.dat C Si"],
    }
    assert calcinfo.local_copy_list == [(inputs["potential"].uuid, "SiC.edip", "potential.dat")]


def test_command_and_what_is_retrieved(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    _, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    words = calcinfo.codes_info[0].cmdline_params
    assert words[0] == "label"
    assert dict(zip(words[1::2], words[2::2], strict=True)) == {
        "--configuration": "configuration.json",
        "--classical": "classical.json",
        "--output": "predictions.npz",
        "--report": "label.json",
    }
    assert set(calcinfo.retrieve_list) == {"reference_label.out", "reference_label.err", "label.json"}
    assert calcinfo.retrieve_temporary_list == ["predictions.npz"]


def test_species_that_the_potential_lacks(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], divacancy: Atoms
) -> None:
    divacancy.symbols[0] = "N"
    with pytest.raises(ValueError, match=r"knows the species Si, C, but the structure .* holds N too"):
        generate_calc_job(ENTRY_POINT, {**inputs, "structure": orm.StructureData(ase=divacancy)})


def test_structure_that_is_not_periodic(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], divacancy: Atoms
) -> None:
    divacancy.pbc = [True, True, False]
    with pytest.raises(ValueError, match="is not periodic in all three directions"):
        generate_calc_job(ENTRY_POINT, {**inputs, "structure": orm.StructureData(ase=divacancy)})


def test_trained_potential_is_no_reference(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="LammpsPotentialData"):
        generate_calc_job(ENTRY_POINT, {**inputs, "potential": generate_compiled_potential()})
