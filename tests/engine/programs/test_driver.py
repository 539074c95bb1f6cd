"""`sicmlip driver` against what PLUMED wrote for the same input and trajectory (tests/fixtures/plumed)."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.engine.bias_driver import read_frames
from aiida_sicmlip.engine.programs.main import main
from aiida_sicmlip.science.bias import Bias
from aiida_sicmlip.science.bias.tables import Table, read_table
from tests.fixtures.plumed.models import write_pines_model

REFERENCE = Path(__file__).parents[2] / "fixtures" / "plumed"
TRAJECTORY = REFERENCE / "traj-vv62.xyz.gz"
N_FRAMES, N_ATOMS = 600, 62
KT_KJ_MOL = 0.0083144621 * 1500


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def _read_forces(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return forces (F, N, 3) and the lines above them (F, 3) of a file of forces."""
    lines = _read_text(path).splitlines()
    frames = [lines[start : start + N_ATOMS + 2] for start in range(0, len(lines), N_ATOMS + 2)]
    forces = np.array([[line.split()[1:] for line in frame[2:]] for frame in frames], dtype=float)
    return forces, np.array([frame[1].split() for frame in frames], dtype=float)


class Outcome:
    """Files of a case as this package and as PLUMED wrote them."""

    def __init__(self, folder: Path, case: str):
        self.tables: dict[str, tuple[Table, Table]] = {
            name: (read_table(folder / name), read_table(REFERENCE / case / name))
            for name in ("COLVAR", "KERNELS", "STATE")
        }
        self.forces, self.virials = _read_forces(folder / "forces.xyz")
        self.reference_forces, self.reference_virials = _read_forces(REFERENCE / case / "forces.xyz.gz")

    def largest(self, name: str, *columns: str) -> float:
        """Return the largest difference in some columns of a table (all where none is named)."""
        own, reference = self.tables[name]
        assert list(own.columns) == list(reference.columns)
        return max(np.abs(own.columns[c] - reference.columns[c]).max() for c in columns or own.columns)

    def largest_relative(self, name: str, column: str) -> float:
        """Return the largest relative difference in a column."""
        own, reference = (table.columns[column] for table in self.tables[name])
        return (np.abs(own - reference) / np.abs(reference)).max()

    def constants(self, name: str) -> tuple[dict[str, float], dict[str, float]]:
        """Return the numbers after `#! SET` of a table, own and reference; the texts must be equal."""
        own, reference = (dict(table.constants) for table in self.tables[name])
        assert own.pop("action") == reference.pop("action")
        return {k: float(v) for k, v in own.items()}, {k: float(v) for k, v in reference.items()}

    def force_error(self) -> float:
        """Return the largest difference of a force component, relative to the largest force of its frame."""
        scale = np.abs(self.reference_forces).max(axis=(1, 2))
        pushed = scale > 1e-3  # kJ/mol/A; before the first kernel all forces are zero
        assert pushed.sum() > 0.8 * N_FRAMES
        assert not self.forces[~pushed].any() or np.abs(self.forces[~pushed]).max() < 1e-3
        return (np.abs(self.forces - self.reference_forces).max(axis=(1, 2))[pushed] / scale[pushed]).max()


@pytest.fixture
def run_case(tmp_path, monkeypatch):
    """Return a function that runs the driver on a case."""

    def run(case: str) -> Outcome:
        monkeypatch.chdir(tmp_path)
        shutil.copy(REFERENCE / case / "plumed.dat", tmp_path)
        options = f"--plumed plumed.dat --timestep 0.1 --kt {KT_KJ_MOL} --length-units A"
        files = ["--ixyz", str(TRAJECTORY), "--dump-forces", "forces.xyz", "--dump-forces-fmt", "%.8f"]
        assert main(["driver", *options.split(), *files]) == 0
        return Outcome(tmp_path, case)

    return run


@pytest.mark.parametrize("case", ["distance-metad", "walls-restraint"])
def test_distance_cases(run_case, case):
    """Double precision: every column and frame, the files byte by byte where rounding allows it."""
    outcome = run_case(case)
    assert len(outcome.tables["COLVAR"][0].columns["time"]) == N_FRAMES
    assert outcome.largest("COLVAR") < 1e-6
    assert Path("COLVAR").read_bytes() == (REFERENCE / case / "COLVAR").read_bytes()
    assert outcome.force_error() < 1e-5
    assert np.abs(outcome.virials - outcome.reference_virials).max() < 1e-6
    for name in ("KERNELS", "STATE"):
        for column in outcome.tables[name][0].columns:
            assert outcome.largest_relative(name, column) < 1e-8, (name, column)
        own, reference = outcome.constants(name)
        assert own == pytest.approx(reference, rel=1e-10)
    own_lines = Path("STATE").read_text().splitlines()
    lines = (REFERENCE / case / "STATE").read_text().splitlines()
    assert [len(line) for line in own_lines] == [len(line) for line in lines]
    assert own_lines[:6] == lines[:6]


def test_collective_variables_of_a_model(run_case, tmp_path):
    """435 distances and a model in single precision, which decides how far two programs agree."""
    case = REFERENCE / "pines-explore-3cv"
    write_pines_model(case / "encoder.npz", json.loads((case / "case.json").read_text()), tmp_path / "model.ptc")
    outcome = run_case("pines-explore-3cv")
    nodes = [f"cv.node-{index}" for index in range(3)]
    assert outcome.largest("COLVAR", *nodes) < 1e-4
    assert outcome.largest("COLVAR", "opes.bias") < 1e-3
    assert outcome.largest("COLVAR", "opes.rct", "opes.zed", "opes.neff") < 1e-3
    assert outcome.largest("COLVAR", "opes.nker") == 0
    assert outcome.force_error() < 1e-4
    for name in ("KERNELS", "STATE"):
        assert outcome.largest(name, *nodes, *(f"sigma_{node}" for node in nodes)) < 1e-4
        assert outcome.largest_relative(name, "height") < 1e-4
        own, reference = outcome.constants(name)
        assert own == pytest.approx(reference, rel=1e-4)
    assert outcome.largest("KERNELS", "logweight") < 1e-3 / (KT_KJ_MOL / 96.485)


def test_two_runs_continue_as_one(run_case, tmp_path, monkeypatch):
    """Frames 0 to 300, then 300 to 599 from the state, against the run in one piece."""
    text = (REFERENCE / "distance-metad" / "plumed.dat").read_text()
    text = text.replace("STATE_WSTRIDE=599", "STATE_WSTRIDE=300 STATE_RFILE=STATE")
    monkeypatch.chdir(tmp_path)
    lines = _read_text(TRAJECTORY).splitlines(keepends=True)
    size = N_ATOMS + 2
    Path("first.xyz").write_text("".join(lines[: 301 * size]))
    Path("second.xyz").write_text("".join(lines[300 * size :]))
    Path("plumed.dat").write_text(text)
    options = ["--timestep", "0.1", "--kt", "12.5", "--length-units", "A"]
    with pytest.warns(UserWarning, match="is not read"):
        assert main(["driver", "--ixyz", "first.xyz", *options]) == 0
    assert main(["driver", "--ixyz", "second.xyz", "--initial-step", "300", "--restart", *options]) == 0
    own, reference = read_table(Path("COLVAR")), read_table(REFERENCE / "distance-metad" / "COLVAR")
    for column, numbers in reference.columns.items():
        both = np.delete(own.columns[column], 301)  # the frame of the restart, printed a second time
        assert both == pytest.approx(numbers, abs=2e-8), column


@pytest.mark.parametrize("case", ["distance-metad", "walls-restraint"])
def test_states_of_plumed_are_continued_from(tmp_path, case):
    """With PLUMED's state after the last frame, that frame has the bias that PLUMED printed."""
    shutil.copy(REFERENCE / case / "STATE", tmp_path)
    text = (REFERENCE / case / "plumed.dat").read_text().replace(" STATE_WFILE", " STATE_RFILE=STATE STATE_WFILE")
    bias = Bias(text, kt_ev=None, timestep_ps=0.1, n_atoms=N_ATOMS, folder=tmp_path, restart=True)
    *_, last = read_frames(TRAJECTORY)
    values = bias.calculate(N_FRAMES - 1, *last).values
    bias.close()
    for column, numbers in read_table(REFERENCE / case / "COLVAR").columns.items():
        if column != "time":
            assert values[column] == pytest.approx(numbers[-1], abs=2e-9), column


def test_units_and_boxes(tmp_path, monkeypatch):
    """A trajectory in nm with nine numbers for the box; forces come in kJ/mol/nm, the virial with PLUMED's sign."""
    monkeypatch.chdir(tmp_path)
    Path("plumed.dat").write_text("UNITS LENGTH=A ENERGY=eV\nd: DISTANCE ATOMS=1,2\nRESTRAINT ARG=d AT=1 KAPPA=3\n")
    Path("t.xyz").write_text(
        "2\n0.5 0 0 0 0.5 0 0 0 0.5\nSi 0 0 0\nC 0.45 0.2 0\n2\n0.5 0.5 0.5\nSi 0 0 0\nC 0.1 0 0\n"
    )
    assert main(["driver", "--ixyz", "t.xyz", "--dump-forces", "f.gz", "--dump-full-virial"]) == 0
    lines = _read_text(Path("f.gz")).splitlines()
    vector = np.array([-0.05, 0.2, 0.0])
    distance = np.linalg.norm(vector)
    force = -3 * 96.48530749925792 * 100 * (distance - 0.1) * vector / distance
    assert [float(word) for word in lines[3].split()[1:]] == pytest.approx(force, abs=1e-5)
    assert [float(word) for word in lines[2].split()[1:]] == pytest.approx(-force, abs=1e-5)
    assert [float(word) for word in lines[1].split()] == pytest.approx(-np.outer(vector, force).ravel(), abs=1e-5)
    assert lines[0] == lines[4] == "2"
    assert [float(word) for word in lines[6].split()[1:]] == [0.0, 0.0, 0.0]
    assert [cell.diagonal().tolist() for _, cell in read_frames(Path("t.xyz"))] == [[0.5] * 3] * 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("1\n1 1 1\nX 0 0 0\n", "METAD ARG=d\n"), "does not support the action `METAD`"),
        (("2\n1 1 1\nX 0 0 0\n", "d: DISTANCE ATOMS=1,2\n"), "frame 0 of `t.xyz` (line 1) says that it has 2 atoms"),
        (("2\n1 1\nX 0 0 0\nX 0 0 0\n", "d: DISTANCE ATOMS=1,2\n"), "must be the box"),
        (
            ("2\n1 1 1\nX 0 0 0\nX 0 0 1\n1\n1 1 1\nX 0 0 0\n", "d: DISTANCE ATOMS=1,2\n"),
            "frame 1 of `t.xyz` (line 5) has 1 atoms",
        ),
        (("atoms\n", "d: DISTANCE ATOMS=1,2\n"), "the number of atoms"),
        (("", "d: DISTANCE ATOMS=1,2\n"), "holds no frame"),
        ((None, "d: DISTANCE ATOMS=1,2\n"), "does not exist"),
        (("2\n1 1 1\nX 0 0 0\nX 0 0 1\n", None), "cannot be read"),
    ],
)
def test_errors_are_messages(tmp_path, monkeypatch, capsys, files, message):
    monkeypatch.chdir(tmp_path)
    for name, content in zip(("t.xyz", "plumed.dat"), files, strict=True):
        if content is not None:
            Path(name).write_text(content)
    assert main(["driver", "--ixyz", "t.xyz"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("sicmlip driver: ") and message in error
    assert main(["driver", "--ixyz", "t.xyz", "--length-units", "inch"]) == 1
    assert "--length-units" in capsys.readouterr().err
