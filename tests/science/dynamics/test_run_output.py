"""What runs left in their folders, without AiiDA: how they ended, and what of them counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_sicmlip.science.dynamics.run_output import Ending, RunOutput, RunSetup, read_run
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from tests.crystals import silicon_carbide_host

RUNS = Path(__file__).parents[2] / "parsers" / "fixtures" / "exploration"
"""Real runs; `case.json` says what they were asked for."""


def setup_of(name: str, structure: Atoms) -> RunSetup:
    case = json.loads((RUNS / name / "case.json").read_text())
    host = silicon_carbide_host(**case["host"]) if "host" in case else None
    settings = ExplorationSettings.from_mapping(case["parameters"])
    first = 100 if "continues" in case else 0
    return RunSetup(settings, structure, first_step=first, biased="bias" in case, host=host)


def read(name: str, structure: Atoms, cut: str | None = None, **changes: Any) -> RunOutput:
    """Read a run, its log up to some text where it is killed there."""
    retrieved = RUNS / name / "retrieved"
    log = (retrieved / "log.lammps").read_text()
    messages = "\n".join(path.read_text() for path in sorted(retrieved.iterdir()) if path.suffix in (".err", ".log"))
    log = log if cut is None else log[: log.index(cut)]
    return read_run(RUNS / name / "temporary", setup_of(name, structure), log, messages, **changes)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("default", Ending.COMPLETE),
        ("failed_walltime", Ending.OUT_OF_WALLTIME),
        ("failed_temperature", Ending.STOPPED_AT_ONCE),
        ("failed_distance_early", Ending.STOPPED_AT_ONCE),
        ("stopped_by_temperature", Ending.STOPPED),
        ("stopped_by_distance", Ending.STOPPED),
        ("failed_lost_atoms", Ending.LOST_ATOMS),
        ("failed_not_a_number", Ending.NOT_A_NUMBER),
        ("failed_species", Ending.SPECIES_MISMATCH),
        ("failed_bias", Ending.BIAS_FAILED),
        ("failed_error", Ending.LAMMPS_FAILED),
    ],
)
def test_endings(divacancy: Atoms, name: str, ending: Ending) -> None:
    run = read(name, divacancy)
    assert run.ending is ending
    assert bool(run.reason) == bool(run.summary["errors"] or run.summary["stopped"])


@pytest.mark.parametrize(("time_was_up", "ending"), [(True, Ending.OUT_OF_WALLTIME), (False, Ending.INTERRUPTED)])
def test_killed_runs(divacancy: Atoms, time_was_up: bool, ending: Ending) -> None:
    """What lies beyond the last saved state does not count; a complete run keeps all."""
    killed = read("default", divacancy, cut="Loop time", time_was_up=time_was_up)
    assert killed.ending is ending and ending.can_go_on
    assert killed.state is not None
    assert killed.thermodynamics["step"].max() <= killed.state.step
    assert killed.summary["n_frames"] + killed.summary["n_frames_discarded"] == 5


def test_rows_frames_and_variables_are_of_the_same_steps(divacancy: Atoms) -> None:
    run = read("biased", divacancy)
    steps = run.thermodynamics["step"][run.thermodynamics["production"]]
    assert steps.tolist() == list(range(0, 101, 5))
    assert run.n_frames == len(steps)
    assert run.variables["time"] == pytest.approx(steps * 0.001)
    assert run.variables_problem is None
    second = read("continued", divacancy)
    assert second.first_frame_step == second.thermodynamics["step"][0] == 105


def test_without_host_there_are_no_hops(divacancy: Atoms) -> None:
    retrieved = RUNS / "biased" / "retrieved"
    setup = replace(setup_of("biased", divacancy), host=None)
    run = read_run(RUNS / "biased" / "temporary", setup, (retrieved / "log.lammps").read_text())
    assert run.hops == {} and "hops" not in run.summary
    assert set(read("biased", divacancy).hops) == {
        *("frame", "step", "time", "atom", "from_site", "to_site", "first_sites", "last_sites")
    }


def test_an_empty_folder(divacancy: Atoms, tmp_path: Path) -> None:
    setup = setup_of("biased", divacancy)
    run = read_run(tmp_path, setup, "")
    assert (run.ending, run.n_frames, run.state) == (Ending.INTERRUPTED, 0, None)
    assert run.thermodynamics == {} and np.size(list(run.variables)) == 0
    assert run.variables_problem == "there is no file COLVAR"
