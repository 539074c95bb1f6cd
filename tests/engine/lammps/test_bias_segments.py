"""A biased run of the workflow's own input that is stopped and continued, against the same run in one go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.lammps.plugin_build import lammps_folder
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.colvar import SavedState, newest_state, read_colvar
from aiida_sicmlip.science.dynamics.dcd import read_dcd, read_dcd_header
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input
from aiida_sicmlip.science.dynamics.lammps_log import find_errors
from aiida_sicmlip.science.dynamics.plumed_input import plumed_input
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from tests.fixtures.plumed.models import write_pines_model

pytestmark = pytest.mark.program

REFERENCE = Path(__file__).parents[2] / "fixtures" / "plumed"
EXPLORATION = ExplorationSettings(equilibration=0.1, production=0.4, frame_interval=0.01, restart_interval=0.1)


def run_segment(
    folder: Path, lammps_in, pace: float, state: SavedState | None = None, stop_at: int | None = None
) -> None:
    """Run a segment in a folder, from the start or a saved state, to the end or until ``stop_at``."""
    folder.mkdir()
    shutil.copy(lammps_folder() / "share" / "lammps" / "potentials" / "SiC.edip", folder)
    shutil.copy(REFERENCE / "md-pines-62" / "cell.data", folder / filenames.STRUCTURE_FILE)
    case = json.loads((REFERENCE / "pines-explore-3cv" / "case.json").read_text())
    write_pines_model(REFERENCE / "pines-explore-3cv" / "encoder.npz", case, folder / filenames.CV_MODEL_FILE)
    if state is not None:
        shutil.copy(state.restart_file, folder / filenames.PREVIOUS_RESTART_FILE)
        shutil.copy(state.state_file, folder / filenames.PREVIOUS_STATE_FILE)
    plumed = plumed_input(
        pairs=[[first - 1, second - 1] for first, second in case["pairs"]],
        n_variables=3,
        bias=BiasSettings(pace=pace, sigma=[0.05] * 3),
        exploration=EXPLORATION,
        previous_state=None if state is None else filenames.PREVIOUS_STATE_FILE,
    )
    (folder / filenames.PLUMED_INPUT_FILE).write_text(plumed)
    lines = exploration_input(
        species=["Si", "C"],
        potential_commands=["pair_style edip/multi", "pair_coeff * * SiC.edip Si C"],
        temperature=EXPLORATION.temperature,
        timestep_ps=EXPLORATION.timestep,
        damping_ps=EXPLORATION.damping,
        equilibration_steps=100,
        production_steps=400,
        dump_every=10,
        seed=3,
        held_atoms=[1, 2, 3],
        plumed_file=filenames.PLUMED_INPUT_FILE,
        restart_every=EXPLORATION.restart_steps(),
        continue_from=None if state is None else filenames.PREVIOUS_RESTART_FILE,
        continue_step=0 if state is None else state.step,
    ).splitlines()
    if stop_at is not None:
        stop = ["variable now equal step", f"fix stop all halt 1 v_now >= {stop_at} error soft message no"]
        lines = [*lines[:-1], *stop, lines[-1]]
    result = lammps_in(folder)("\n".join(lines) + "\n", "-log", filenames.LAMMPS_LOG_FILE)
    log = (folder / filenames.LAMMPS_LOG_FILE).read_text()
    assert find_errors(log, result.stderr).finished, result.stderr


@pytest.fixture(scope="module", params=[0.03, 0.02], ids=["state between kernels", "state at a kernel"])
def segments(request, lammps_in, tmp_path_factory) -> tuple[float, dict[str, Path]]:
    """The time between kernels, and the folders of the whole run and of its two segments."""
    root = tmp_path_factory.mktemp("segments")
    folders = {name: root / name for name in ("whole", "first", "second")}
    run_segment(folders["whole"], lammps_in, request.param)
    run_segment(folders["first"], lammps_in, request.param, stop_at=253)
    state = newest_state(folders["first"], timestep=EXPLORATION.timestep, biased=True)
    assert state.step == 200
    run_segment(folders["second"], lammps_in, request.param, state=state)
    return request.param, folders


def test_frames_and_variables(segments):
    """Equal in all digits, but where a kernel fell on the step of the state: it acts half a step earlier then."""
    pace, folders = segments
    headers = {name: read_dcd_header(folder / filenames.TRAJECTORY_FILE) for name, folder in folders.items()}
    assert headers["whole"].steps.tolist() == list(range(0, 401, 10))
    assert headers["second"].steps.tolist() == list(range(210, 401, 10))
    positions = {name: read_dcd(folder / filenames.TRAJECTORY_FILE)[0] for name, folder in folders.items()}
    colvars = {name: read_colvar(folder / filenames.COLVAR_FILE) for name, folder in folders.items()}
    assert np.ptp(colvars["whole"].bias) > 0.5
    assert np.array_equal(positions["first"], positions["whole"][: len(positions["first"])])
    assert np.array_equal(colvars["second"].time, colvars["whole"].time[20:])
    difference = np.abs(positions["second"] - positions["whole"][21:]).max(axis=(1, 2))
    if pace == 0.03:
        assert difference.max() < 1e-5
        assert np.abs(colvars["second"].variables - colvars["whole"].variables[20:]).max() < 1e-4
        assert np.abs(colvars["second"].bias - colvars["whole"].bias[20:]).max() < 1e-3
    else:
        assert 1e-4 < difference[0] < 0.1
        assert np.abs(colvars["second"].variables[0] - colvars["whole"].variables[20]).max() < 1e-6
        assert colvars["second"].quantities["nker"][0] == colvars["whole"].quantities["nker"][20]
