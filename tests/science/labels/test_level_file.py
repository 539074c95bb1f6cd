"""Stated levels of theory: those of pw.x equal derived ones, others are compared as they are stated."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.level_file import level_of_statement, read_statement, state_of_statement
from aiida_sicmlip.science.labels.level_of_theory import (
    differences,
    pw_level_of_theory,
    species_without_pseudopotential,
)

UPF = '<UPF version="2.0.1">\n<PP_HEADER element="{}" z_valence="4.0" functional="PBE"/>\n</UPF>\n'
PARAMETERS = {"SYSTEM": {"ecutwfc": 30, "ECUTRHO": 240.0, "nspin": 2, "tot_magnetization": 2}}
PW = {
    "program": "quantumespresso.pw",
    "parameters": PARAMETERS,
    "pseudopotentials": {"Si": "Si.upf", "C": {"md5": "A" * 32, "functional": "SLA PW PBX PBC"}},
    "kpoints": {"mesh": [1, 1, 1]},
}
OTHER = {
    "program": "vasp",
    "functional": "pbe",
    "pseudopotentials": {"Si": "PAW_PBE Si 05Jan2001", "C": "PAW_PBE C 08Apr2002"},
    "kpoints": {"mesh": [2, 2, 2]},
    "settings": {"ENCUT": 500, "prec": "Accurate", "tot_charge": 0, "tot_magnetization": 2},
}


@pytest.fixture
def stated(tmp_path: Path):
    """Reads a statement: the mapping, with changes on top; a value of None takes a key out."""
    (tmp_path / "Si.upf").write_text(UPF.format("Si"))

    def read(statement: dict, **changes: object) -> dict:
        content = {key: value for key, value in {**statement, **changes}.items() if value is not None}
        (tmp_path / "level.yaml").write_text(yaml.safe_dump(content))
        return level_of_statement(read_statement(tmp_path / "level.yaml"), tmp_path)

    return read


def test_labels_of_pw_are_normalised_as_derived_ones(stated) -> None:
    described = {
        "Si": {"md5": hashlib.md5(UPF.format("Si").encode()).hexdigest(), "functional": "PBE"},
        "C": {"md5": "a" * 32, "functional": "PBE"},
    }
    expected = pw_level_of_theory(PARAMETERS, described, [[0.0, 0.0, 0.0]], "quantumespresso.pw")
    assert stated(PW) == expected
    assert stated(PW, program=None) == expected
    assert stated(PW, kpoints=[[0, 0, 0]]) == expected


def test_other_programs(stated) -> None:
    level = stated(OTHER)
    assert level == {
        "program": "vasp",
        "functional": "PBE",
        "pseudopotentials": {"C": "PAW_PBE C 08Apr2002", "Si": "PAW_PBE Si 05Jan2001"},
        "kpoints": {"mesh": [2, 2, 2], "offset": [0.0, 0.0, 0.0]},
        "hubbard": None,
        "settings": {"encut": 500.0, "prec": "accurate"},
    }
    assert differences(level, stated(OTHER, settings={"encut": 500.0, "PREC": "accurate", "tot_charge": -1})) == []
    assert differences(level, stated(OTHER, charge=0, spin=2)) == []
    assert ("encut", 500.0, None) in differences(level, stated(OTHER, settings={"sigma": 0.1}))
    assert ("program", "vasp", "quantumespresso.pw") in differences(level, stated(PW))


def test_all_electron_program(stated) -> None:
    level = stated({"program": "aims", "functional": "PBE", "settings": {"species_defaults": "tight"}})
    assert (level["pseudopotentials"], level["kpoints"]) == ({}, None)
    assert species_without_pseudopotential(level, ["Si"]) == []


def test_species_that_a_level_does_not_know(stated) -> None:
    assert species_without_pseudopotential(stated(PW), ["C", "N", "Si"]) == ["N"]
    kinds = {"Si1": {"md5": "a" * 32, "functional": "PBE"}, "Si2": {"md5": "b" * 32}}
    assert species_without_pseudopotential(stated(PW, pseudopotentials=kinds), ["C", "Si"]) == ["C"]


@pytest.mark.parametrize(
    ("statement", "changes", "words"),
    [
        (PW, {"settings": {"a": 1}}, "both `parameters` and `settings`"),
        (PW, {"kpoint": [1]}, "`kpoint` is no key .* of pw.x .*Did you mean `kpoints`"),
        (PW, {"kpoints": None}, "has no `kpoints`"),
        (PW, {"kpoints": "gamma"}, "`kpoints` is 'gamma'"),
        (PW, {"kpoints": {"mesh": ["a", 1, 1]}}, "a value of the wrong kind"),
        (PW, {"parameters": {"SYSTEMS": {}}}, "unknown namelist `SYSTEMS`"),
        (PW, {"parameters": {"SYSTEM": {}}}, "ecutwfc` is None"),
        (PW, {"parameters": "SYSTEM"}, "`parameters` is 'SYSTEM'"),
        (PW, {"parameters": {"SYSTEM": {"ecutwfc": 30, "degauss": "1e-3"}}}, "degauss` is the text '1e-3'.*as 0.001"),
        (PW, {"parameters": {"SYSTEM": {"ecutwfc": 30, "degauss": "1d-6"}}}, "written as 1.0e-06"),
        (PW, {"pseudopotentials": {"Si": "none.upf"}}, "`pseudopotentials.Si` is the file .*none.upf`, which cannot"),
        (PW, {"pseudopotentials": {"Si": {"md5": "12"}}}, "the 32 digits that `md5sum` prints"),
        (PW, {"pseudopotentials": {"Si": {"mdd5": "1" * 32}}}, "Did you mean `md5`"),
        (PW, {"pseudopotentials": {"Si": {"md5": "1" * 32}}}, "names no functional"),
        (PW, {"pseudopotentials": {"Si": 3}}, "`pseudopotentials.Si` is 3"),
        (PW, {"pseudopotentials": ["Si"]}, "`pseudopotentials` is "),
        (OTHER, {"parameters": {}, "settings": None}, "`parameters` is no key .* other than pw.x"),
        (OTHER, {"functionals": "PBE"}, "Did you mean `functional`"),
        (OTHER, {"program": None}, "has no `program`; it needs `program`, `functional` and `settings`"),
        (OTHER, {"functional": ""}, "`functional` is ''"),
        (OTHER, {"settings": [1]}, r"`settings` is \[1\]"),
        (OTHER, {"settings": {"encut": "5e2"}}, "`settings.encut` is the text '5e2'"),
        (OTHER, {"settings": {"tot_charge": "one"}}, "`settings.tot_charge` is 'one': give a number"),
        (OTHER, {"pseudopotentials": "PAW"}, "`pseudopotentials` is 'PAW'"),
        (OTHER, {"kpoints": 3}, "`kpoints` is 3"),
    ],
)
def test_wrong_statements(stated, statement: dict, changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        stated(statement, **changes)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (PW, {"spin": 2}),
        ({**PW, "charge": 0}, {"charge": 0, "spin": 2}),
        ({**PW, "parameters": {"SYSTEM": {"ecutwfc": 30, "NSPIN": 1, "tot_charge": 1.0}}}, {"charge": 1, "spin": 0}),
        ({**PW, "parameters": {"SYSTEM": {"ecutwfc": 30}}}, {}),
        ({**PW, "parameters": {"SYSTEM": {"ecutwfc": 30, "nspin": 2}}, "spin": "none"}, {"spin": "none"}),
        ({**PW, "parameters": {"system": {"ecutwfc": 30, "tot_magnetization": -1}}}, {"spin": 1}),
        (OTHER, {"charge": 0, "spin": 2}),
        ({**OTHER, "settings": {}, "charge": -1, "spin": None}, {"charge": -1, "spin": "none"}),
        ({"levels_of_theory": []}, {}),
    ],
)
def test_charge_and_spin_that_are_stated(statement: dict, expected: dict) -> None:
    """A default of the program is no statement: nobody said that the labels are neutral, or singlets."""
    assert state_of_statement(statement) == expected


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ({**PW, "spin": 0}, "states the spin 0 under `spin`, and 2 among its parameters"),
        ({**OTHER, "charge": 1}, "states the charge 1 under `charge`, and 0 among its settings"),
        ({**PW, "charge": 0.5}, "`charge` of the level of theory is 0.5; give a whole number, or `none`"),
        ({**PW, "parameters": PARAMETERS, "spin": "triplet"}, "`spin` of the level of theory is 'triplet'"),
        ({**PW, "spin": -2}, "`spin` of the level of theory is -2"),
        (
            {**OTHER, "settings": {"tot_charge": 0.5}},
            "`tot_charge` is 0.5; the charge of a configuration is a whole number",
        ),
    ],
)
def test_wrong_charges_and_spins(statement: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        state_of_statement(statement)


def test_exported_levels(stated) -> None:
    level = stated(OTHER)
    assert stated({"levels_of_theory": [level]}) == level
    with pytest.raises(InputError, match="holds 2 levels of theory, and an import takes one"):
        stated({"levels_of_theory": [level, level]})
    with pytest.raises(InputError, match=r"holds a level with the keys \['program'\]"):
        stated({"levels_of_theory": [{"program": "vasp"}]})


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "level.yaml"
    with pytest.raises(InputError, match="does not exist"):
        read_statement(path)
    path.write_text("a: [")
    with pytest.raises(InputError, match="is not YAML"):
        read_statement(path)
    path.write_text("- a")
    with pytest.raises(InputError, match="holds no keys; it needs `program`, `parameters`"):
        read_statement(path)
