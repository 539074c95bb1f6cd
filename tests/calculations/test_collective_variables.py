"""What a training of collective variables writes and asks back, and what it refuses."""

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

from aiida_sicmlip.science.pines.settings import AutoencoderSettings
from tests.crystals import silicon_carbide_host

ENTRY_POINT = "sicmlip.collective_variables"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], generate_segment: Callable[..., Any], divacancy: Atoms) -> dict[str, Any]:
    """Inputs of a complete training; one port is changed by each test."""
    from aiida import orm

    return {
        "code": generate_code(ENTRY_POINT),
        "structure": orm.StructureData(ase=divacancy),
        "host": orm.StructureData(ase=silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")),
        "trajectories": {
            "s00": generate_segment(0, n_frames=20),
            "s01": generate_segment(1, continues=True),
            "s02": generate_segment(2),
        },
        "parameters": {"maximum_frames": 45, "autoencoder": {"latent": 2}},
        "seed": 99,
    }


def test_settings_of_the_program(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], divacancy: Atoms
) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert sorted(path.name for path in folder.iterdir()) == ["cv_settings.json", "structure.extxyz"]
    settings = json.loads((folder / "cv_settings.json").read_text())
    groups = settings.pop("groups")
    assert {name: len(members) for name, members in groups.items()} == {"C1": 3, "C2": 4, "Si1": 3, "Si2": 4}
    assert settings == {
        # 3.2 A in this crystal, whose bonds are 1.912 A long.
        "switching": {"r0": pytest.approx(3.2, abs=1e-3), "exponent": 6},
        "autoencoder": AutoencoderSettings(latent=2, seed=99).to_dict(),
        # Twenty and twice thirty frames: each second one makes forty.
        "every": 2,
        "n_frames": {"s00.dcd": 20, "s01.dcd": 30, "s02.dcd": 30},
        "kept": {},
        "threads": 1,
    }
    assert read(folder / "structure.extxyz").get_chemical_symbols() == divacancy.get_chemical_symbols()
    assert calcinfo.codes_info[0].cmdline_params == [
        *("cv", "--settings", "cv_settings.json", "--structure", "structure.extxyz"),
        *("--trajectory", "s00.dcd", "s01.dcd", "--trajectory", "s02.dcd"),
    ]


@pytest.mark.parametrize(("given", "expected"), [(None, 4.18 / 4.416 * 3.2), (2.6, 2.6)])
def test_the_length_that_is_run_is_written(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], given: float | None, expected: float
) -> None:
    """Where none is given, it scales with the bonds of the host; atoms of the structure may be nearer to each other."""
    from aiida import orm

    for name in ("host", "structure"):
        atoms = inputs[name].get_ase()
        atoms.set_cell(atoms.cell * 4.18 / 4.416, scale_atoms=True)
        if name == "structure":
            atoms.positions[0] += 0.2
        inputs[name] = orm.StructureData(ase=atoms)
    segments = {}
    for name, segment in inputs["trajectories"].items():
        segments[name] = segment.clone()
        segments[name].base.attributes.set("cell", inputs["structure"].cell)
        segments[name].store()
    parameters = {**inputs["parameters"], "switching": {"r0": given}}
    folder, _ = generate_calc_job(ENTRY_POINT, {**inputs, "trajectories": segments, "parameters": parameters})
    written = json.loads((folder / "cv_settings.json").read_text())["switching"]
    assert written == {"r0": pytest.approx(expected, abs=1e-3), "exponent": 6}


def test_files(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    _, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert calcinfo.local_copy_list == [
        (inputs["trajectories"][name].uuid, "trajectory.dcd", f"{name}.dcd") for name in ("s00", "s01", "s02")
    ]
    assert set(calcinfo.retrieve_list) == {"collective_variables.out", "collective_variables.err", "cv_report.json"}
    assert set(calcinfo.retrieve_temporary_list) == {"model.ptc", "cv.json", "autoencoder.npz"}


def kept(*numbers: int) -> Any:
    """Return what a filter lets pass."""
    from aiida import orm

    node = orm.ArrayData()
    node.set_array("kept", np.array(numbers, dtype=np.int64))
    return node.store()


def test_frames_that_do_not_pass_the_filter_are_not_learnt_from(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any]
) -> None:
    """A segment of which nothing is left is not read at all, and only what is left counts towards the maximum."""
    filters = {"s00": kept(*range(7)), "s01": kept()}
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "filters": filters})
    settings = json.loads((folder / "cv_settings.json").read_text())
    assert settings["kept"] == {"s00.dcd": "kept_s00.npy"}
    assert settings["n_frames"] == {"s00.dcd": 20, "s02.dcd": 30}
    assert settings["every"] == 1
    assert (filters["s00"].uuid, "kept.npy", "kept_s00.npy") in calcinfo.local_copy_list
    assert calcinfo.codes_info[0].cmdline_params[-4:] == ["--trajectory", "s00.dcd", "--trajectory", "s02.dcd"]


def test_a_single_trajectory_that_is_left_is_not_divided(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any]
) -> None:
    folder, _ = generate_calc_job(ENTRY_POINT, {**inputs, "filters": {"s02": kept()}})
    assert json.loads((folder / "cv_settings.json").read_text())["autoencoder"]["held_out"] == 0


def test_filters_that_leave_nothing_are_refused(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    nothing = {name: kept() for name in inputs["trajectories"]}
    with pytest.raises(ValueError, match="no frame of `trajectories` passes `filters`"):
        generate_calc_job(ENTRY_POINT, {**inputs, "filters": nothing})
    with pytest.raises(ValueError, match=r"`filters\.s07` is the filter of no segment of `trajectories`"):
        generate_calc_job(ENTRY_POINT, {**inputs, "filters": {"s07": kept(0)}})


def test_program_takes_the_settings(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    from aiida_sicmlip.engine.cv_training import CvTrainingSettings

    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    assert CvTrainingSettings.from_mapping(json.loads((folder / "cv_settings.json").read_text())).every == 2


def test_a_single_trajectory_is_not_divided(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    """A segment and the one that continues it are one trajectory: its frames do not test one another."""
    del inputs["trajectories"]["s02"]
    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    assert json.loads((folder / "cv_settings.json").read_text())["autoencoder"]["held_out"] == 0


def test_atoms_are_found_by_the_host_whatever_their_order(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], divacancy: Atoms, generate_segment: Callable
) -> None:
    """The structure is displaced and its atoms are in another order; the same places of the crystal are chosen."""
    from aiida import orm

    from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
    from aiida_sicmlip.science.pines.atoms import choose_atoms_of_structure

    order = np.random.default_rng(1).permutation(len(divacancy))
    turned = divacancy[order]
    turned.positions += np.random.default_rng(2).normal(0.0, 0.1, turned.positions.shape) + 0.3
    attributes = {**inputs["trajectories"]["s02"].base.attributes.all, "symbols": turned.get_chemical_symbols()}
    segment = inputs["trajectories"]["s02"].clone()
    segment.base.attributes.set_many(attributes)
    assert isinstance(segment.store(), SegmentTrajectoryData)
    given = {**inputs, "structure": orm.StructureData(ase=turned), "trajectories": {"s00": segment}}
    folder, _ = generate_calc_job(ENTRY_POINT, given)
    groups = json.loads((folder / "cv_settings.json").read_text())["groups"]
    expected = choose_atoms_of_structure(divacancy, inputs["host"].get_ase()).groups
    assert {name: sorted(int(order[i]) for i in members) for name, members in groups.items()} == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shell": 2}, "`collective_variables.shell` is not a known setting. Did you mean `shells`"),
        ({"shells": 0}, "`collective_variables.shells` is 0; give a whole number of at least 1"),
        ({"around": "centre"}, "`collective_variables.around` is 'centre'"),
        ({"maximum_frames": 2}, "`collective_variables.maximum_frames` is 2, but there are 3 segments"),
        ({"autoencoder": {"seed": 1}}, "`collective_variables.autoencoder.seed` is taken from another input"),
        ({"autoencoder": {"latents": 1}}, "`collective_variables.autoencoder.latents` is not a known setting"),
        ({"autoencoder": 3}, "`collective_variables.autoencoder` is 3; give settings under it"),
        ({"switching": {"r0": 0}}, "`collective_variables.switching.r0` is 0"),
    ],
)
def test_wrong_parameters(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        generate_calc_job(ENTRY_POINT, {**inputs, "parameters": parameters})


def test_inputs_that_do_not_fit_each_other(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], divacancy: Atoms
) -> None:
    from aiida import orm

    def refused(**changes: Any) -> str:
        with pytest.raises(ValueError, match="inputs") as caught:
            generate_calc_job(ENTRY_POINT, {**inputs, **changes})
        return str(caught.value)

    other = orm.StructureData(ase=silicon_carbide_host(repeats=(2, 2, 2)))
    assert "The cells of structure and host differ by a strain" in refused(host=other)
    assert "The structure has no defect" in refused(host=inputs["structure"])
    turned = orm.StructureData(ase=divacancy[::-1])
    assert "`trajectories.s00`" in refused(structure=turned)
    assert "holds other atoms, or in another order, than `structure`" in refused(structure=turned)
    assert "`trajectories` is empty" in refused(trajectories={})
    strained = divacancy.copy()
    strained.set_cell(divacancy.cell.array * 1.01, scale_atoms=True)
    assert "has another cell than `structure`" in refused(structure=orm.StructureData(ase=strained))
    assert "`seed` is 0; give a whole number of at least 1" in refused(seed=0)


def test_code_of_another_program(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_code: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="give a code of `sicmlip`"):
        generate_calc_job(ENTRY_POINT, {**inputs, "code": generate_code("sicmlip.exploration")})


def test_segments_are_joined_in_the_order_of_their_numbers(generate_segment: Callable[..., Any]) -> None:
    from aiida_sicmlip.calculations.collective_variables import joined_segments

    alone, next_one = generate_segment(0), generate_segment(1, continues=True)
    assert joined_segments({"s100": next_one, "s99": alone, "s98": alone}) == [["s98"], ["s99", "s100"]]
    # What a first segment continues is not there.
    assert joined_segments({"s01": next_one, "s02": next_one, "s03": alone}) == [["s01", "s02"], ["s03"]]


@pytest.mark.program
def test_run(inputs: dict[str, Any], aiida_localhost: Any, tmp_path: Path) -> None:
    """AiiDA runs the program; the same input gives nodes of the same hash, and then the earlier result itself."""
    from aiida import orm
    from aiida.engine import run_get_node
    from aiida.manage.caching import enable_caching

    from aiida_sicmlip.calculations.collective_variables import CollectiveVariablesCalculation

    program = tmp_path / "sicmlip"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aiida_sicmlip.engine.programs.main "$@"\n')
    program.chmod(0o755)
    inputs["code"] = orm.InstalledCode(aiida_localhost, str(program), label="sicmlip").store()
    inputs["parameters"] = orm.Dict({"autoencoder": {"hidden": [8], "latent": 2, "max_epochs": 2}})
    inputs["metadata"] = {"options": {"environment_variables": {"OMP_NUM_THREADS": "1"}}}

    runs = [run_get_node(CollectiveVariablesCalculation, **inputs) for _ in range(2)]
    with enable_caching():
        runs.append(run_get_node(CollectiveVariablesCalculation, **inputs))
    nodes = [run.result["collective_variables"] for run in runs]
    assert [run.node.exit_status for run in runs] == [0, 0, 0]
    assert [run.node.base.caching.is_created_from_cache for run in runs] == [False, False, True]
    assert len({node.base.caching.compute_hash() for node in nodes}) == 1
    assert nodes[0].base.links.get_incoming().one().link_label == "collective_variables"
    assert runs[0].result["results"]["n_frames"] == [50, 30]
    model = nodes[0].model()
    frames = inputs["trajectories"]["s02"].frames()
    values = model.evaluate(np.stack([f.positions for f in frames]), frames[0].cell.array, frames[0].pbc)
    # Variables of frames in the user's orientation lie in the ranges that the program found in LAMMPS's own.
    for column, said in zip(values.T, nodes[0].ranges, strict=True):
        assert said["minimum"] - 1e-4 <= column.min() <= column.max() <= said["maximum"] + 1e-4
