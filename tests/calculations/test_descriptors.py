"""What a description of frames writes and asks back, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings

ENTRY_POINT = "sicmlip.descriptors"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], generate_segment: Callable[..., Any], divacancy_host: Atoms) -> Any:
    """Inputs of a complete description; one port is changed by each test."""
    from aiida import orm

    kept = orm.ArrayData()
    kept.set_array("kept", np.array([0, 3, 4]))
    return {
        "code": generate_code(ENTRY_POINT),
        "trajectories": {
            "vv": {
                "s04": generate_segment(0, n_frames=20),
                "s05": generate_segment(1, continues=True),
                "s06": generate_segment(2),
            }
        },
        "hosts": {"vv": orm.StructureData(ase=divacancy_host)},
        "filters": {"vv": {"s06": kept.store()}},
        "parameters": SelectionSettings.complete({"n_training": 4, "n_validation": 2}),
        "seed": 99,
    }


def settings_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "descriptors.json").read_text())


def test_settings_of_the_program(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    settings = settings_of(folder)
    segments = settings.pop("segments")
    assert settings == {
        "parameters": SelectionSettings.complete({"n_training": 4, "n_validation": 2}),
        "seed": 99,
        "hosts": {"vv": "host_vv.extxyz"},
        **{name: [] for name in ("training", "other", "picks", "earlier", "committee")},
        "with_fixed": False,
    }
    assert [entry["file"] for entry in segments] == ["s04.dcd", "s05.dcd", "s06.dcd"]
    # A segment that continues the one before is of its trajectory, which is called by its first segment.
    assert [(entry["segment"], entry["trajectory"]) for entry in segments] == [(4, 4), (5, 4), (6, 6)]
    assert [(entry["n_frames"], entry.get("kept")) for entry in segments] == [
        (20, None),
        (30, None),
        (30, "kept_s06.npy"),
    ]
    assert {(entry["first_time"], entry["interval"], entry["structure"]) for entry in segments} == {(0.0, 0.04, "vv")}
    assert len(read(folder / "host_vv.extxyz")) == 16
    assert calcinfo.codes_info[0].cmdline_params == [
        *("describe", "--settings", "descriptors.json", "--processes", "1")
    ]


def test_files(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    _, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    segments = inputs["trajectories"]["vv"]
    expected = [(segments[name].uuid, "trajectory.dcd", f"{name}.dcd") for name in sorted(segments)]
    expected.append((inputs["filters"]["vv"]["s06"].uuid, "kept.npy", "kept_s06.npy"))
    assert sorted(calcinfo.local_copy_list) == sorted(expected)
    assert set(calcinfo.retrieve_list) == {"descriptors.out", "descriptors.err", "descriptors_report.json"}
    assert calcinfo.retrieve_temporary_list == ["candidates.npz"]


def test_as_many_processes_as_cores(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    resources = {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": 6}
    given = {**inputs, "metadata": {"options": {"resources": resources}}}
    _, calcinfo = generate_calc_job(ENTRY_POINT, given)
    assert calcinfo.codes_info[0].cmdline_params[-1] == "6"


def test_what_is_known_goes_along(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_dataset: Callable[..., Any],
    describe: Any,
) -> None:
    """Data sets, picks and candidates of earlier rounds, in their order."""
    from aiida import orm

    from aiida_sicmlip.calculations.functions.select_frames import select_frames

    segments = inputs["trajectories"]["vv"]
    parameters = orm.Dict({**inputs["parameters"], "n_max": 2, "l_max": 1, "cutoff": 3.0})
    candidates = describe({"vv": {"s00": segments["s04"]}}, parameters=parameters, hosts=inputs["hosts"])
    picks = select_frames(parameters, orm.Int(1), candidates)["picks"]
    known = {"training_set": generate_dataset(2, seed=1), "other_sets": {"validation": generate_dataset(2, seed=2)}}
    earlier = {"picks": {"round_00": picks}, "earlier": {"round_00": candidates}}
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, **known, **earlier})
    settings = settings_of(folder)
    assert {name: settings[name] for name in ("training", "other", "picks", "earlier")} == {
        "training": ["training_training_set.npz"],
        "other": ["other_validation.npz"],
        "picks": ["picks_round_00.npz"],
        "earlier": ["candidates_round_00.npz"],
    }
    copied = {target for _, _, target in calcinfo.local_copy_list}
    assert {"training_training_set.npz", "other_validation.npz", "candidates_round_00.npz"} <= copied
    with np.load(folder / "picks_round_00.npz") as arrays:
        assert len(Picks.from_arrays(arrays)) == 6


def test_what_explored_goes_along(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    """The potential first, then the others; thresholds of the round take the place of those of the settings."""
    members = {name: generate_compiled_potential() for name in ("potential", "member_01", "member_02")}
    committee = {name: node for name, node in members.items() if name != "potential"}
    given = {**inputs, "potential": members["potential"], "committee": committee, "thresholds": {"max_force": 25.0}}
    given["parameters"] = {**inputs["parameters"], "max_force": 30.0, "max_disagreement": 1.5}
    folder, calcinfo = generate_calc_job(ENTRY_POINT, given)
    settings = settings_of(folder)
    names = [f"member_{name}.nequip.pt2" for name in members]
    assert settings["committee"] == names
    assert [settings["parameters"][name] for name in ("max_force", "max_disagreement")] == [25.0, 1.5]
    copied = {target: uuid for uuid, _, target in calcinfo.local_copy_list}
    assert [copied[name] for name in names] == [node.uuid for node in members.values()]
    with pytest.raises(ValueError, match="`committee` is given without `potential`"):
        generate_calc_job(ENTRY_POINT, {**inputs, "committee": committee})
    with pytest.raises(
        ValueError, match=r"`thresholds` do not fit the settings: `selection.parameters.max_force` is -1"
    ):
        generate_calc_job(ENTRY_POINT, {**given, "thresholds": {"max_force": -1.0}})
    with pytest.raises(ValueError, match="compiled for the target `ase`"):
        ase = generate_compiled_potential(target="ase")
        generate_calc_job(ENTRY_POINT, {**given, "committee": {"member_01": ase}})


def test_program_takes_the_settings(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    from aiida_sicmlip.engine.candidates import CandidatesSettings

    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    assert len(CandidatesSettings.from_mapping(settings_of(folder)).segments) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"methods": "random"}, "`selection.parameters.methods` is not a known setting. Did you mean `method`"),
        ({"centres": "defects"}, "`selection.parameters.centres` is 'defects'; give `defect`"),
        ({"centre_radius": 0}, "`selection.parameters.centre_radius` is 0; give a number above zero"),
        ({"held_out_structures": ["antisite"]}, "names `antisite`; the structures are vv"),
    ],
)
def test_wrong_parameters(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        generate_calc_job(ENTRY_POINT, {**inputs, "parameters": parameters})


def test_inputs_that_do_not_fit_each_other(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_segment: Callable[..., Any]
) -> None:
    from aiida import orm

    def refused(**changes: Any) -> str:
        with pytest.raises(ValueError, match="inputs") as caught:
            generate_calc_job(ENTRY_POINT, {**inputs, **changes})
        return str(caught.value)

    segments = inputs["trajectories"]["vv"]
    twice = {"vv": segments, "other": {"s04": generate_segment(2)}}
    assert "two segments of one number: s04, s04, s05, s06" in refused(trajectories=twice)
    assert "`first` is not the label of a segment" in refused(trajectories={"vv": {"first": segments["s04"]}})
    assert "`trajectories` is empty" in refused(trajectories={})
    assert "`filters.v` belongs to no structure" in refused(filters={"v": inputs["filters"]["vv"]})
    filters = {"vv": {"s01": inputs["filters"]["vv"]["s06"]}}
    assert "`filters.vv.s01` belongs to no segment" in refused(filters=filters)
    empty = orm.ArrayData()
    empty.set_array("role", np.zeros(2))
    assert "lacks descriptors, distance, frame" in refused(picks={"round_00": empty.store()})
    assert "give a whole number of at least 1" in refused(seed=0)


def test_code_of_another_program(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_code: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="give a code of `sicmlip`"):
        generate_calc_job(ENTRY_POINT, {**inputs, "code": generate_code("sicmlip.exploration")})


def test_labelled_frames_of_structures_without_a_trajectory(
    inputs: dict[str, Any], describe: Any, generate_dataset: Callable[..., Any]
) -> None:
    """All walkers of a defect may have failed in this round; what is labelled of it is described all the same."""
    from aiida import orm
    from ase.calculators.singlepoint import SinglePointCalculator

    from aiida_sicmlip.science.defects.building import build_defects
    from tests.crystals import silicon_carbide_host

    host = silicon_carbide_host(repeats=(2, 2, 2))
    frames = [build_defects(host, [{"kind": "vacancy", "species": "C"}], seed).atoms for seed in range(2)]
    for number, frame in enumerate(frames):
        frame.rattle(0.05, seed=number)
        frame.calc = SinglePointCalculator(frame, energy=0.0, forces=np.zeros((len(frame), 3)))
    parameters = orm.Dict({"n_training": 2, "n_validation": 1, "n_max": 2, "l_max": 1, "cutoff": 3.0})
    given = {"trajectories": {"vv": {"s00": inputs["trajectories"]["vv"]["s04"]}}, "parameters": parameters}
    given["training_set"] = generate_dataset(frames)
    hosts = [{"vv": inputs["hosts"]["vv"]}, {**inputs["hosts"], "vacancy": orm.StructureData(ase=host)}]
    found = [describe(**given, hosts=each).candidates().reference_distance for each in hosts]
    # The host that is found and the one that is given show the same atoms around the defect.
    assert np.allclose(found[0], found[1], atol=1e-9) and np.isfinite(found[0]).all()


@pytest.mark.program
def test_run(inputs: dict[str, Any], aiida_localhost: Any, tmp_path: Path) -> None:
    """AiiDA runs the program; the same input gives nodes of the same hash, however many processes there are."""
    from aiida import orm
    from aiida.engine import run_get_node

    from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation

    program = tmp_path / "sicmlip"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aiida_sicmlip.engine.programs.main "$@"\n')
    program.chmod(0o755)
    inputs["code"] = orm.InstalledCode(aiida_localhost, str(program), label="sicmlip").store()
    nodes = []
    for cores in (1, 2):
        resources = {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": cores}
        result, node = run_get_node(DescriptorsCalculation, **inputs, metadata={"options": {"resources": resources}})
        assert node.exit_status == 0, node.exit_message
        assert (result["results"]["processes"], result["results"]["n_filtered"]) == (cores, 27)
        nodes.append(result["candidates"])
    assert len({node.base.caching.compute_hash() for node in nodes}) == 1
    assert nodes[0].base.links.get_incoming().one().link_label == "candidates"
    assert "described 80 of 80 frames (100 %)" in node.outputs.retrieved.base.repository.get_object_content(
        "descriptors.out"
    )
    candidates = nodes[0].candidates()
    segments = inputs["trajectories"]["vv"]
    for row in (0, len(candidates) - 1):
        expected = segments[f"s{candidates.segment[row]:02d}"].frames([int(candidates.frame[row])])[0]
        assert np.array_equal(candidates.structure(row).positions, expected.positions)
