"""Start structures as nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from aiida import orm
from ase import Atoms

from aiida_sicmlip.calculations.functions.build_structure import build_defect_structure
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.workflows.protocols.nodes import build_structure

HOST = {
    "crystal": "zincblende",
    "species": ["Si", "C"],
    "lattice_constant": 4.416,
    "repeats": [2, 2, 2],
    "cell": "primitive",
}


def test_structure_is_the_one_of_science(divacancy: Atoms) -> None:
    node = build_defect_structure(orm.Dict(HOST), orm.List([{"kind": "divacancy"}]), orm.Int(1))
    atoms = node.get_ase()
    assert atoms.get_chemical_symbols() == divacancy.get_chemical_symbols()
    assert np.allclose(atoms.positions, divacancy.positions, atol=1e-12)
    assert np.allclose(atoms.cell.array, divacancy.cell.array)
    assert node.label == "C7Si7"


def test_structure_has_a_creator_with_its_description() -> None:
    defects = [{"kind": "vacancy", "species": "C"}]
    node = build_defect_structure(orm.Dict(HOST), orm.List(defects), orm.Int(4))
    assert node.creator.inputs.host.get_dict() == HOST
    assert node.creator.inputs.defects.get_list() == defects
    assert node.creator.inputs.seed.value == 4


def test_seed_decides_random_places() -> None:
    host = orm.Dict({**HOST, "repeats": [4, 4, 4]})
    defects = orm.List([{"kind": "vacancy", "species": "Si", "count": 3, "placement": "random"}])
    built = [build_defect_structure(host, defects, orm.Int(seed)).get_ase().positions for seed in (1, 1, 2)]
    assert np.array_equal(built[0], built[1])
    assert not np.array_equal(built[0], built[2])


@pytest.mark.parametrize(
    ("host", "defects", "message"),
    [
        (HOST, [{"kind": "vacancyy", "species": "C"}], "Did you mean `vacancy`"),
        (
            {**HOST, "cell": "cubic"},
            [{"kind": "divacancy"}],
            "give `conventional`, `primitive`",
        ),
        ({**HOST, "repeats": [2, 2]}, [{"kind": "divacancy"}], "give three whole numbers"),
    ],
)
def test_wrong_descriptions(host: dict, defects: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_defect_structure(orm.Dict(host), orm.List(defects), orm.Int(1))


def test_descriptions_of_a_yaml_file(aiida_profile: Any) -> None:
    """YAML reads the key `on` as true."""
    written = (
        "{host: {crystal: diamond, species: [C], lattice_constant: 3.57}, defects: [{name: V_C}, {kind: antisite, "
    )
    described = yaml.safe_load(written + "species: N, on: C}]}")
    node = build_structure(described, "structures.x")
    assert node.get_formula() == "C6N"
    assert node.creator.inputs.defects.get_list()[1] == {"kind": "antisite", "species": "N", "on": "C"}
