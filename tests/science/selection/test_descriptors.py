"""SOAP descriptors: symmetries of a configuration, sensitivity to defects, centres."""

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.centres import DefectCentres
from aiida_sicmlip.science.selection.descriptors import averaged_soap
from tests.crystals import silicon_carbide_host

pytest.importorskip("dscribe")
SPECIES = ["Si", "C"]
SMALL = {"r_cut": 4.0, "n_max": 4, "l_max": 4}


def rattled(seed: int = 1):
    """A small divacancy cell with displaced atoms."""
    atoms = build_defects(silicon_carbide_host(4.416, (2, 2, 2), "primitive"), [{"kind": "divacancy"}], 0).atoms
    atoms.positions += np.random.default_rng(seed).normal(scale=0.08, size=atoms.positions.shape)
    return atoms


@pytest.mark.parametrize("average", ["outer", "inner"])
@pytest.mark.parametrize("centres", [None, [0, 3, 7]])
def test_symmetries(average, centres):
    atoms = rattled()
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    moved, turned, wrapped, skewed = (atoms.copy() for _ in range(4))
    moved.positions += [0.7, -1.3, 20.0]
    turned.set_cell(atoms.cell.array @ rotation, scale_atoms=False)
    turned.positions = atoms.positions @ rotation
    wrapped.positions[2] += 3 * atoms.cell.array[1]
    wrapped.positions[3] -= atoms.cell.array[0]
    order = np.random.default_rng(6).permutation(len(atoms))
    cell = atoms.cell.array.copy()
    cell[2] += 2 * cell[0] - cell[1]  # The same lattice by other vectors.
    skewed.set_cell(cell, scale_atoms=False)
    permuted = atoms[order]
    lists = [centres or range(len(atoms))] * 5
    lists.append([int(np.flatnonzero(order == index)[0]) for index in lists[0]])
    rows = averaged_soap(
        [atoms, moved, turned, wrapped, skewed, permuted], SPECIES, centres=lists, average=average, **SMALL
    )
    assert rows.dtype == np.float64
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-14)
    assert np.abs(rows[1:] - rows[0]).max(axis=1) == pytest.approx(0, abs=1e-8)
    other = averaged_soap([rattled(2)], SPECIES, centres=centres, average=average, **SMALL)
    assert np.abs(other - rows[0]).max() > 1e-4


def test_defects_differ_from_the_crystal_and_each_other():
    host = silicon_carbide_host(4.416, (2, 2, 2), "primitive")
    kinds = [
        [],
        [{"kind": "vacancy", "species": "Si"}],
        [{"kind": "vacancy", "species": "C"}],
        [{"kind": "divacancy"}],
        [{"kind": "antisite", "species": "Si", "on": "C"}],
    ]
    rows = averaged_soap([build_defects(host, kind, 0).atoms for kind in kinds], SPECIES)
    distances = 1 - rows @ rows.T
    assert distances[~np.eye(len(kinds), dtype=bool)].min() > 1e-4


def test_species_order_and_chunks_do_not_matter():
    frames = [rattled(seed) for seed in range(40)]
    rows = averaged_soap(iter(frames), SPECIES, centres=[1, 2], **SMALL)
    assert len(rows) == 40
    assert np.allclose(rows[35], averaged_soap([frames[35]], ["C", "Si"], centres=[1, 2], **SMALL)[0], atol=1e-12)


def test_centres_near_a_defect_show_it_better():
    host = silicon_carbide_host(4.416, (2, 2, 2))
    structure = build_defects(host, [{"kind": "vacancy", "species": "C"}], 0)
    frames = structure.atoms.positions[None], structure.atoms.cell.array, structure.atoms.numbers
    near = [int(atom) for atom in DefectCentres(host, 2.0).find(*frames)[0]]
    assert len(near) == 4
    assert {structure.atoms.symbols[index] for index in near} == {"Si"}
    site = structure.sites[0]["site"]
    before = [index + (index >= site) for index in near]
    focused = averaged_soap([structure.atoms, host], SPECIES, centres=[near, before], **SMALL)
    diluted = averaged_soap([structure.atoms, host], SPECIES, **SMALL)
    assert 1 - focused[0] @ focused[1] > 5 * (1 - diluted[0] @ diluted[1])


def test_no_frames():
    rows = averaged_soap([], SPECIES, **SMALL)
    assert rows.shape == (0, averaged_soap([rattled()], SPECIES, **SMALL).shape[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"species": ["Si"]}, "Frame 0 holds C"),
        ({"species": []}, "`species` is empty"),
        ({"average": "off"}, "`average`"),
        ({"centres": [99]}, "centres. of frame 0 has an index outside"),
        ({"centres": [[0]]}, "no list for frame 1"),
        ({"centres": [[0], []]}, "empty list"),
        ({"centres": []}, "`centres` is empty"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        averaged_soap([rattled(), rattled(2)], **{"species": SPECIES, **SMALL, **arguments})


def test_refuses_open_boundaries():
    atoms = rattled()
    atoms.pbc = [True, True, False]
    with pytest.raises(InputError, match="periodic"):
        averaged_soap([atoms], SPECIES, **SMALL)
