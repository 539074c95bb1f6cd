"""plumed.dat as the workflow writes it, run by the built-in evaluator, against what PLUMED itself computed."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias import Bias
from aiida_sicmlip.science.bias.directives import parse_directives
from aiida_sicmlip.science.bias.tables import read_table
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.colvar import newest_state, read_colvar
from aiida_sicmlip.science.dynamics.plumed_input import plumed_input
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from tests.fixtures.plumed.models import write_pines_model

REFERENCE = Path(__file__).parents[2] / "fixtures" / "plumed"
CELL = np.diag([8.72] * 3)
#: The reference has a frame, and a step, each 0.1 ps.
RUN = ExplorationSettings(
    timestep=0.1, equilibration=0.0, production=60.0, frame_interval=0.1, restart_interval=10.0, temperature=1500.0
)


class Identity(torch.nn.Module):
    """The distances themselves as collective variables."""

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        return distances * 1.0


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Positions (600, 62, 3) of the reference's trajectory."""
    with gzip.open(REFERENCE / "traj-vv62.xyz.gz", "rt") as file:
        words = [line.split() for line in file]
    rows = [[float(word) for word in line[1:]] for line in words if len(line) == 4]
    return np.array(rows).reshape(-1, 62, 3)


def run_bias(text: str, folder: Path, frames: np.ndarray, first: int = 0) -> list[dict[str, float]]:
    """Evaluate a plumed.dat over frames, and return all values of each."""
    bias = Bias(text, kt_ev=None, timestep_ps=RUN.timestep, n_atoms=62, folder=folder)
    values = [bias.calculate(first + step, frame, CELL).values for step, frame in enumerate(frames)]
    bias.close()
    return values


@pytest.fixture
def pines(tmp_path) -> list[list[int]]:
    """Write the reference's model into the test's folder and return its pairs, from 0."""
    case = json.loads((REFERENCE / "pines-explore-3cv" / "case.json").read_text())
    model = tmp_path / filenames.CV_MODEL_FILE
    write_pines_model(REFERENCE / "pines-explore-3cv" / "encoder.npz", case, model)
    return [[first - 1, second - 1] for first, second in case["pairs"]]


def test_bias_is_that_of_plumed(pines, tmp_path, frames):
    text = plumed_input(pairs=pines, n_variables=3, bias=BiasSettings(barrier=3.0, pace=0.5), exploration=RUN)
    run_bias(text, tmp_path, frames)
    own = read_colvar(tmp_path / filenames.COLVAR_FILE)
    reference = read_colvar(REFERENCE / "pines-explore-3cv" / "COLVAR")
    assert np.array_equal(own.time, reference.time)
    assert np.abs(own.variables - reference.variables).max() < 1e-5
    assert np.abs(own.bias - reference.bias).max() < 1e-3
    assert own.quantities["nker"].tolist() == reference.quantities["nker"].tolist()
    assert np.ptp(own.bias) > 1


def test_walls_are_those_of_plumed(tmp_path, frames):
    torch.jit.script(Identity()).save(str(tmp_path / filenames.CV_MODEL_FILE))
    bias = BiasSettings(
        sigma=[0.05, 0.05],
        upper_walls=[{"variable": 0, "at": 1.9, "kappa": 20.0}],
        lower_walls=[{"variable": 1, "at": 3.0, "kappa": 15.0}],
        restraints=[{"variable": 0, "at": 1.88, "kappa": 2.0}, {"variable": 1, "at": 3.1, "kappa": 3.0}],
    )
    text = plumed_input(pairs=[(0, 1), (2, 8)], n_variables=2, bias=bias, exploration=RUN)
    run_bias(text, tmp_path, frames)
    own = read_colvar(tmp_path / filenames.COLVAR_FILE)
    expected = read_table(REFERENCE / "walls-restraint" / "COLVAR").columns
    assert np.abs(own.quantities["upper_walls_0.bias"] - expected["uw.bias"]).max() < 1e-5
    assert np.abs(own.quantities["lower_walls_0.bias"] - expected["lw.bias"]).max() < 1e-5
    restraints = own.quantities["restraint_0.bias"] + own.quantities["restraint_1.bias"]
    assert np.abs(restraints - expected["re.bias"]).max() < 1e-5
    assert expected["uw.bias"].max() > 0.1
    static = own.quantities["upper_walls_0.bias"] + own.quantities["lower_walls_0.bias"] + restraints
    assert own.bias == pytest.approx(own.quantities["bias"] + static)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sigma": [0.03, 0.04, 0.05], "sigma_min": [0.01, 0.01, 0.01], "biasfactor": 12.0},
        {
            "adaptive_sigma_interval": 3.0,
            "compression_threshold": 0.5,
            "colvar_interval": 0.5,
            "sigma_min": [1e-3] * 3,
            "upper_walls": [{"variable": 2, "at": 0.05, "kappa": 5, "exponent": 4, "eps": 0.1}],
            "restraints": [{"variable": 1, "at": 0.0, "slope": 0.3}],
        },
    ],
)
def test_two_segments_equal_the_whole(pines, tmp_path, frames, settings):
    """A run over 301 frames, and one that was killed in frame 250 and goes on from the state of frame 200."""
    bias = BiasSettings.from_mapping(settings)
    given = {"pairs": pines, "n_variables": 3, "bias": bias, "exploration": RUN}
    folders = {name: tmp_path / name for name in ("whole", "first", "second")}
    for folder in folders.values():
        folder.mkdir()
        shutil.copy(tmp_path / filenames.CV_MODEL_FILE, folder)
    whole = run_bias(plumed_input(**given), folders["whole"], frames[:301])
    run_bias(plumed_input(**given), folders["first"], frames[:251])
    for step in (100, 200):
        write_restart(folders["first"], step)
    state = newest_state(folders["first"], timestep=RUN.timestep, biased=True)
    assert state.step == 200
    shutil.copy(state.state_file, folders["second"] / filenames.PREVIOUS_STATE_FILE)
    text = plumed_input(**given, previous_state=filenames.PREVIOUS_STATE_FILE)
    second = run_bias(text, folders["second"], frames[200:301], first=200)
    for one, other in zip(second[1:], whole[201:], strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-11)
    assert whole[-1]["opes.nker"] > 1
    assert read_colvar(folders["second"] / filenames.COLVAR_FILE).time[0] == pytest.approx(20.0)


def write_restart(folder: Path, step: int, end: bytes = b"LammpS RestartT\0") -> Path:
    """Write what looks like a restart file of LAMMPS."""
    path = folder / f"{filenames.RESTART_FILE}.{step}"
    path.write_bytes(b"LammpS RestartT\0" + bytes(100) + end)
    return path


def actions(bias: BiasSettings, **changes) -> dict[str, dict[str, str]]:
    """Keywords of the actions after the distances, by label."""
    text = plumed_input(pairs=[(4, 0), (4, 7)], n_variables=2, bias=bias, exploration=RUN, **changes)
    return {entry.label or entry.action: entry.keywords for entry in parse_directives(text)}


def test_only_what_is_set_is_written():
    found = actions(BiasSettings())
    assert found["d0"]["ATOMS"] == "5,1"
    assert found["cv"] == {"FILE": "model.ptc", "ARG": "d0,d1"}
    assert found["opes"] == {
        "ARG": "cv.node-0,cv.node-1",
        "TEMP": "1500.0",
        "PACE": "5",
        "BARRIER": "3.0",
        "FILE": "KERNELS",
        "STATE_WFILE": "STATE",
        "STATE_WSTRIDE": "100",
    }
    assert found["PRINT"]["ARG"] == "cv.node-0,cv.node-1,opes.*"
    assert found["PRINT"]["STRIDE"] == "1"


def test_all_digits_of_a_setting_are_written():
    third = 1 / 3
    found = actions(
        BiasSettings(barrier=3 + third, sigma=[third, 2 * third], lower_walls=[{"variable": 1, "at": -third}])
    )
    assert float(found["opes"]["BARRIER"]) == 3 + third
    assert [float(word) for word in found["opes"]["SIGMA"].split(",")] == [third, 2 * third]
    assert float(found["lower_walls_0"]["AT"]) == -third


def test_continuation_is_of_the_bias_alone():
    """The table of the variables starts again in the folder of a later segment."""
    found = actions(BiasSettings(), previous_state="previous.STATE")
    assert found["opes"]["STATE_RFILE"] == "previous.STATE"
    assert found["opes"]["RESTART"] == "YES"
    assert "RESTART" not in found["PRINT"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": []}, "0 pairs"),
        ({"n_variables": 0}, "0 variables"),
        ({"pairs": [(1, 2), (3, 3)]}, "Pair 1 is 3, 3"),
        ({"pairs": [(-1, 2)]}, "Pair 0"),
        ({"bias": BiasSettings(barrier=0.1)}, "not above kT"),
    ],
)
def test_errors(change, message):
    given = {"pairs": [(0, 1)], "n_variables": 1, "bias": BiasSettings(), "exploration": RUN}
    with pytest.raises(InputError, match=message):
        plumed_input(**{**given, **change})
