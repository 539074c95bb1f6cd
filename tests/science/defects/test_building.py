"""Defects: what is removed and put, where it goes, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects import building as defects
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.crystals import coordination_shells, distances_from, overlapping_pairs
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from tests.crystals import silicon_carbide_host

HOST = silicon_carbide_host()
NEAREST = 4.416 * np.sqrt(3) / 4


def separation(host, first: int, second: int) -> float:
    """Distance of two sites of the host by nearest image."""
    return float(distances_from(host, host.positions[first])[second])


def indices(structure) -> list[int]:
    """Changed sites in order of placement."""
    return [site["site"] for site in structure.sites]


def test_vacancy_goes_to_the_centre_and_keeps_the_order():
    before = HOST.copy()
    structure = build_defects(HOST, [{"kind": "vacancy", "species": "Si"}], seed=1)
    (site,) = structure.sites
    assert site["kind"] == "vacancy"
    assert (site["species"], site["replaced_by"], site["defect"]) == ("Si", None, 0)
    distances = distances_from(HOST, HOST.cell.array.sum(axis=0) / 2)
    silicon = np.flatnonzero(HOST.numbers == 14)
    nearest = silicon[distances[silicon] < distances[silicon].min() + 1e-6]
    assert site["site"] == nearest.min()
    assert len(nearest) > 1  # The tie is real.
    assert site["position"] == HOST.positions[site["site"]].tolist()
    expected = np.delete(HOST.positions, site["site"], axis=0)
    assert np.array_equal(structure.atoms.positions, expected)
    assert np.array_equal(structure.atoms.numbers, np.delete(HOST.numbers, site["site"]))
    assert before == HOST
    assert json.loads(json.dumps(structure.sites)) == structure.sites


def test_antisite_changes_species_and_mass():
    host = HOST.copy()
    host.set_masses(host.get_masses())
    structure = build_defects(host, [{"kind": "antisite", "species": "Si", "on": "C", "site": 1}], seed=1)
    assert host.symbols[1] == "C"
    assert structure.atoms.symbols[1] == "Si"
    assert structure.atoms.get_masses()[1] == pytest.approx(28.085)
    assert np.array_equal(structure.atoms.positions, host.positions)
    assert structure.sites[0]["species"] == "C"
    assert structure.sites[0]["replaced_by"] == "Si"


@pytest.mark.parametrize("host", [HOST, silicon_carbide_host(4.2, (4, 4, 4), "primitive")], ids=["cubic", "primitive"])
@pytest.mark.parametrize(
    ("species", "shell"), [(["Si", "C"], 1), (["C", "Si"], 1), (["Si", "Si"], 2), (["Si", "C"], 3)]
)
def test_divacancy_lies_in_its_shell(host, species, shell):
    structure = build_defects(host, [{"kind": "divacancy", "species": species, "shell": shell}], seed=0)
    first, second = indices(structure)
    assert [host.symbols[first], host.symbols[second]] == species
    assert second in coordination_shells(host, first, shell)[-1].indices
    assert len(structure.atoms) == len(host) - 2
    assert np.array_equal(structure.atoms.cell.array, host.cell.array)


def test_divacancy_defaults():
    structure = build_defects(HOST, [{"kind": "divacancy"}], seed=0)
    assert [site["species"] for site in structure.sites] == ["Si", "C"]
    assert separation(HOST, *indices(structure)) == pytest.approx(NEAREST)


def test_vacancy_beside_antisite():
    description = {"kind": "vacancy_antisite", "vacancy": "C", "species": "C", "on": "Si"}
    structure = build_defects(HOST, [description], seed=0)
    assert [site["kind"] for site in structure.sites] == ["vacancy", "antisite"]
    assert separation(HOST, *indices(structure)) == pytest.approx(NEAREST)
    assert structure.atoms.symbols.formula.count() == {"Si": 107, "C": 108}


def test_complex_of_three_vacancies():
    parts = [{"vacancy": "Si"}, {"vacancy": "C"}, {"vacancy": "C"}]
    structure = build_defects(HOST, [{"kind": "complex", "parts": parts}], seed=0)
    silicon, first, second = indices(structure)
    assert separation(HOST, silicon, first) == pytest.approx(NEAREST)
    assert separation(HOST, silicon, second) == pytest.approx(NEAREST)
    assert first != second
    assert structure.atoms.symbols.formula.count() == {"Si": 107, "C": 106}


def test_complex_equals_its_short_form():
    short = build_defects(HOST, [{"kind": "divacancy", "species": ["C", "Si"], "shell": 3}], seed=0)
    long = build_defects(
        HOST, [{"kind": "complex", "parts": [{"vacancy": "C"}, {"vacancy": "Si", "shell": 3}]}], seed=0
    )
    assert indices(short) == indices(long)
    assert short.atoms == long.atoms


def test_second_defect_goes_next_to_the_first():
    descriptions = [{"kind": "vacancy", "species": "Si"}, {"kind": "vacancy", "species": "C"}]
    assert separation(HOST, *indices(build_defects(HOST, descriptions, seed=0))) == pytest.approx(NEAREST)
    descriptions[1]["min_distance"] = 4.0
    apart = separation(HOST, *indices(build_defects(HOST, descriptions, seed=0)))
    assert apart == pytest.approx(4.416 / 4 * np.sqrt(19))


@pytest.mark.parametrize("key", ["shell", "placement_shell"])
def test_placement_by_shell(key):
    descriptions = [
        {"kind": "vacancy", "species": "Si"},
        {"kind": "vacancy", "species": "C", "placement": "shell", key: 3},
    ]
    first, second = indices(build_defects(HOST, descriptions, seed=0))
    assert second in coordination_shells(HOST, first, 3)[-1].indices


def test_random_sets_keep_their_distance_and_follow_the_seed():
    host = silicon_carbide_host(4.416, (4, 4, 4))
    descriptions = [
        {"kind": "vacancy", "species": "C", "count": 6, "placement": "random", "min_distance": 5.0},
        {"kind": "vacancy", "species": "Si", "count": 4, "placement": "random", "min_distance": 5.0},
    ]
    structure = build_defects(host, descriptions, seed=4)
    sites = indices(structure)
    assert len(structure.atoms) == 512 - 10
    assert [host.symbols[site] for site in sites] == ["C"] * 6 + ["Si"] * 4
    pairs = [separation(host, a, b) for n, a in enumerate(sites) for b in sites[:n]]
    assert min(pairs) >= 5.0
    assert indices(build_defects(host, descriptions, seed=4)) == sites
    assert indices(build_defects(host, descriptions, seed=5)) != sites


def test_random_divacancies_point_in_all_directions():
    host = silicon_carbide_host(4.416, (4, 4, 4))
    description = {"kind": "divacancy", "count": 8, "placement": "random", "min_distance": 3.0}
    structure = build_defects(host, [description], seed=2)
    sites = indices(structure)
    directions = set()
    for silicon, carbon in zip(sites[::2], sites[1::2], strict=True):
        assert separation(host, silicon, carbon) == pytest.approx(NEAREST)
        directions.add(tuple(np.sign(host.get_distance(silicon, carbon, mic=True, vector=True)).astype(int)))
    assert len(directions) > 1
    for number in range(0, 16, 2):
        others = [site for site in sites if site not in sites[number : number + 2]]
        assert min(separation(host, sites[number], other) for other in others) >= 3.0


def test_tight_random_set_is_found_by_trying_again(monkeypatch):
    """Four vacancies as far apart as this cell allows: some first choices leave no room for the rest."""
    host = silicon_carbide_host(4.416, (2, 2, 2), "conventional")
    description = {"kind": "vacancy", "species": "Si", "count": 4, "placement": "random", "min_distance": 6.2}
    for seed in range(10):
        sites = indices(build_defects(host, [description], seed=seed))
        assert min(separation(host, a, b) for n, a in enumerate(sites) for b in sites[:n]) >= 6.2
    monkeypatch.setattr(defects, "_RANDOM_TRIES", 1)
    failures = 0
    for seed in range(10):
        try:
            build_defects(host, [description], seed=seed)
        except InputError:
            failures += 1
    assert failures > 0


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ({"kind": "vacansy", "species": "Si"}, "Did you mean `vacancy`"),
        ({"species": "Si"}, "kind"),
        ({"kind": "vacancy", "species": "Si", "leastdistance": 3}, "Did you mean `min_distance`"),
        ({"kind": "vacancy", "species": "H"}, "host holds C, Si only"),
        ({"kind": "vacancy"}, "species"),
        ({"kind": "antisite", "species": "Si"}, "`defects.0..on`"),
        ({"kind": "antisite", "species": "Si", "on": "Si"}, "no antisite"),
        ({"kind": "antisite", "species": "Xx", "on": "Si"}, "no chemical symbol"),
        ({"kind": "divacancy", "species": "Si"}, "needs two"),
        ({"kind": "divacancy", "shell": 2}, r"wants C in coordination shell 2 .* holds Si\. C is in shells 1, 3"),
        ({"kind": "divacancy", "shell": 0}, "whole number from 1"),
        ({"kind": "vacancy", "species": "Si", "count": 0}, "`defects.0..count` is 0"),
        ({"kind": "vacancy", "species": "Si", "count": -2}, "count"),
        ({"kind": "vacancy", "species": "Si", "count": True}, "count"),
        ({"kind": "vacancy", "species": "Si", "site": 216}, "0 to 215"),
        ({"kind": "vacancy", "species": "Si", "site": 1}, "an atom of C"),
        ({"kind": "vacancy", "species": "Si", "site": 0, "count": 2}, "both `site` and a `count`"),
        ({"kind": "vacancy", "species": "Si", "placement": "randm"}, "Did you mean `random`"),
        ({"kind": "vacancy", "species": "Si", "placement": "shell"}, "number of the shell"),
        ({"kind": "vacancy", "species": "Si", "shell": 2}, "set `placement: shell`"),
        ({"kind": "vacancy", "species": "Si", "min_distance": -1}, "min_distance"),
        ({"kind": "vacancy", "species": "Si", "count": 109}, "no free site"),
        ({"kind": "complex", "parts": []}, "parts"),
        ({"kind": "complex", "parts": [{"vacancy": "Si", "shell": 1}]}, "leave it out"),
        ({"kind": "complex", "parts": [{"vacancy": "Si"}, {"antisite": "Si"}]}, "parts.1..on"),
        ({"kind": "complex", "parts": [{"vacancy": "Si"}, {"vacancy": "C", "shel": 1}]}, "Did you mean `shell`"),
        ({"kind": "complex", "parts": [{"vacancy": "Si"}] + [{"vacancy": "C"}] * 5}, "no free site"),
        ("vacancy", "no name of a defect: give one such as V_C"),
        (["V_C"], "mapping"),
    ],
)
def test_wrong_descriptions(description, expected):
    with pytest.raises(InputError, match=expected):
        build_defects(HOST, [description], seed=0)


def test_site_taken_twice():
    descriptions = [
        {"kind": "vacancy", "species": "Si", "site": 0},
        {"kind": "antisite", "species": "C", "on": "Si", "site": 0},
    ]
    with pytest.raises(InputError, match=r"defects\[1\].site` is 0, which an earlier defect has taken"):
        build_defects(HOST, descriptions, seed=0)


def test_cell_too_small_for_the_distance():
    description = {"kind": "vacancy", "species": "Si", "count": 3, "placement": "random", "min_distance": 11.0}
    with pytest.raises(InputError, match=r"at least 11.0 A .* larger cell.* in 200 tries"):
        build_defects(HOST, [description], seed=0)


def test_cell_too_small_for_the_shell():
    host = silicon_carbide_host(4.416, (1, 1, 1), "primitive")
    with pytest.raises(InputError, match="images"):
        build_defects(host, [{"kind": "divacancy", "species": ["Si", "Si"], "shell": 2}], seed=0)


def test_empty_structure_and_seed():
    host = silicon_carbide_host(4.416, (1, 1, 1), "primitive")
    with pytest.raises(InputError, match="removes every atom"):
        build_defects(host, [{"kind": "divacancy"}], seed=0)
    with pytest.raises(InputError, match="seed"):
        build_defects(HOST, [{"kind": "divacancy"}], seed=-1)
    assert build_defects(HOST, [], seed=0).atoms == HOST


DIAMOND = build_host(HostSettings("diamond", ("C",), 3.57, repeats=(2, 2, 2)))
FOUR_H = build_host(HostSettings("wurtzite", ("Si", "C"), 3.08, stacking="ABCB", repeats=(4, 4, 1)))


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("V_C", {"kind": "vacancy", "species": "C"}),
        ("C_Si", {"kind": "antisite", "species": "C", "on": "Si"}),
        ("N_C", {"kind": "substitution", "species": "N", "on": "C"}),
        ("VV", {"kind": "divacancy"}),
        ("V_C-C_Si", {"kind": "vacancy_antisite", "vacancy": "C", "species": "C", "on": "Si"}),
        ("H_i(hexagonal)", {"kind": "interstitial", "species": "H", "position": "hexagonal"}),
    ],
)
def test_names_are_short_forms(name, description):
    first, second = build_defects(HOST, [name], seed=0), build_defects(HOST, [description], seed=0)
    assert first.atoms == second.atoms
    assert [{**site, "defect_kind": ""} for site in first.sites] == [
        {**site, "defect_kind": ""} for site in second.sites
    ]
    third = build_defects(HOST, [{"name": name, "count": 2, "placement": "random"}], seed=3)
    assert len(third.sites) == 2 * len(first.sites)


def test_a_foreign_species_is_a_substitution():
    for kind in ("substitution", "antisite"):
        (site,) = build_defects(HOST, [{"kind": kind, "species": "N", "on": "C"}], seed=0).sites
        assert (site["kind"], site["species"], site["replaced_by"]) == ("substitution", "C", "N")


def test_interstitials_follow_the_atoms_of_the_host():
    structure = build_defects(DIAMOND, ["H_i(bond_centred)", "V_C", "N_i(tetrahedral)"], seed=0)
    assert structure.atoms.get_chemical_symbols()[-2:] == ["H", "N"]
    assert np.array_equal(
        structure.atoms.positions[:63], np.delete(DIAMOND.positions, structure.sites[1]["site"], axis=0)
    )
    bond = 3.57 * np.sqrt(3) / 4
    apart = np.sort(distances_from(DIAMOND, structure.atoms.positions[-2]))
    assert apart[:2] == pytest.approx([bond / 2] * 2)
    assert [site["site"] for site in structure.sites if site["kind"] == "interstitial"] == [None, None]


def test_split_interstitial_shares_its_site():
    description = {"name": "C_i", "position": "split", "direction": [1, 1, 0], "separation": 1.3, "site": 20}
    structure = build_defects(DIAMOND, [description], seed=0)
    pair = structure.atoms.positions[[20, 64]]
    assert pair.mean(axis=0) == pytest.approx(DIAMOND.positions[20])
    assert pair[1] - pair[0] == pytest.approx(np.array([1, 1, 0]) / np.sqrt(2) * 1.3)
    assert (structure.sites[0]["site"], structure.sites[0]["kind"]) == (20, "interstitial")
    other = {"kind": "interstitial", "species": "N", "on": "C", "position": "split", "direction": [0, 0, 1]}
    atoms = build_defects(DIAMOND, [{**other, "site": 20}], seed=0).atoms
    assert atoms.get_distance(20, 64) == pytest.approx(0.71 + 0.76)


@pytest.mark.parametrize("key", ["fractional", "cartesian"])
def test_interstitial_by_coordinates(key):
    place = [0.3, 0.4, 0.55]
    given = place if key == "fractional" else (np.array(place) @ FOUR_H.cell.array).tolist()
    atoms = build_defects(FOUR_H, [{"name": "H_i", key: given}], seed=0).atoms
    assert atoms.get_scaled_positions()[-1] == pytest.approx(place)


def test_interstitial_beside_a_vacancy():
    parts = [{"vacancy": "Si"}, {"interstitial": "C", "position": "tetrahedral", "cage": "C", "shell": 1}]
    structure = build_defects(HOST, [{"kind": "complex", "parts": parts}], seed=0)
    vacant, added = (np.array(site["position"]) for site in structure.sites)
    # The cage of four C atoms that is nearest to a Si site.
    assert np.linalg.norm(added - vacant) == pytest.approx(NEAREST * 2 / np.sqrt(3))


@pytest.mark.parametrize(
    ("name", "along_c"), [("VV(hh)", True), ("VV(kk)", True), ("VV(hk)", False), ("VV(kh)", False)]
)
def test_divacancies_of_4h(name, along_c):
    first, second = (np.array(site["position"]) for site in build_defects(FOUR_H, [name], seed=0).sites)
    vector = FOUR_H.get_distance(*indices(build_defects(FOUR_H, [name], seed=0)), mic=True, vector=True)
    assert (abs(vector[2]) > 0.9 * np.linalg.norm(vector)) == along_c
    listed = {"kind": "divacancy", "site": list(name[3:5])}
    assert indices(build_defects(FOUR_H, [listed], seed=0)) == indices(build_defects(FOUR_H, [name], seed=0))
    assert not np.allclose(first, second)


def test_shell_advice_knows_kinds_of_sites():
    description = {"kind": "divacancy", "species": ["Si", "C"], "shell": 2, "site": ["h", "h"]}
    with pytest.raises(InputError, match=r"wants C \(h\) in coordination shell 2 .* C \(h\) is in shells 1, "):
        build_defects(FOUR_H, [description], seed=0)


@pytest.mark.parametrize(
    ("host", "description", "message"),
    [
        (HOST, "divacancy", "no name of a defect: give one such as V_C"),
        (HOST, "V_N", "needs a site of 'N'"),
        (HOST, {"name": "V_C", "species": "Si"}, "unknown key `species`"),
        (HOST, "V_C(k)", "all are alike: leave it out"),
        (FOUR_H, "V_C(k1)", "give one of h, k"),
        (FOUR_H, {"name": "V_C(k)", "site": "h"}, "which implies it"),
        (HOST, "H_i", "gives nothing for the position of the interstitial: give one of `position`"),
        (HOST, {"name": "H_i", "position": "tetrahedrel"}, "Did you mean `tetrahedral`"),
        (HOST, "H_i(tetrahedral)", "in the cages Si, C: give one of them"),
        (HOST, "H_i(octahedral)", "no `octahedral` site"),
        (HOST, {"name": "H_i", "position": "hexagonal", "direction": [1, 0, 0]}, "goes with `position: split` only"),
        (HOST, {"name": "Si_i", "position": "split"}, "direction` is None: give three numbers"),
        (
            HOST,
            {"name": "H_i", "position": "split", "direction": [1, 0, 0]},
            "on` is 'H': give the species",
        ),
        (HOST, {"name": "H_i", "fractional": [0.1, 0.2]}, "give three numbers, such as"),
        (HOST, {"name": "H_i", "fractional": [0, 0, 0.1], "count": 2}, "one position holds one atom"),
        (HOST, {"name": "H_i(hexagonal)", "site": 3}, "the interstitial is between sites"),
        (HOST, {"name": "V_C", "site": ["h", "k"]}, "give the index of an atom of the host"),
        (HOST, {"kind": "complex", "parts": [{"interstitial": "H", "position": "hexagonal"}]}, "begin with a part"),
    ],
)
def test_wrong_names_and_interstitials(host, description, message):
    with pytest.raises(InputError) as caught:
        build_defects(host, [description], seed=0)
    assert message in str(caught.value)


def _examples() -> list:
    """Hosts with their defects, and single defects, of the page on defects."""
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "defects.md").read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        content = yaml.safe_load(block)
        found += [(each["host"], each["defects"]) for each in content.get("structures", {}).values() if "host" in each]
        found += [(None, content["defects"])] if "defects" in content else []
    cells = [cell for line in text.splitlines() if line.startswith("| `") for cell in line.split("|")[1:2]]
    for example in re.findall(r"`(\{kind.*?\}|[A-Z][A-Za-z]?_[\w()-]+|VV[()hk]*)`", " ".join(cells)):
        found.append((None, [yaml.safe_load(example)]))
    return found


@pytest.mark.parametrize(("described", "defects_"), _examples())
def test_examples_of_the_page_on_defects(described, defects_):
    host = FOUR_H if described is None else build_host(HostSettings.from_mapping(described))
    built = build_defects(host, defects_, seed=1)
    assert built.sites and len(built.atoms) != 0
    assert not overlapping_pairs(built.atoms, 0.3)


def test_the_page_has_examples():
    assert len(_examples()) > 20
