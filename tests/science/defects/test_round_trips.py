"""Defects in several crystals: built, found in frames, named, and seen by selection and collective variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.centres import DefectCentres
from aiida_sicmlip.science.defects.crystals import nearest_distance
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.defects.host_search import infer_host
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.defects.migrating_atoms import DefectFinder
from aiida_sicmlip.science.defects.types import defect_type
from aiida_sicmlip.science.pines.atoms import choose_atoms, choose_atoms_of_structure

HOSTS = {
    "3C": {"crystal": "zincblende", "species": ["Si", "C"], "lattice_constant": 4.416, "repeats": [3, 3, 3]},
    "2H": {"crystal": "wurtzite", "species": ["Ga", "N"], "lattice_constant": 3.19, "c": 5.19, "repeats": [4, 4, 3]},
    "4H": {
        "crystal": "wurtzite",
        "species": ["Si", "C"],
        "lattice_constant": 3.08,
        "stacking": "ABCB",
        "repeats": [5, 3, 1],
        "cell": "orthohexagonal",
    },
    "6H": {
        "crystal": "wurtzite",
        "species": ["Si", "C"],
        "lattice_constant": 3.08,
        "stacking": "ABCACB",
        "repeats": [4, 4, 1],
    },
    "diamond": {"crystal": "diamond", "species": ["C"], "lattice_constant": 3.57, "repeats": [2, 2, 2]},
    "silicon": {"crystal": "diamond", "species": ["Si"], "lattice_constant": 5.43, "repeats": [2, 2, 2]},
}


@dataclass(frozen=True)
class Case:
    """A defect: its host and description, what it is made of and called.

    n_centres: atoms around it that frames are compared by.
    groups: numbers of atoms by species and shell that collective variables see.
    """

    host: str
    defects: list[Any]
    formula: str
    type: str
    n_centres: int
    groups: dict[str, int]


H_IN_DIVACANCY = {"kind": "complex", "parts": [{"vacancy": "C"}, {"substitution": "H", "on": "C"}]}
DUMBBELL = {"name": "Si_i", "position": "split", "direction": [1, 1, 0]}
CASES = {
    "3C VV": Case(
        "3C", [{"kind": "divacancy"}], "C107Si107", "V_C + V_Si", 24, {"C1": 3, "Si1": 3, "C2": 12, "Si2": 12}
    ),
    "4H VV hh": Case("4H", ["VV(hh)"], "C119Si119", "V_C(h) + V_Si(h)", 24, {}),
    "4H VV kk": Case("4H", ["VV(kk)"], "C119Si119", "V_C(k) + V_Si(k)", 26, {}),
    "4H VV hk": Case("4H", ["VV(hk)"], "C119Si119", "V_C(k) + V_Si(h)", 24, {}),
    "4H VV kh": Case("4H", ["VV(kh)"], "C119Si119", "V_C(h) + V_Si(k)", 24, {}),
    "4H V k": Case("4H", ["V_C(k)"], "C119Si120", "V_C(k)", 17, {"Si1": 4, "C2": 12, "Si2": 1}),
    "4H V h": Case("4H", ["V_C(h)"], "C119Si120", "V_C(h)", 16, {"Si1": 4, "C2": 12}),
    "6H V k1": Case("6H", ["V_Si(k1)"], "C96Si95", "V_Si(k1)", 17, {"C1": 4, "C2": 1, "Si2": 12}),
    "6H V k2": Case("6H", ["V_Si(k2)"], "C96Si95", "V_Si(k2)", 16, {"C1": 4, "Si2": 12}),
    "6H N h": Case("6H", ["N_C(h)"], "C95NSi96", "N_C(h)", 17, {"C2": 12, "N0": 1, "Si1": 4}),
    "2H V": Case("2H", ["V_N"], "Ga96N95", "V_N", 17, {"Ga1": 4, "Ga2": 1, "N2": 12}),
    "diamond NV": Case("diamond", ["V_C-N_C"], "C62N", "N_C + V_C", 25, {"C1": 6, "C2": 24, "N0": 1}),
    "diamond VH V": Case("diamond", [H_IN_DIVACANCY], "C62H", "H_C + V_C", 25, {"C1": 6, "C2": 24, "H0": 1}),
    "diamond 2 H": Case(
        "diamond", [{"name": "H_i(tetrahedral)", "count": 2, "min_distance": 3}], "C64H2", "2 H_i", 0, {}
    ),
    "silicon split": Case("silicon", [DUMBBELL], "Si65", "Si_i", 18, {"Si0": 2, "Si1": 4, "Si2": 12}),
    "3C BC": Case("3C", ["N_i(bond_centred)"], "C108NSi108", "N_i", 18, {}),
}


def frames_of(atoms: Atoms, deviation: float, count: int, seed: int = 0) -> list[Atoms]:
    """Frames with random displacements, drifts and orders of atoms."""
    generator = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        frame = atoms[generator.permutation(len(atoms))]
        frame.positions += generator.normal(0.0, deviation, (len(atoms), 3)) + generator.uniform(-3, 3, 3)
        frame.wrap()
        frames.append(frame)
    return frames


@pytest.mark.parametrize("name", CASES)
def test_round_trip(name):
    case = CASES[name]
    host = build_host(HostSettings.from_mapping(HOSTS[case.host]))
    built = build_defects(host, case.defects, 1)
    assert built.atoms.get_chemical_formula() == case.formula
    changed = sorted(site["site"] for site in built.sites if site["kind"] != "interstitial")
    added = [site for site in built.sites if site["kind"] == "interstitial"]
    centres, finder = DefectCentres(host), DefectFinder(host)
    # Displacements of SiC at 1000 K, in bonds.
    for frame in [built.atoms, *frames_of(built.atoms, 0.05 * nearest_distance(host), 3)]:
        found = find_defect_sites(frame, host, finder.sites)
        kinds = sorted((site["kind"], site["species"], site["replaced_by"] or "") for site in found.sites)
        wanted = [site for site in built.sites if site["kind"] != "interstitial"]
        assert kinds == sorted((site["kind"], site["species"], site["replaced_by"] or "") for site in wanted)
        assert len(found.interstitials) == len(added)
        assert defect_type(frame, host, finder.sites) == case.type
        around = centres.find(frame.positions[None], frame.cell.array, frame.numbers)[0]
        assert set(found.interstitials) <= set(around.tolist())
        if case.n_centres:
            assert len(around) == case.n_centres
        assert len(finder.find(frame).vacancies) == sum(site["kind"] == "vacancy" for site in built.sites)
        seen = choose_atoms_of_structure(frame, host)
        groups = {group: len(atoms) for group, atoms in seen.groups.items()}
        if case.groups:
            assert groups == case.groups
    if not added:
        still = find_defect_sites(built.atoms, host)
        assert [site["site"] for site in still.sites] == changed
        assert choose_atoms(host, built.sites) == choose_atoms_of_structure(built.atoms, host)
    assert len(choose_atoms(host, built.sites).indices) >= 2


@pytest.mark.parametrize("name", ["4H VV hk", "6H V k1", "diamond VH V", "diamond 2 H", "silicon split", "2H V"])
def test_hosts_are_inferred_and_their_defects_named(name):
    case = CASES[name]
    host = build_host(HostSettings.from_mapping(HOSTS[case.host]))
    built = build_defects(host, case.defects, 1).atoms
    frames = frames_of(built, 0.04 * nearest_distance(host), 2)
    inferred = infer_host(frames)
    assert inferred.get_chemical_formula() == host.get_chemical_formula()
    assert [defect_type(frame, inferred) for frame in frames] == [case.type] * 2
