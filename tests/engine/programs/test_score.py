"""`sicmlip score`: its numbers are those of the functions, and a message says what is wrong with its input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from ase.io import write

from aiida_sicmlip.engine.programs.main import main
from aiida_sicmlip.science.defects.migrating_atoms import REGIONS, DefectFinder
from aiida_sicmlip.science.evaluation.rare_events import score_regions
from tests.crystals import silicon_carbide_host

HOST = silicon_carbide_host(repeats=(2, 2, 2))
N_FRAMES = 6


def labelled(atoms: Atoms, forces: np.ndarray, energy: float | None = None) -> Atoms:
    labels = {"forces": forces} | ({} if energy is None else {"energy": energy})
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **labels)
    return copy


def frames_of(seed: int, hop: bool = True) -> tuple[list[Atoms], list[Atoms]]:
    """Frames of a carbon vacancy, in every other one of which a neighbour hops, with true and with predicted labels.

    Forces are wrong on that neighbour alone. Predictions are wrapped otherwise.
    """
    generator = np.random.default_rng(seed)
    vacant = 1
    atoms = HOST[np.arange(len(HOST)) != vacant]
    ways, lengths = find_mic(HOST.positions[vacant] - atoms.positions, HOST.cell)
    hopping = int(lengths.argmin())
    reference, prediction = [], []
    for number in range(N_FRAMES):
        frame = atoms.copy()
        frame.positions += generator.normal(0.0, 0.05, frame.positions.shape)
        forces = np.round(generator.normal(0.0, 1.0, frame.positions.shape), 6)
        predicted = forces.copy()
        if hop and number % 2:
            frame.positions[hopping] = atoms.positions[hopping] + ways[hopping] / 2
            predicted[hopping] *= -2
        elsewhere = frame.copy()
        elsewhere.positions += generator.integers(-1, 2, (len(frame), 3)) @ frame.cell.array
        reference.append(labelled(frame, forces, -7.0 * len(frame)))
        prediction.append(labelled(elsewhere, predicted, -7.0 * len(frame) + 0.63 * (-1) ** number))
    return reference, prediction


def run(folder: Path, reference: list[Atoms], prediction: list[Atoms], *options: str) -> dict[str, Any]:
    """Run the program in this process and return its report."""
    write(folder / "reference.xyz", reference, format="extxyz")
    write(folder / "prediction.xyz", prediction, format="extxyz")
    write(folder / "host.vasp", HOST)
    arguments = [str(folder / name) for name in ("reference.xyz", "prediction.xyz")]
    assert main(["score", *arguments, "--output", str(folder / "score.json"), *options]) == 0
    report: dict[str, Any] = json.loads((folder / "score.json").read_text())
    return report


@pytest.mark.parametrize("given", [True, False])
def test_numbers_are_those_of_the_functions(tmp_path: Path, given: bool, capsys: Any) -> None:
    reference, prediction = frames_of(1)
    options = ["--host", str(tmp_path / "host.vasp")] if given else []
    report = run(tmp_path, reference, prediction, *options)
    found = [DefectFinder(HOST).find(frame) for frame in reference]
    assert [int(frame.migrating.sum()) for frame in found] == [0, 1] * 3
    regions = {name: np.concatenate([frame.regions[name] for frame in found]) for name in REGIONS}
    forces = [np.concatenate([frame.get_forces() for frame in frames]) for frames in (prediction, reference)]
    expected = score_regions(*forces, regions)
    assert list(report["regions"]) == ["migrating", "surroundings", "elsewhere", "all"]
    for name, score in expected.items():
        got = report["regions"][name]
        assert got["n_atoms"] == score.n_atoms
        assert got["score"] == pytest.approx(score.score)
        assert got["force_mae"] == pytest.approx(score.force_mae)
        assert got["delta_theta"]["counts"] == score.delta_theta.counts
    # Of the three hopping atoms each force is turned by 180 degrees; all others are right.
    assert report["regions"]["migrating"]["score"] == 0.0
    assert report["regions"]["migrating"]["delta_theta"]["mean"] == pytest.approx(180.0)
    assert report["regions"]["surroundings"]["score"] == report["regions"]["elsewhere"]["score"] == 1.0
    assert report["regions"]["all"]["score"] > 0.98
    for entry, frame in zip(report["frames"], found, strict=True):
        assert entry["migrating"] == np.flatnonzero(frame.migrating).tolist()
        assert [entry[f"n_{name}"] for name in REGIONS] == [int(frame.regions[name].sum()) for name in REGIONS]
        assert len(entry["vacant_sites"]) == len(frame.vacant_sites)
        assert len(entry["vacancies"]) == 1
    total = sum(entry["force_mae"] * entry["n_atoms"] for entry in report["frames"])
    assert total / (N_FRAMES * 63) == pytest.approx(report["regions"]["all"]["force_mae"])
    (host,) = report["hosts"].values()
    assert (host["n_sites"], host["given"]) == (64, given)
    assert host["nearest_distance"] == pytest.approx(4.416 * np.sqrt(3) / 4, abs=0.03)
    assert report["error"] is None
    printed = capsys.readouterr().out
    assert ("perfect crystal of 64 sites" in printed) is not given
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    assert rows["migrating"][0] == "3" and float(rows["migrating"][-1]) == 0.0
    assert float(rows["all"][-1]) == pytest.approx(expected["all"].score, abs=1e-4)


def test_energies_are_optional(tmp_path: Path, capsys: Any) -> None:
    reference, prediction = frames_of(2)
    energies = run(tmp_path, reference, prediction)["energies"]
    assert energies == {"mae": pytest.approx(0.01), "rmse": pytest.approx(0.01), "reason": None}
    assert "MAE 0.01000" in capsys.readouterr().out
    without = [labelled(frame, frame.get_forces()) for frame in prediction]
    energies = run(tmp_path, reference, [*prediction[:2], *without[2:]])["energies"]
    assert energies == {"mae": None, "rmse": None, "reason": "Frame 2, counted from 0, lacks an energy."}


def test_nothing_migrates(tmp_path: Path, capsys: Any) -> None:
    report = run(tmp_path, *frames_of(3, hop=False))
    migrating = report["regions"]["migrating"]
    assert (migrating["n_atoms"], migrating["score"], migrating["reason"]) == (0, None, "There are no such atoms.")
    assert report["regions"]["all"]["score"] == 1.0
    assert "No score for `migrating`: There are no such atoms." in capsys.readouterr().out


def test_bins(tmp_path: Path) -> None:
    report = run(tmp_path, *frames_of(4), "--bins", "7")
    assert len(report["regions"]["all"]["delta_f"]["counts"]) == 7
    assert report["settings"]["bins"] == 7


def test_frames_of_two_cells(tmp_path: Path) -> None:
    """Each frame has the host that it fits, whether they are given or found."""
    larger = HOST.repeat((2, 1, 1))
    del larger[[5]]
    larger.positions += np.random.default_rng(6).normal(0, 0.05, larger.positions.shape)
    reference, prediction = frames_of(5)
    more = labelled(larger, np.ones((len(larger), 3)))
    write(tmp_path / "larger.vasp", HOST.repeat((2, 1, 1)))
    hosts = ["--host", str(tmp_path / "host.vasp"), "--host", str(tmp_path / "larger.vasp")]
    for options in ([], hosts):
        report = run(tmp_path, [*reference, more], [*prediction, more], *options)
        assert sorted(host["n_sites"] for host in report["hosts"].values()) == [64, 128]
        sizes = [report["hosts"][entry["host"]]["n_sites"] for entry in report["frames"]]
        assert sizes == [64] * N_FRAMES + [128]


def test_the_program_itself(tmp_path: Path) -> None:
    expected = run(tmp_path, *frames_of(7))
    command = [sys.executable, "-m", "aiida_sicmlip.engine.programs.main", "score", "reference.xyz", "prediction.xyz"]
    command += ["--output", "again.json"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "again.json").read_text())
    assert report["regions"] == expected["regions"]
    assert report["frames"] == expected["frames"]


def without_forces(reference: list[Atoms], prediction: list[Atoms]) -> None:
    prediction[2].calc = None


def not_finite(reference: list[Atoms], prediction: list[Atoms]) -> None:
    prediction[1].calc.results["forces"][3, 0] = np.nan


def moved(reference: list[Atoms], prediction: list[Atoms]) -> None:
    forces = prediction[3].get_forces()
    prediction[3].positions[7] += [0.002, 0, 0]
    prediction[3] = labelled(prediction[3], forces)


def reordered(reference: list[Atoms], prediction: list[Atoms]) -> None:
    prediction[1] = labelled(prediction[1][::-1], prediction[1].get_forces()[::-1])


def other_cell(reference: list[Atoms], prediction: list[Atoms]) -> None:
    larger = prediction[0].copy()
    larger.set_cell(larger.cell.array * 1.001)
    prediction[0] = labelled(larger, prediction[0].get_forces())


def shorter(reference: list[Atoms], prediction: list[Atoms]) -> None:
    del prediction[-1]


def molten(reference: list[Atoms], prediction: list[Atoms]) -> None:
    places = np.random.default_rng(0).uniform(0, 1, (63, 3)) @ HOST.cell.array
    for frames in (reference, prediction):
        frame = frames[4].copy()
        frame.positions = places
        frames[4] = labelled(frame, np.zeros((63, 3)))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (without_forces, "Frame 2, counted from 0, of `prediction.xyz` has no forces"),
        (not_finite, "frame 1 of `prediction.xyz` (line 66) holds a number that is not finite (`forces`)"),
        (moved, "Frame 3, counted from 0, has atom 7 at another position in the prediction, 0.0020 A from that"),
        (reordered, "Frame 1, counted from 0, is C31Si32 in the reference and C31Si32 in the prediction, or its atoms"),
        (other_cell, "Frame 0, counted from 0, has another cell in the prediction"),
        (shorter, "`prediction.xyz` holds 5 frames and `reference.xyz` more"),
        (molten, "Frame 4, counted from 0, fits none of the perfect crystals (host.vasp). The structure does not fit"),
    ],
)
def test_frames_that_are_not_the_same(
    tmp_path: Path, spoil: Callable[..., None], expected: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reference, prediction = frames_of(8)
    spoil(reference, prediction)
    write("reference.xyz", reference, format="extxyz")
    write("prediction.xyz", prediction, format="extxyz")
    write("host.vasp", HOST)
    assert main(["score", "reference.xyz", "prediction.xyz", "--host", "host.vasp"]) == 2
    assert expected in capsys.readouterr().err
    error = json.loads(Path("score.json").read_text())["error"]
    assert error["status"] == 2 and expected in error["message"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.xyz", "frames.xyz"], "The file `nowhere.xyz` does not exist"),
        (["frames.xyz", "text"], "line 1 of `text`, at its beginning, is `no crystal`"),
        (["frames.xyz", "frames.xyz", "--host", "text"], "The perfect crystal `text` cannot be read"),
        (["frames.xyz", "frames.xyz", "--output", "no/folder.json"], "which cannot be written"),
        (["frames.xyz", "frames.xyz", "--output", "."], "which cannot be written"),
        (["no_cell.xyz", "no_cell.xyz"], "periodic cell"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, arguments: list[str], expected: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("frames.xyz", frames_of(9)[0][:2], format="extxyz")
    write("no_cell.xyz", labelled(Atoms("SiC", [[0, 0, 0], [0, 0, 2]]), np.zeros((2, 3))), format="extxyz")
    Path("text").write_text("no crystal\n")
    assert main(["score", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_bins_must_be_positive(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["score", "a", "b", "--bins", "0"])
    assert "no whole number of at least 1" in capsys.readouterr().err
