"""`sicmlip cv`: trains on files of trajectories, and says in a message what is wrong with its input."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from aiida_sicmlip.common.exit_status import INPUT_ERROR, NOT_A_NUMBER, SUCCESS
from aiida_sicmlip.engine.programs.main import main

GROUPS = {"Si1": [0, 1, 2], "C1": [3, 4], "C2": [5]}
SYMBOLS = ["Si"] * 3 + ["C"] * 5
SETTINGS = {
    "groups": GROUPS,
    "switching": {"r0": 3.2},
    "autoencoder": {"hidden": [8], "latent": 2, "max_epochs": 3, "batch_size": 8, "held_out": 0.4},
}
# A cell that is not orthogonal, in the orientation that LAMMPS gives it.
CELL = np.array([[7.0, 0.0, 0.0], [1.5, 8.0, 0.0], [-2.0, 1.0, 9.0]])


def moving_atoms(seed: int, frames: int = 20) -> list[Atoms]:
    """Return frames of eight atoms; float32 holds the positions exactly, so that a DCD does, too."""
    generator = np.random.default_rng(seed)
    start = np.random.default_rng(0).uniform(0, 7, (8, 3))
    positions = np.float32(start + generator.normal(0, 0.2, (frames, 8, 3)))
    return [Atoms(SYMBOLS, frame, cell=CELL, pbc=True) for frame in positions]


def write_dcd(path: Path, frames: list[Atoms], has_cell: bool = True) -> None:
    """Write frames as `dump dcd` of LAMMPS does."""

    def record(content: bytes) -> bytes:
        return struct.pack("<i", len(content)) + content + struct.pack("<i", len(content))

    control = [len(frames), 0, 100, 100 * len(frames), 0, 0, 0, 0, 0]
    header = b"CORD" + struct.pack("<9if10i", *control, 1.0, int(has_cell), *[0] * 8, 24)
    content = record(header) + record(struct.pack("<i", 1) + b" " * 80) + record(struct.pack("<i", len(frames[0])))
    for frame in frames:
        a, b, c, alpha, beta, gamma = frame.cell.cellpar()
        angles = np.cos(np.radians([gamma, beta, alpha]))
        if has_cell:
            content += record(struct.pack("<6d", a, angles[0], b, angles[1], angles[2], c))
        for axis in range(3):
            content += record(frame.positions[:, axis].astype("<f4").tobytes())
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with settings and three trajectories, each as XYZ and as DCD."""
    monkeypatch.chdir(tmp_path)
    Path("cv_settings.json").write_text(json.dumps(SETTINGS))
    for seed in range(3):
        write(f"{seed}.extxyz", moving_atoms(seed), format="extxyz")
        write_dcd(Path(f"{seed}.dcd"), moving_atoms(seed))
    return tmp_path


def trajectories(suffix: str = "extxyz", count: int = 3) -> list[str]:
    """Return the arguments that name the trajectories."""
    return [part for seed in range(count) for part in ("--trajectory", f"{seed}.{suffix}")]


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one message on standard error."""
    message = capsys.readouterr().err
    assert message.startswith("sicmlip cv: ")
    assert message.count("\n") == 1
    return message


def test_a_model_is_trained_and_written(folder, capsys):
    assert main(["cv", *trajectories()]) == SUCCESS
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 trajectories, 60 frames, 15 distances"
    assert [line.split()[:2] for line in lines[1:]] == [["epoch", str(number)] for number in (1, 2, 3)]
    report = json.loads(Path("cv_report.json").read_text())
    assert report["error"] is None
    assert report["n_frames"] == [20, 20, 20]
    assert len(report["held_out_trajectories"]) == 1
    assert 0 <= report["variance_explained"]["held_out"] <= 1
    assert report["settings"]["autoencoder"]["seed"] == 0
    assert report["settings"]["switching"] == {"r0": 3.2, "exponent": 6}

    from aiida_sicmlip.science.pines.export import read_model

    model = read_model(".")
    values = [model.evaluate(frame.positions[None], CELL, frame.pbc)[0] for s in range(3) for frame in moving_atoms(s)]
    for column, said in zip(np.array(values).T, report["ranges"], strict=True):
        assert said["minimum"] == pytest.approx(column.min(), abs=1e-4)
        assert said["maximum"] == pytest.approx(column.max(), abs=1e-4)


def test_formats_seeds_and_segments_give_the_same_model(folder):
    """DCD, XYZ and a trajectory in two files hold the same frames; another process gives the same bytes."""
    assert main(["cv", *trajectories()]) == SUCCESS
    Path("of_dcd").mkdir()
    assert main(["cv", *trajectories("dcd"), "--output", "of_dcd"]) == SUCCESS
    first, second = (json.loads(Path(name).read_text()) for name in ("cv.json", "of_dcd/cv.json"))
    assert first.pop("ranges") == [pytest.approx(entry, rel=1e-4) for entry in second.pop("ranges")]
    for name in ("training_curve", "variance_explained"):
        first.pop(name), second.pop(name)
    assert first == second

    write("a.extxyz", moving_atoms(0)[:13], format="extxyz")
    write("b.extxyz", moving_atoms(0)[13:], format="extxyz")
    arguments = ["cv", "--trajectory", "a.extxyz", "b.extxyz", *trajectories()[2:], "--output", "again"]
    Path("again").mkdir()
    code = f"import sys; from aiida_sicmlip.engine.programs.main import main; sys.exit(main({arguments!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=300)
    for name in ("cv.json", "model.ptc", "autoencoder.npz"):
        assert (Path("again") / name).read_bytes() == Path(name).read_bytes()


def test_every_nth_frame(folder):
    Path("cv_settings.json").write_text(json.dumps({**SETTINGS, "every": 6}))
    for suffix in ("extxyz", "dcd"):
        assert main(["cv", *trajectories(suffix)]) == SUCCESS
        assert json.loads(Path("cv_report.json").read_text())["n_frames"] == [4, 4, 4]


@pytest.mark.parametrize("suffix", ["extxyz", "dcd"])
def test_only_the_frames_that_count_are_read(folder, suffix):
    """A run that ended badly has frames in its file that nobody wants."""
    files = [f"{seed}.{suffix}" for seed in range(3)]
    spoilt = moving_atoms(1)
    for frame in spoilt[7:]:
        frame.positions[:] = 1e30
    write("1.extxyz", spoilt, format="extxyz")
    write_dcd(Path("1.dcd"), spoilt)
    settings = {**SETTINGS, "every": 3, "n_frames": {files[1]: 7, files[2]: 20}}
    Path("cv_settings.json").write_text(json.dumps(settings))
    assert main(["cv", *trajectories(suffix)]) == SUCCESS
    assert json.loads(Path("cv_report.json").read_text())["n_frames"] == [7, 3, 7]


@pytest.mark.parametrize("suffix", ["extxyz", "dcd"])
def test_frames_that_are_left_out_do_not_count(folder, suffix):
    """Frames of a melt in the middle of a run change nothing: the model is that of the run without them."""
    melted = moving_atoms(1)
    for number in (3, 8, 9, 19):
        melted[number].positions[:] = np.random.default_rng(number).uniform(0, 7, (8, 3))
    kept = [number for number in range(20) if number not in (3, 8, 9, 19)]
    for name, frames in (("melted", melted), ("clean", [melted[number] for number in kept])):
        write(f"{name}.extxyz", frames, format="extxyz")
        write_dcd(Path(f"{name}.dcd"), frames)
    np.save("kept.npy", kept)
    np.save("none.npy", np.zeros(0, dtype=np.int64))
    settings = {**SETTINGS, "every": 3}
    for name, changes in (
        ("clean", {}),
        ("melted", {"kept": {f"melted.{suffix}": "kept.npy", f"2.{suffix}": "none.npy"}}),
    ):
        Path("cv_settings.json").write_text(json.dumps({**settings, **changes}))
        Path(f"of_{name}").mkdir()
        files = [f"0.{suffix}", f"{name}.{suffix}", *([f"2.{suffix}"] if changes else [])]
        arguments = [part for file in files for part in ("--trajectory", file)]
        assert main(["cv", *arguments, "--output", f"of_{name}"]) == SUCCESS
        assert json.loads(Path("cv_report.json").read_text())["n_frames"] == [7, 6]
    for name in ("cv.json", "model.ptc", "autoencoder.npz"):
        assert (Path("of_clean") / name).read_bytes() == (Path("of_melted") / name).read_bytes()


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([0, 20], "`kept` names frame 20 of the trajectory `0.{suffix}`, which has frames 0 to 19"),
        ([3, 2], "must hold numbers of frames from 0 in ascending order"),
        ([-1, 2], "must hold numbers of frames from 0 in ascending order"),
        ([0.5], "must hold numbers of frames from 0 in ascending order"),
        ([], "There is no trajectory to train on"),
        (None, "`kept.npy`, cannot be read"),
    ],
)
@pytest.mark.parametrize("suffix", ["extxyz", "dcd"])
def test_frames_to_use_that_there_are_not(folder, capsys, kept, message, suffix):
    if kept is not None:
        np.save("kept.npy", kept)
    files = [f"{seed}.{suffix}" for seed in range(3)]
    settings = {**SETTINGS, "kept": dict.fromkeys(files, "kept.npy")}
    Path("cv_settings.json").write_text(json.dumps(settings))
    assert main(["cv", *trajectories(suffix)]) == INPUT_ERROR
    assert message.format(suffix=suffix) in failure(capsys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept": {"9.dcd": "kept.npy"}}, "`kept` names `9.dcd`, which is no trajectory"),
        ({"autoencoder": {"standardisation": "each"}}, "`autoencoder.standardisation` is 'each'"),
        ({"group": {}}, "Did you mean `groups`"),
        ({"groups": {}}, "`groups` is {}"),
        ({"groups": {"Si1": [0, 8]}}, "`groups` names atom 8, but the trajectory `0.extxyz` has atoms 0 to 7"),
        ({"groups": {"X": [2, 3]}}, "`groups.X` holds atoms of C and Si"),
        ({"switching": {"r0": -1}}, "`switching.r0` is -1"),
        ({"switching": 3}, "`switching` is 3; give settings under it: r0, exponent"),
        ({"autoencoder": {"latent": 0}}, "`autoencoder.latent` is 0"),
        ({"autoencoder": {"activation": "tanh"}}, "`autoencoder.activation` is not a known setting"),
        ({"every": 0}, "`every` is 0"),
        ({"threads": 1.5}, "`threads` is 1.5"),
        ({"n_frames": [3]}, r"`n_frames` is [3]; give a mapping"),
        ({"n_frames": {"0.extxyz": 0}}, "`n_frames.0.extxyz` is 0"),
        ({"n_frames": {"9.dcd": 3}}, "`n_frames` names `9.dcd`, which is no trajectory"),
    ],
)
def test_wrong_settings_are_told_with_a_message(folder, capsys, changes, message):
    Path("cv_settings.json").write_text(json.dumps({**SETTINGS, **changes}))
    assert main(["cv", *trajectories()]) == INPUT_ERROR
    assert message in failure(capsys)
    assert message in json.loads(Path("cv_report.json").read_text())["error"]["message"]
    assert not Path("model.ptc").exists()


@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_settings_that_are_no_mapping(folder, capsys, content):
    Path("cv_settings.json").unlink()
    if content is not None:
        Path("cv_settings.json").write_text(content)
    assert main(["cv", *trajectories()]) == INPUT_ERROR
    assert "settings file `cv_settings.json`" in failure(capsys)


def test_one_trajectory_is_not_divided(folder, capsys):
    assert main(["cv", "--trajectory", "0.extxyz", "1.extxyz"]) == INPUT_ERROR
    assert "there is only 1 trajectory" in failure(capsys)
    Path("cv_settings.json").write_text(json.dumps({**SETTINGS, "autoencoder": {"held_out": 0, "max_epochs": 2}}))
    assert main(["cv", "--trajectory", "0.extxyz"]) == SUCCESS


def test_a_file_given_twice_could_be_trained_on_and_held_out(folder, capsys):
    assert main(["cv", *trajectories(), "--trajectory", f"../{folder.name}/1.extxyz"]) == INPUT_ERROR
    assert "is given twice" in failure(capsys)


def test_trajectories_that_cannot_be_used(folder, capsys):
    def message(*files: str, **options: str) -> str:
        extra = [part for name, value in options.items() for part in (f"--{name}", value)]
        named = [part for name in files for part in ("--trajectory", name)]
        assert main(["cv", *trajectories(count=2), *named, *extra]) == INPUT_ERROR
        return failure(capsys)

    assert "`absent.dcd` does not exist" in message("absent.dcd")

    Path("text.extxyz").write_text("three atoms\n")
    assert "line 1 of `text.extxyz`, at its beginning, is `three atoms`" in message("text.extxyz")

    Path("text.dcd").write_text("no trajectory")
    assert "no DCD" in message("text.dcd")

    assert "`absent`, which is no folder" in message(output="absent")

    Path("cv_settings.json").write_text(json.dumps({**SETTINGS, "n_frames": {"2.dcd": 21}}))
    assert "`n_frames` says 21 for the trajectory `2.dcd`, which has 20" in message("2.dcd")
    Path("cv_settings.json").write_text(json.dumps(SETTINGS))

    Path("empty.dcd").touch()
    assert "`empty.dcd` has no frame" in message("empty.dcd")

    write_dcd(Path("no_cell.dcd"), moving_atoms(5), has_cell=False)
    assert "has no cells" in message("no_cell.dcd")

    broken = moving_atoms(5)
    broken[3].positions[0, 0] = np.nan
    write_dcd(Path("nan.dcd"), broken)
    assert "not finite" in message("nan.dcd")

    write("small.extxyz", [frame[:5] for frame in moving_atoms(5)], format="extxyz")
    assert "`small.extxyz` has atoms 0 to 4" in message("small.extxyz")

    for frame in (mixed := moving_atoms(5))[10:]:
        frame.pbc = [True, True, False]
    write("mixed.extxyz", mixed, format="extxyz")
    assert "differ in their periodic axes" in message("mixed.extxyz")

    for frame in (loose := moving_atoms(5)):
        frame.cell = None
    write("loose.extxyz", loose, format="extxyz")
    assert "a cell vector is zero" in message("loose.extxyz") or "pbc" in message("loose.extxyz")


def test_a_structure_gives_the_species_of_a_dcd(folder, capsys):
    write("structure.extxyz", moving_atoms(0, 1), format="extxyz")
    assert main(["cv", *trajectories("dcd"), "--structure", "structure.extxyz"]) == SUCCESS
    capsys.readouterr()

    write("mixed.extxyz", Atoms("SiC" * 4, moving_atoms(0, 1)[0].positions), format="extxyz")
    assert main(["cv", *trajectories("dcd"), "--structure", "mixed.extxyz"]) == INPUT_ERROR
    assert "holds atoms of C and Si" in failure(capsys)
    assert main(["cv", *trajectories(), "--structure", "mixed.extxyz"]) == INPUT_ERROR
    assert "other species" in failure(capsys)

    write("small.extxyz", moving_atoms(0, 1)[0][:6], format="extxyz")
    assert main(["cv", *trajectories("dcd"), "--structure", "small.extxyz"]) == INPUT_ERROR
    assert "has 8 atoms, but the structure file has 6" in failure(capsys)
    assert main(["cv", *trajectories("dcd"), "--structure", "absent"]) == INPUT_ERROR
    assert "structure `absent` cannot be read" in failure(capsys)


def test_lengths_that_are_not_given_are_those_of_the_structure(folder, capsys):
    """What ran is in the report and in the description; a hydrogen atom does not count for a crystal's bonds."""
    Path("cv_settings.json").write_text(json.dumps({**SETTINGS, "switching": {}}))
    assert main(["cv", *trajectories()]) == INPUT_ERROR
    assert "`switching.r0` is null, 1.67 distances of nearest sites: name a structure" in failure(capsys)

    atoms = Atoms(SYMBOLS, np.argwhere(np.ones((2, 2, 2))) * 3.0, cell=[6.0] * 3, pbc=True)
    atoms.positions[5] += [0.0, 0.0, 1.9]
    write("structure.extxyz", atoms, format="extxyz")
    assert main(["cv", *trajectories(), "--structure", "structure.extxyz"]) == SUCCESS
    expected = {"r0": pytest.approx(3.0 * 3.2 / 1.912), "exponent": 6}
    assert json.loads(Path("cv_report.json").read_text())["settings"]["switching"] == expected
    assert json.loads(Path("cv.json").read_text())["switching"] == expected


def test_a_loss_that_explodes_has_a_status_of_its_own(folder, capsys):
    settings = {**SETTINGS, "autoencoder": {**SETTINGS["autoencoder"], "learning_rate": 1e30}}
    Path("cv_settings.json").write_text(json.dumps(settings))
    assert main(["cv", *trajectories()]) == NOT_A_NUMBER
    assert "decrease `autoencoder.learning_rate`" in failure(capsys)


def test_a_trajectory_must_be_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["cv"])
    assert stopped.value.code == INPUT_ERROR
    assert "--trajectory" in capsys.readouterr().err
