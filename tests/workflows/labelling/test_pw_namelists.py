"""Namelists of pw.x: any case means the same, and what pw.x would stop at is said before."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.pw_settings import canonical_namelists
from aiida_sicmlip.workflows.labelling.labelling import validate_parameters
from aiida_sicmlip.workflows.labelling.pw_namelists import mistake_in_namelists
from aiida_sicmlip.workflows.protocols.loop import load_protocol


@pytest.mark.parametrize("name", ["system", "SYSTEM", "System"])
@pytest.mark.parametrize(("key", "value"), [("ECUTWFC", 41.0), ("ecutwfc", 41.0), ("Input_DFT", "PBE")])
def test_any_case_overrides_the_protocol(name: str, key: str, value: Any) -> None:
    settings = load_protocol("demo", {"labelling": {"parameters": {name: {key: value}}}})
    protocol = load_protocol("demo")["labelling"]["parameters"]
    expected = {**protocol, "SYSTEM": {**protocol["SYSTEM"], key.lower(): value}}
    assert settings["labelling"]["parameters"] == expected


def test_the_same_keyword_twice() -> None:
    merged = canonical_namelists({"system": {"ecutwfc": 40.0}, "SYSTEM": {"NSPIN": 2}, "control": {}})
    assert merged == {"SYSTEM": {"ecutwfc": 40.0, "nspin": 2}, "CONTROL": {}}
    with pytest.raises(InputError, match=r"`system.ecutwfc` and `SYSTEM.EcutWfc` are the same keyword of pw.x"):
        canonical_namelists({"system": {"ecutwfc": 40.0}, "SYSTEM": {"EcutWfc": 50.0}})


def test_other_cases_are_refused_at_submission() -> None:
    from aiida.orm import Dict

    right = {"CONTROL": {"tprnfor": True}, "SYSTEM": {"ecutwfc": 30.0}}
    assert validate_parameters(Dict(right), None) is None
    for wrong in ({**right, "electrons": {"conv_thr": 1e-6}}, {**right, "ELECTRONS": {"Conv_Thr": 1e-6}}):
        message = validate_parameters(Dict(wrong), None)
        assert message is not None and "write namelists in capitals and keywords of pw.x in lower case" in message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"ELECTRONS": {"conv_thr": "1e-8"}}, "the text '1e-8'; write it as 1.0e-08"),
        ({"ELECTRONS": {"conv_thr": "1.0d-8"}}, "the text '1.0d-8'; write it as 1.0e-08"),
        ({"electrons": {"CONV_THR": "1D-8"}}, "`electrons.CONV_THR` is the text '1D-8'; write it as 1.0e-08"),
        ({"SYSTEM": {"new_keyword": "3d0"}}, "write it as 3.0"),
        ({"ELECTRONS": {"conv_thr": "tight"}}, "`ELECTRONS.conv_thr` is 'tight'; give a number"),
        ({"ELECTRONS": {"conv_thr": float("nan")}}, "give a number"),
        ({"ELECTRONS": {"conv_thr": True}}, "is True; give a number"),
        ({"SYSTEM": {"nosym": ".true."}}, "`SYSTEM.nosym` is the text '.true.'; write true"),
        ({"SYSTEM": {"nosym": 1}}, "`SYSTEM.nosym` is 1; give true or false"),
        ({"SYSTEM": {"nspin": 2.0}}, "`SYSTEM.nspin` is 2.0; give a whole number"),
        ({"SYSTEM": {"smearing": 3}}, "`SYSTEM.smearing` is 3; give text"),
        ({"SYSTEM": {"nspin": 2, "starting_magnetization": {"Si": "0.5d0"}}}, "give a number"),
        ({"SYSTEM": {"nspin": 1, "tot_magnetization": 2.0}}, "`SYSTEM.nspin` is 1, but `SYSTEM.tot_magnetization` is"),
        ({"SYSTEM": {"starting_magnetization": {"Si": 0.5}}}, "`SYSTEM.nspin` is not set, and 1 by default"),
        ({"system": {"ECUTRHO": 30.0}, "SYSTEM": {"ecutwfc": 40.0}}, "`SYSTEM.ecutrho` is 30 Ry, below"),
        ({"SYSTEM": {"ecutwfc": 1e9}}, "`SYSTEM.ecutwfc` is 1000000000.0; give a cutoff in Ry"),
        ({"SYSTEM": {"ecutwfc": -1.0}}, "give a cutoff in Ry above zero"),
        ({"SYSTEM": {"ecutwfk": 30.0}}, "Did you mean `ecutwfc`?"),
        ({1: {}}, "`1` is not a namelist of pw.x"),
        ({"SYSTEM": 3}, "`SYSTEM` is 3; give settings under it"),
    ],
)
def test_mistakes(parameters: dict[Any, Any], words: str) -> None:
    message = mistake_in_namelists(parameters)
    assert message is not None and words in message


@pytest.mark.parametrize(
    "parameters",
    [
        {"SYSTEM": {"nspin": 1, "tot_magnetization": 0.0, "starting_magnetization": {"Si": 0.0}}},
        {"SYSTEM": {"nspin": 2, "tot_magnetization": 2, "starting_magnetization": [0.5, -0.5]}},
        {"SYSTEM": {"noncolin": True, "starting_magnetization": {"Si": 0.5}, "nosym": None}},
        {"SYSTEM": {"ecutwfc": 40, "ecutrho": 320, "starting_ns_eigenvalue": [[1, 1, "Si", 0.5]]}},
        {"CONTROL": {"tprnfor": True, "max_seconds": 10}, "ELECTRONS": {"electron_maxstep": 100, "mixing_beta": 0.4}},
        {"SYSTEM": {"keyword_of_tomorrow": "text"}},
    ],
)
def test_what_is_right(parameters: dict[str, Any]) -> None:
    assert mistake_in_namelists(parameters) is None
