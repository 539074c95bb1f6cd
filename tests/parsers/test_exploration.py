"""The parser of molecular dynamics, on real runs that ended in every way there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_sicmlip.science.io.dcd import read_dcd_header

FIXTURES = Path(__file__).parent / "fixtures" / "exploration"


def test_complete_run(parse_folder: Callable[..., Any], divacancy: Atoms) -> None:
    parsed = parse_folder(FIXTURES / "default")
    assert parsed.status == 0
    assert set(parsed.outputs) == {"trajectory", "thermodynamics", "results"}
    trajectory = parsed.outputs["trajectory"]
    assert trajectory.n_frames == 5
    assert trajectory.symbols == divacancy.get_chemical_symbols()
    assert trajectory.frame_interval_ps == pytest.approx(0.005)
    assert np.allclose(trajectory.frames([0])[0].cell.array, divacancy.cell.array)
    thermo = parsed.outputs["thermodynamics"]
    assert thermo.get_array("step").tolist() == [0, 5, 10, 15, 20]
    assert thermo.get_array("temperature")[0] == pytest.approx(1000.0)
    total = thermo.get_array("potential_energy") + thermo.get_array("kinetic_energy")
    assert thermo.get_array("total_energy") == pytest.approx(total, abs=1e-6)
    results = parsed.outputs["results"].get_dict()
    assert (results["n_frames"], results["n_frames_asked"], results["last_step"]) == (5, 5, 20)
    assert results["mean_temperature"] == pytest.approx(thermo.get_array("temperature").mean())
    assert (results["errors"], results["halted_step"]) == ([], None)


@pytest.mark.parametrize("case", ["default", "with_equilibration"])
def test_steps_are_those_of_the_file(parse_folder: Callable[..., Any], case: str) -> None:
    trajectory = parse_folder(FIXTURES / case).outputs["trajectory"]
    header = read_dcd_header(FIXTURES / case / "temporary" / "trajectory.dcd")
    assert trajectory.steps().tolist() == header.steps.tolist()


def test_equilibration_counts_neither_as_frames_nor_in_means(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "with_equilibration")
    assert parsed.outputs["trajectory"].steps().tolist() == [15, 20, 25, 30]
    thermo = parsed.outputs["thermodynamics"]
    assert thermo.get_array("step").tolist() == [0, 5, 10, 12, 15, 20, 25, 30, 32]
    produced = thermo.get_array("temperature")[3:]
    assert parsed.outputs["results"]["mean_temperature"] == pytest.approx(produced.mean())


@pytest.mark.parametrize(
    ("case", "status", "sentence", "frames"),
    [
        ("failed_walltime", 400, "The walltime ended the run; the frames so far are kept. Ask for more time", None),
        ("failed_temperature", 410, "The temperature ran away: the potential failed here", 1),
        ("failed_temperature_early", 410, "The temperature ran away: the potential failed here", 0),
        ("failed_lost_atoms", 411, "Atoms were lost: the potential failed here", 1),
        ("failed_not_a_number", 412, "Energies became not-a-number: the potential failed here", 1),
        ("failed_error", 420, 'LAMMPS stopped with an error: "Potential file is missing an entry for: C C Si', 0),
    ],
)
def test_failure(parse_folder: Callable[..., Any], case: str, status: int, sentence: str, frames: int | None) -> None:
    parsed = parse_folder(FIXTURES / case)
    assert parsed.status == status
    assert parsed.message.startswith(sentence)
    kept = parsed.outputs["results"]["n_frames"]
    assert kept == frames or (frames is None and kept > 0)
    assert ("trajectory" in parsed.outputs) == (kept > 0)
    if kept:
        assert parsed.outputs["trajectory"].n_frames == kept


def test_halt_is_in_the_results(parse_folder: Callable[..., Any]) -> None:
    results = parse_folder(FIXTURES / "failed_temperature").outputs["results"]
    assert results["halted_step"] == 4


def test_run_without_a_log(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default", {"log.lammps": None})
    assert (parsed.status, parsed.outputs) == (301, {})
    assert "LAMMPS left no log" in parsed.message


@pytest.mark.parametrize("content", [None, b""])
def test_run_without_frames(parse_folder: Callable[..., Any], content: bytes | None) -> None:
    parsed = parse_folder(FIXTURES / "default", {"trajectory.dcd": content})
    assert parsed.status == 302
    assert "before a single frame was kept" in parsed.message
    assert set(parsed.outputs) == {"thermodynamics", "results"}


def test_killed_run_keeps_complete_frames(parse_folder: Callable[..., Any]) -> None:
    log = (FIXTURES / "default" / "retrieved" / "log.lammps").read_bytes()
    trajectory = (FIXTURES / "default" / "temporary" / "trajectory.dcd").read_bytes()
    files = {
        "log.lammps": log[: log.index(b"  - [15,") + 20],
        "trajectory.dcd": trajectory[:-300],
        "exploration.err": b"first line\nslurmstepd: error: {killed}\n\n",
    }
    parsed = parse_folder(FIXTURES / "default", files)
    assert parsed.status == 420
    assert "slurmstepd: error: (killed}" in parsed.message
    assert parsed.outputs["trajectory"].n_frames == 3
    assert parsed.outputs["results"]["last_step"] == 10


def test_damaged_trajectory_is_no_trajectory(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default", {"trajectory.dcd": b"something else than DCD" * 10})
    assert parsed.status == 302
    assert "trajectory" not in parsed.outputs
