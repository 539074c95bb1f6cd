"""Levels of theory: what changes energies and forces is told apart, what does not is not."""

import copy
import json
from pathlib import Path

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.level_of_theory import (
    differences,
    functional_of_pseudopotential,
    normalised_functional,
    pw_charge_and_spin,
    pw_level_of_theory,
)

# As a work chain for a neutral triplet divacancy writes it.
PARAMETERS = {
    "CONTROL": {"calculation": "scf", "tprnfor": True, "tstress": True, "forc_conv_thr": 1e-4, "etot_conv_thr": 1e-5},
    "SYSTEM": {
        "ecutwfc": 30.0,
        "ecutrho": 240.0,
        "nosym": False,
        "occupations": "smearing",
        "smearing": "cold",
        "degauss": 0.01,
        "nspin": 2,
        "tot_magnetization": 2,
        "starting_magnetization": {"Si": 0.1, "C": 0.1},
    },
    "ELECTRONS": {"conv_thr": 1e-9, "electron_maxstep": 80, "mixing_beta": 0.4},
}
PSEUDOS = {"Si": {"md5": "aa", "element": "Si"}, "C": {"md5": "bb", "element": "C"}}
GAMMA = {"mesh": [1, 1, 1], "offset": [0, 0, 0]}


def level(
    system=None, *, kpoints=GAMMA, pseudos=PSEUDOS, drop=(), program="quantumespresso.pw", hubbard=None, **namelists
):
    """The level of PARAMETERS with changes."""
    parameters = copy.deepcopy(PARAMETERS)
    parameters["SYSTEM"].update(system or {})
    for key in drop:
        del parameters["SYSTEM"][key]
    for name, entries in namelists.items():
        parameters.setdefault(name, {}).update(entries)
    return pw_level_of_theory(parameters, pseudos, kpoints, program, hubbard=hubbard)


def test_content_is_json_and_readable():
    content = level()
    assert json.loads(json.dumps(content)) == content
    assert content["settings"] == {
        "degauss": 0.01,
        "ecutrho": 240.0,
        "ecutwfc": 30.0,
        "nspin": 2,
        "occupations": "smearing",
        "smearing": "marzari-vanderbilt",
    }


@pytest.mark.parametrize(
    "changed",
    [
        level(ELECTRONS={"mixing_beta": 0.1, "mixing_mode": "local-TF", "diagonalization": "cg", "conv_thr": 1e-6}),
        level(CONTROL={"calculation": "relax", "max_seconds": 100, "disk_io": "none", "restart_mode": "restart"}),
        level({"nbnd": 80, "nosym": True, "noinv": True, "starting_charge": {"Si": 0.2}}),
        level({"tot_charge": -1, "tot_magnetization": 1}),
        level({"tot_charge": 0, "noncolin": False, "vdw_corr": "none", "assume_isolated": "none"}),
        level({"TOT_CHARGE": 0.0, "lspinorb": ".false.", "nqx1": 1, "exxdiv_treatment": "gygi-baldereschi"}),
        level({"smearing": "Marzari-Vanderbilt", "ecutwfc": 30, "nspin": 2.0}),
        level({"starting_magnetization": {"Si": 0.5, "C": -0.5}}),
        level(drop=["starting_magnetization"]),
        level(kpoints=[[0.0, 0.0, 0.0]]),
        level(kpoints={"mesh": (1, 1, 1)}),
        level(pseudos={"Si1": {"md5": "aa", "element": "Si"}, "Si2": {"md5": "aa"}, "C": {"md5": "bb"}}),
        level(IONS={"ion_dynamics": "damp"}, CELL={"press": 10}),
        level(CONTROL={"tefield": False}, ELECTRONS={"real_space": False}),
    ],
)
def test_irrelevant_changes_are_no_difference(changed):
    assert differences(level(), changed) == []
    assert changed == level()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (level({"ecutwfc": 40}), ("ecutwfc", 30.0, 40.0)),
        (level({"ecutrho": 300}), ("ecutrho", 240.0, 300.0)),
        (level({"tot_charge": -0.5}), ("tot_charge", 0.0, -0.5)),
        (level({"tot_magnetization": 1.5}), ("tot_magnetization", None, 1.5)),
        (level({"nspin": 1}, drop=["tot_magnetization"]), ("nspin", 2, 1)),
        (level({"degauss": 0.02}), ("degauss", 0.01, 0.02)),
        (level({"smearing": "gauss"}), ("smearing", "marzari-vanderbilt", "gaussian")),
        (level({"vdw_corr": "dft-d3"}), ("vdw_corr", "none", "grimme-d3")),
        (level({"london": True}), ("vdw_corr", "none", "grimme-d2")),
        (level({"assume_isolated": "m-t"}), ("assume_isolated", "none", "martyna-tuckerman")),
        (level({"input_dft": "hse"}), ("functional", None, "HSE")),
        (level({"nqx2": 2}), ("nqx2", 1, 2)),
        (level({"exx_fraction": 0.3}), ("exx_fraction", None, 0.3)),
        (level({"hubbard_u": {"Si": 2.0}}), ("hubbard_u", None, {"Si": 2.0})),
        (level({"setting_of_the_future": 3}), ("setting_of_the_future", None, 3.0)),
        (level(CONTROL={"tefield": True}), ("tefield", False, True)),
        (level(ELECTRONS={"real_space": True}), ("real_space", False, True)),
        (level(kpoints={"mesh": [2, 1, 1]}), ("kpoints", level()["kpoints"], {"mesh": [2, 1, 1], "offset": [0.0] * 3})),
        (level(pseudos={**PSEUDOS, "C": {"md5": "cc"}}), ("pseudopotential of C", "bb", "cc")),
        (level(pseudos={"Si": {"md5": "aa"}}), ("pseudopotential of C", "bb", None)),
        (level(program="abinit"), ("program", "quantumespresso.pw", "abinit")),
        (level(hubbard={"projectors": "ortho-atomic"}), ("hubbard", None, {"projectors": "ortho-atomic"})),
    ],
)
def test_relevant_changes_are_named_with_both_values(changed, expected):
    assert differences(level(), changed) == [expected]
    assert differences(changed, level()) == [(expected[0], expected[2], expected[1])]


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ({}, (0, 0)),
        ({"tot_charge": 2}, (2, 0)),
        ({"nspin": 2, "tot_magnetization": 2.0, "TOT_CHARGE": -1.0}, (-1, 2)),
        ({"nspin": 2, "tot_magnetization": -1}, (0, 1)),
        ({"nspin": 2, "starting_magnetization": {"Si": 0.5}}, (0, None)),
        ({"nspin": 2, "tot_magnetization": -10000}, (0, None)),
        ({"nspin": 2, "tot_magnetization": None}, (0, None)),
        ({"noncolin": True}, (0, None)),
        ({"tot_charge": 0.5, "nspin": 2, "tot_magnetization": 0.5}, (None, None)),
        ({"lgcscf": True}, (None, 0)),
    ],
)
def test_charge_and_spin_of_a_calculation(system, expected):
    """Without spin polarisation no electron is unpaired; a moment that is free is none that was imposed."""
    assert pw_charge_and_spin({"SYSTEM": {"ecutwfc": 30, **system}}) == expected


def test_density_cutoff_defaults_to_four_times_the_cutoff():
    assert level(drop=["ecutrho"])["settings"]["ecutrho"] == 120.0
    assert differences(level({"ecutrho": 120}), level(drop=["ecutrho"])) == []


def test_smearing_counts_only_where_occupations_are_smeared():
    fixed = level({"occupations": "fixed"})
    assert differences(fixed, level({"occupations": "fixed", "smearing": "mv", "degauss": 0.3})) == []
    assert differences(fixed, level(drop=["occupations", "smearing", "degauss"])) == []
    assert ("occupations", "smearing", "fixed") in differences(level(), fixed)


def test_starting_magnetisation_counts_where_the_moment_is_free():
    free = level(drop=["tot_magnetization"])
    other = level({"starting_magnetization": {"Si": 0.5, "C": 0.1}}, drop=["tot_magnetization"])
    assert [name for name, _, _ in differences(free, other)] == ["starting_magnetization"]
    assert differences(level({"tot_magnetization": -10000}), free) == []
    unpolarised = level({"nspin": 1}, drop=["tot_magnetization"])
    assert "starting_magnetization" not in unpolarised["settings"]


def test_noncollinear_spellings_are_one():
    assert differences(level({"noncolin": True}), level({"nspin": 4})) == []


def test_explicit_functional_equals_that_of_the_pseudopotentials():
    named = {kind: {**entry, "functional": "SLA PW PBX PBC"} for kind, entry in PSEUDOS.items()}
    assert level(pseudos=named)["functional"] == "PBE"
    assert differences(level(pseudos=named), level({"input_dft": "PBE"}, pseudos=named)) == []
    assert differences(level(pseudos=named), level({"input_dft": "pbesol"}, pseudos=named)) == [
        ("functional", "PBE", "PBESOL")
    ]
    assert normalised_functional("sla+pw+psx+psc") == "PBESOL"


def test_functional_of_a_header():
    assert functional_of_pseudopotential('<UPF version="2.0.1"><PP_HEADER author="x"\n functional="PBE"/>') == "PBE"
    version_1 = "    2    Number\n SLA  PW   PBX  PBC  PBE   Exchange-Correlation functional\n"
    assert functional_of_pseudopotential(version_1) == "PBE"
    assert functional_of_pseudopotential("<UPF>") is None


@pytest.mark.parametrize("name", ["Si.pbe-nl-rrkjus_psl.1.0.0.UPF", "C.pbe-n-kjpaw_psl.0.1.UPF", "C.pbe-rrkjus.UPF"])
def test_functional_of_real_files(name):
    path = Path("/usr/share/espresso/pseudo") / name
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    assert functional_of_pseudopotential(path.read_text(errors="replace")) == "PBE"


def test_order_and_weights_of_a_list_do_not_matter():
    a = level(kpoints=[[0, 0, 0, 1], [0.5, 0, 0, 3]])
    b = level(kpoints=[[0.5, 0, 0, 0.75], [0, 0, 0, 0.25]])
    assert a == b
    assert a != level(kpoints=[[0.5, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: level(drop=["ecutwfc"]), "ecutwfc"),
        (lambda: level({"ecutwfc": "30"}), "ecutwfc"),
        (lambda: level(SYSTM={"a": 1}), "SYSTEM"),
        (lambda: pw_level_of_theory({"SYSTEM": 3}, PSEUDOS, GAMMA, "pw"), "dict"),
        (lambda: level({"NSPIN": 1}), "twice"),
        (lambda: level(pseudos={}), "pseudopotentials"),
        (lambda: level(pseudos={"Si": {}}), "md5"),
        (lambda: level(kpoints={"meh": 1}), "kpoints"),
        (lambda: level(kpoints=[]), "at least one point"),
        (lambda: level(kpoints={"mesh": [0, 1, 1]}), "mesh"),
    ],
)
def test_errors_name_the_field(call, message):
    with pytest.raises(InputError, match=message):
        call()
