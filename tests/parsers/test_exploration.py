"""The parser of molecular dynamics, on real runs that ended in every way there is."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.dynamics.dcd import DcdHeader, read_dcd_header
from aiida_sicmlip.science.dynamics.lammps_input import rotation_to_lammps
from tests.crystals import silicon_carbide_host

FIXTURES = Path(__file__).parent / "fixtures" / "exploration"


def test_complete_run(parse_folder: Callable[..., Any], divacancy: Atoms) -> None:
    parsed = parse_folder(FIXTURES / "default")
    assert parsed.status == 0
    assert set(parsed.outputs) == {"trajectory", "thermodynamics", "continuation", "results"}
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
    assert (results["errors"], results["stopped"]) == ([], None)


@pytest.mark.parametrize("case", ["default", "with_equilibration"])
def test_steps_are_those_of_the_file(parse_folder: Callable[..., Any], case: str) -> None:
    trajectory = parse_folder(FIXTURES / case).outputs["trajectory"]
    header = read_dcd_header(FIXTURES / case / "temporary" / "trajectory.dcd")
    assert trajectory.steps().tolist() == header.steps.tolist()


def test_equilibration_counts_neither_as_frames_nor_in_means(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "with_equilibration")
    assert parsed.outputs["trajectory"].steps().tolist() == [0, 5, 10, 15, 20]
    thermo = parsed.outputs["thermodynamics"]
    assert thermo.get_array("step").tolist() == [0, 5, 10, 15, 0, 5, 10, 15, 20]
    assert thermo.get_array("production").tolist() == [False] * 4 + [True] * 5
    produced = thermo.get_array("temperature")[4:]
    assert parsed.outputs["results"]["mean_temperature"] == pytest.approx(produced.mean())


@pytest.mark.parametrize(
    ("case", "status", "expected", "frames"),
    [
        ("failed_walltime", 400, "The walltime ended the run; what there is so far is kept", None),
        ("failed_temperature", 410, "The run was stopped before any of its frames counts: temperature ", 0),
        ("failed_distance_early", 410, " ps of the equilibration.", 0),
        ("failed_lost_atoms", 411, "Atoms were lost: the potential failed here", 1),
        ("failed_not_a_number", 412, "Energies became not-a-number: the potential failed here", 1),
        ("failed_species", 414, 'disagree on the species: "Potential file is missing an entry for: C C Si', 0),
        ("failed_bias", 413, 'The bias stopped with an error: "fix plumed: ', 0),
        ("failed_error", 420, 'LAMMPS stopped with an error: "', 0),
    ],
)
def test_failure(parse_folder: Callable[..., Any], case: str, status: int, expected: str, frames: int | None) -> None:
    parsed = parse_folder(FIXTURES / case)
    assert parsed.status == status
    assert expected in parsed.message
    kept = parsed.outputs["results"]["n_frames"]
    assert kept == frames or (frames is None and kept > 0)
    assert ("trajectory" in parsed.outputs) == (kept > 0)
    if kept:
        assert parsed.outputs["trajectory"].n_frames == kept


@pytest.mark.parametrize(
    ("case", "cause", "unit"), [("temperature", "temperature", "K"), ("distance", "distance", "A")]
)
def test_run_that_the_brake_stops_is_complete_and_says_why(
    parse_folder: Callable[..., Any], divacancy: Atoms, case: str, cause: str, unit: str
) -> None:
    """Its frames count up to some time before the stop."""
    parsed = parse_folder(FIXTURES / f"stopped_by_{case}")
    assert parsed.status == 0, parsed.message
    results = parsed.outputs["results"].get_dict()
    stopped = results["stopped"]
    assert (stopped["cause"], stopped["unit"], stopped["in_production"]) == (case, unit, True)
    step = round(stopped["time"] / 0.001)
    discarded = 2 if case == "temperature" else 1
    assert parsed.outputs["trajectory"].steps().tolist() == list(range(step - discarded + 1))
    assert results["n_frames_discarded"] > 0
    if case == "temperature":
        bound = 300.0 * (1.0 + 32.0 * (2.0 / (3.0 * len(divacancy))) ** 0.5)
        assert stopped["value"] > stopped["threshold"] == pytest.approx(bound)
        assert stopped["message"].startswith("temperature ")
    else:
        assert stopped["pair"] == ["C", "Si"] and stopped["threshold"] == pytest.approx(1.4025)
        assert f"C-Si distance below 1.40 A, after {stopped['time']:.4g} ps of the production" == stopped["message"]


def test_stop_at_once_is_in_the_results(parse_folder: Callable[..., Any]) -> None:
    for case, in_production in (("failed_temperature", True), ("failed_distance_early", False)):
        stopped = parse_folder(FIXTURES / case).outputs["results"]["stopped"]
        cause = case.split("_")[1]
        assert (stopped["cause"], stopped["in_production"], stopped["at_once"]) == (cause, in_production, True)


def test_run_without_a_log(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default", {"log.lammps": None})
    assert (parsed.status, parsed.outputs) == (301, {})
    assert "LAMMPS left no log" in parsed.message


@pytest.mark.parametrize("content", [None, b""])
def test_run_without_frames(parse_folder: Callable[..., Any], content: bytes | None) -> None:
    parsed = parse_folder(FIXTURES / "default", {"trajectory.dcd": content})
    assert parsed.status == 302
    assert "before a single frame was kept" in parsed.message
    assert set(parsed.outputs) == {"thermodynamics", "continuation", "results"}


def test_run_that_is_cut_off_ends_where_it_can_go_on(parse_folder: Callable[..., Any]) -> None:
    """Frames and rows beyond the last saved state are run again by the next segment."""
    log = (FIXTURES / "default" / "retrieved" / "log.lammps").read_bytes()
    trajectory = (FIXTURES / "default" / "temporary" / "trajectory.dcd").read_bytes()
    files = {
        "log.lammps": log[: log.index(b"  - [15,") + 20],
        "trajectory.dcd": trajectory[:-100],
        "exploration.err": b"first line\nslurmstepd: error: {killed}\n\n",
        "exploration.restart.15": None,
        "exploration.restart.20": b"LammpS RestartT\0, cut",
    }
    parsed = parse_folder(FIXTURES / "default", files)
    assert parsed.status == 401
    assert parsed.outputs["continuation"].step == 10
    assert parsed.outputs["trajectory"].steps().tolist() == [0, 5, 10]
    assert parsed.outputs["results"]["n_frames_discarded"] == 1
    assert parsed.outputs["results"]["last_step"] == 10


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("slurmstepd: error: *** JOB 7 ON node ca CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***", 400),
        ("slurmstepd: error: *** JOB 7 ON node ca CANCELLED AT 2026-01-01T00:00:00 ***", 401),
    ],
)
def test_scheduler_says_why_it_ended_a_run(parse_folder: Callable[..., Any], words: str, status: int) -> None:
    log = (FIXTURES / "default" / "retrieved" / "log.lammps").read_bytes()
    files = {"log.lammps": log[: log.index(b"  - [15,") + 20], "_scheduler-stderr.txt": b"a line\n" + words.encode()}
    parsed = parse_folder(FIXTURES / "default", files)
    assert parsed.status == status and "continuation" in parsed.outputs


def test_biased_run(parse_folder: Callable[..., Any]) -> None:
    """Frames, rows of the variables and of the log stand at the same steps."""
    parsed = parse_folder(FIXTURES / "biased")
    assert parsed.status == 0
    colvar, thermo = parsed.outputs["colvar"], parsed.outputs["thermodynamics"]
    steps = parsed.outputs["trajectory"].steps()
    assert steps.tolist() == list(range(0, 101, 5))
    assert colvar.get_array("time") == pytest.approx(steps * 0.001)
    assert thermo.get_array("step")[thermo.get_array("production")].tolist() == steps.tolist()
    assert colvar.get_array("variables").shape == (21, 2)
    assert colvar.get_array("nker")[-1] > 1
    assert colvar.get_array("bias") == pytest.approx(colvar.get_array("opes_bias"))
    results = parsed.outputs["results"].get_dict()
    assert results["bias"]["largest"] == pytest.approx(colvar.get_array("bias").max())
    assert results["hops"] == {"n_hops": 0, "interval_ps": 0.005}
    assert len(parsed.outputs["hops"].get_array("time")) == 0
    assert parsed.outputs["continuation"].step == 100 and parsed.outputs["continuation"].biased


def test_variables_are_those_of_the_frames(parse_folder: Callable[..., Any], variables: Any) -> None:
    """What PLUMED printed is what the model gives for the stored frames, in single precision of their positions."""
    parsed = parse_folder(FIXTURES / "biased")
    frames = parsed.outputs["trajectory"].frames()
    positions = np.stack([frame.positions for frame in frames])
    expected = variables.model().evaluate(positions, frames[0].cell.array, frames[0].pbc)
    assert parsed.outputs["colvar"].get_array("variables") == pytest.approx(expected, abs=1e-4)


def test_segments_of_a_run_follow_each_other(parse_folder: Callable[..., Any]) -> None:
    """The second segment begins one frame after the first one ended, and the bias goes on from where it was."""
    first, second = parse_folder(FIXTURES / "biased"), parse_folder(FIXTURES / "continued")
    assert second.status == 0
    steps = [part.outputs["trajectory"].steps().tolist() for part in (first, second)]
    assert steps[1] == list(range(105, 151, 5))
    assert second.outputs["trajectory"].continues and not first.outputs["trajectory"].continues
    assert second.outputs["colvar"].get_array("time") == pytest.approx(np.array(steps[1]) * 0.001)
    assert second.outputs["thermodynamics"].get_array("step").tolist() == steps[1]
    kernels = [part.outputs["colvar"].get_array("neff") for part in (first, second)]
    assert kernels[1][0] >= kernels[0][-1]


def test_colvar_is_missed(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "biased", {"COLVAR": None})
    assert parsed.status == 303 and "there is no file COLVAR" in parsed.message
    assert parsed.outputs["trajectory"].n_frames == 21


def test_killed_run_that_has_blown_up_is_not_continued(parse_folder: Callable[..., Any]) -> None:
    """The monitor's kill leaves a log without an end; its rows say why."""
    log = (FIXTURES / "default" / "retrieved" / "log.lammps").read_bytes()
    lines = log[: log.index(b"Loop time")].splitlines(keepends=True)
    hot = [line if not line.startswith(b"  - [") else line.replace(b", ", b", 99999, ", 1) for line in lines]
    columns = b"".join(hot).replace(b"'Step', ", b"'Step', 'Temp', ").replace(b"'Temp', 'Temp'", b"'Temp', 'Warm'")
    parsed = parse_folder(FIXTURES / "default", {"log.lammps": columns})
    assert parsed.status == 415 and "above 3182.18 K" in parsed.message
    assert parsed.outputs["trajectory"].n_frames == 5


def test_damaged_trajectory_is_no_trajectory(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default", {"trajectory.dcd": b"something else than DCD" * 10})
    assert parsed.status == 302
    assert "trajectory" not in parsed.outputs


def put(content: bytearray, header: DcdHeader, frame: int, atom: int, position: np.ndarray) -> None:
    """Put an atom of one frame of a DCD somewhere else (A)."""
    record = 8 + 4 * header.n_atoms
    begin = header.offset + (frame + 1) * header.frame_bytes - 3 * record + 4
    for axis, value in enumerate(position):
        struct.pack_into("<f", content, begin + axis * record + 4 * atom, value)


def test_every_hop_of_every_frame_is_kept(parse_folder: Callable[..., Any], divacancy_host: Atoms) -> None:
    """A silicon atom is put into the vacancy and back from frame to frame; other rows of its path stay as they are."""
    before = parse_folder(FIXTURES / "biased")
    frames = before.outputs["trajectory"].frames()
    sites = find_defect_sites(frames[0], divacancy_host)
    vacant = next(site for site in sites.sites if site["species"] == "Si")
    atom = frames[0].get_chemical_symbols().index("Si")
    own = int(sites.site_of_atom[atom])
    path = FIXTURES / "biased" / "temporary" / "trajectory.dcd"
    content, header = bytearray(path.read_bytes()), read_dcd_header(path)
    _, rotation = rotation_to_lammps(divacancy_host.cell.array)
    for number, frame in enumerate(frames[3:], start=3):
        target = divacancy_host.positions[vacant["site"] if number % 2 else own] + sites.drift
        way = find_mic(target - frame.positions[atom], divacancy_host.cell)[0]
        put(content, header, number, atom, (frame.positions[atom] + way) @ rotation)

    parsed = parse_folder(FIXTURES / "biased", {"trajectory.dcd": bytes(content)})
    hops = parsed.outputs["hops"]
    assert hops.get_array("frame").tolist() == list(range(3, 21))
    assert hops.get_array("step").tolist() == list(range(15, 101, 5))
    assert hops.get_array("time") == pytest.approx(np.arange(15, 101, 5) * 0.001)
    assert set(hops.get_array("atom").tolist()) == {atom}
    assert hops.get_array("from_site").tolist() == [own, vacant["site"]] * 9
    assert hops.get_array("to_site").tolist() == [vacant["site"], own] * 9
    assert hops.get_array("first_sites").tolist() == sites.site_of_atom.tolist()
    assert hops.get_array("last_sites").tolist() == sites.site_of_atom.tolist()
    assert parsed.outputs["results"]["hops"] == {"n_hops": 18, "interval_ps": 0.005}


def test_host_that_does_not_fit(parse_folder: Callable[..., Any]) -> None:
    """Its hops are missing, with a reason, and all else is there."""
    host = orm.StructureData(ase=silicon_carbide_host(repeats=(1, 1, 1)))
    parsed = parse_folder(FIXTURES / "biased", inputs={"host": host})
    assert parsed.status == 0
    assert "hops" not in parsed.outputs
    assert "differ by a strain" in parsed.outputs["results"]["hops"]["error"]
