"""What an evaluation writes and asks back, with a classical and with a trained potential, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

ENTRY_POINT = "sicmlip.evaluation"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], generate_dataset: Callable[..., Any], edip: Any) -> dict[str, Any]:
    """Inputs of a complete evaluation; one port is changed by each test."""
    return {"code": generate_code("sicmlip.training"), "dataset": generate_dataset(2), "potential": edip}


def options_of(calcinfo: Any) -> dict[str, str]:
    words = calcinfo.codes_info[0].cmdline_params
    assert words[0] == "evaluate"
    return dict(zip(words[1::2], words[2::2], strict=True))


def test_classical_potential(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert [path.name for path in folder.iterdir()] == ["classical.json"]
    assert json.loads((folder / "classical.json").read_text()) == {
        "species": ["C", "Si"],
        "commands": ["pair_style edip/multi", "pair_coeff * * potential.dat C Si"],
    }
    assert options_of(calcinfo) == {
        "--dataset": "dataset.npz",
        "--classical": "classical.json",
        "--device": "cpu",
        "--output": "predictions.npz",
        "--report": "evaluation.json",
    }
    assert calcinfo.local_copy_list == [
        (inputs["dataset"].uuid, "frames.npz", "dataset.npz"),
        (inputs["potential"].uuid, "SiC.edip", "potential.dat"),
    ]


def test_program_reads_the_classical_potential(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    from aiida_sicmlip.engine.classical_potential import ClassicalSettings

    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    settings = ClassicalSettings.from_mapping(json.loads((folder / "classical.json").read_text()))
    assert settings.species == ("C", "Si")
    assert len(settings.commands) == 2


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_trained_potential(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_compiled_potential: Callable[..., Any],
    device: str,
) -> None:
    potential = generate_compiled_potential(device=device)
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "potential": potential})
    assert list(folder.iterdir()) == []
    options = options_of(calcinfo)
    assert options["--compiled"] == "potential.nequip.pt2"
    assert options["--device"] == device
    assert "--classical" not in options
    assert (potential.uuid, "anything.nequip.pt2", "potential.nequip.pt2") in calcinfo.local_copy_list


def test_what_is_retrieved(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    _, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert set(calcinfo.retrieve_list) == {"evaluation.out", "evaluation.err", "evaluation.json"}
    assert calcinfo.retrieve_temporary_list == ["predictions.npz"]


def test_species_that_the_potential_lacks(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    potential = generate_compiled_potential(species=["C"])
    message = f"data set <{inputs['dataset'].pk}> holds Si, which `potential` <{potential.pk}> does not know"
    with pytest.raises(ValueError, match="does not know") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "potential": potential})
    assert message in str(caught.value)


def test_potential_compiled_for_another_target(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="was compiled for the target `ase`"):
        generate_calc_job(ENTRY_POINT, {**inputs, "potential": generate_compiled_potential(target="ase")})


def test_committee_and_hosts(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_compiled_potential: Callable[..., Any],
    divacancy_host: Any,
) -> None:
    from aiida import orm
    from ase.io import read

    members = {name: generate_compiled_potential() for name in ("seed_1", "seed_2")}
    given = {"potential": generate_compiled_potential(), "committee": members}
    host = orm.StructureData(ase=divacancy_host)
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, **given, "hosts": {"vv": host}})
    words = calcinfo.codes_info[0].cmdline_params
    pairs = list(zip(words[1::2], words[2::2], strict=True))
    assert [value for name, value in pairs if name == "--committee"] == [
        "member_seed_1.nequip.pt2",
        "member_seed_2.nequip.pt2",
    ]
    assert ("--host", "host_vv.extxyz") in pairs
    for name, member in members.items():
        assert (member.uuid, "anything.nequip.pt2", f"member_{name}.nequip.pt2") in calcinfo.local_copy_list
    written = read(folder / "host_vv.extxyz")
    assert written.get_chemical_formula() == "C8Si8"
    assert written.cell.array == pytest.approx(divacancy_host.cell.array)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"target": "ase"}, "`committee.other` <.*> was compiled for the target `ase`"),
        ({"device": "cuda"}, "`committee.other` <.*> was compiled for cuda and `potential` <.*> for cpu"),
        ({"species": ["C"]}, "holds Si, which `committee.other` <.*> does not know"),
    ],
)
def test_member_that_does_not_fit(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_compiled_potential: Callable[..., Any],
    member: dict[str, Any],
    words: str,
) -> None:
    given = {"potential": generate_compiled_potential(), "committee": {"other": generate_compiled_potential(**member)}}
    with pytest.raises(ValueError, match=words):
        generate_calc_job(ENTRY_POINT, {**inputs, **given})


def test_committee_of_a_classical_potential(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="`committee` is given for a classical potential"):
        generate_calc_job(ENTRY_POINT, {**inputs, "committee": {"other": generate_compiled_potential()}})
