"""`sicmlip select`: what it picks is what the definition says, and a message says what is wrong with its input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from aiida_sicmlip.engine.programs.main import main
from aiida_sicmlip.science.defects.building import build_defects
from tests.crystals import silicon_carbide_host

SOAP = {"r_cut": 4.0, "n_max": 3, "l_max": 2, "sigma": 0.4}
OPTIONS = ["--cutoff", "4", "--n-max", "3", "--l-max", "2", "--sigma", "0.4", "--processes", "1"]
HOST = silicon_carbide_host(repeats=(2, 2, 2))


def frames(count: int, seed: int, defects: list[dict[str, Any]] | None = None) -> list[Atoms]:
    """Divacancies, or other defects, displaced as heat does."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        atoms = build_defects(HOST, defects or [{"kind": "divacancy"}], number).atoms
        atoms.positions += generator.normal(0, generator.uniform(0.05, 0.15), atoms.positions.shape)
        found.append(atoms)
    return found


def distances(rows: list[Atoms], columns: list[Atoms]) -> np.ndarray:
    """The full matrix of distances, each from the descriptors of two frames, by DScribe itself."""
    from dscribe.descriptors import SOAP as Soap

    soap = Soap(species=["C", "Si"], average="outer", periodic=True, **SOAP)

    def describe(frame: Atoms) -> np.ndarray:
        copy = frame.copy()
        copy.wrap()
        return soap.create(copy)

    a, b = ([describe(frame) for frame in each] for each in (rows, columns))
    return np.array([[1 - x @ y / np.sqrt((x @ x) * (y @ y)) for y in b] for x in a])


def brute_force(pool: list[Atoms], training: list[Atoms], count: int, method: str) -> list[tuple[int, float]]:
    """Picks and their distances, from the full matrices."""
    among, known = distances(pool, pool), distances(pool, training).min(axis=1)
    if method == "top-k":
        order = sorted(range(len(pool)), key=lambda row: (-known[row], row))
        return [(row, known[row]) for row in order[:count]]
    picked: list[tuple[int, float]] = []
    while len(picked) < count:
        nearest = [min([known[row], *(among[row, p] for p, _ in picked)]) for row in range(len(pool))]
        best = max((row for row in range(len(pool)) if row not in [p for p, _ in picked]), key=lambda r: nearest[r])
        picked.append((best, nearest[best]))
    return picked


def run(folder: Path, pool: list[Atoms], training: list[Atoms] | None, *options: str) -> list[Atoms]:
    """Run the program in this process and return what it wrote."""
    write(folder / "pool.extxyz", pool)
    arguments = ["select", str(folder / "pool.extxyz"), "--output", str(folder / "picked.extxyz"), *OPTIONS, *options]
    if training is not None:
        write(folder / "training.extxyz", training)
        arguments += ["--training", str(folder / "training.extxyz")]
    assert main(arguments) == 0
    return read(folder / "picked.extxyz", index=":")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("method", ["farthest-point", "top-k"])
def test_picks_are_those_of_brute_force(tmp_path: Path, seed: int, method: str, capsys: Any) -> None:
    pool, training = frames(25, seed), frames(5, seed + 50)
    picked = run(tmp_path, pool, training, "--count", "8", "--method", method)
    expected = brute_force(pool, training, 8, method)
    assert [frame.info["pool_index"] for frame in picked] == [row for row, _ in expected]
    # Descriptors are kept in single precision.
    assert [frame.info["distance"] for frame in picked] == pytest.approx([d for _, d in expected], rel=1e-3)
    for frame in picked:
        assert np.allclose(frame.positions, pool[frame.info["pool_index"]].positions, atol=1e-7)
    table = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()[:1].isdigit()]
    rows = [line for line in table if len(line) == 4]
    assert [(int(number), int(index)) for number, index, *_ in rows] == [
        (n, row) for n, (row, _) in enumerate(expected)
    ]


def test_first_pick_without_a_training_set(tmp_path: Path) -> None:
    pool = frames(12, 4)
    picked = run(tmp_path, pool, None, "--count", "3")
    among = distances(pool, pool)
    first = picked[0].info["pool_index"]
    second = picked[1].info["pool_index"]
    assert second == int(np.argmax(among[first]))
    assert all("reference_distance" not in frame.info for frame in picked)


def test_random_is_seeded(tmp_path: Path) -> None:
    pool, training = frames(20, 5), frames(3, 6)
    runs = [
        [f.info["pool_index"] for f in run(tmp_path, pool, training, "--count", "5", "--method", "random", "--seed", s)]
        for s in ("1", "1", "2")
    ]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("given", [True, False])
def test_defect_centres_with_and_without_a_host(tmp_path: Path, given: bool, capsys: Any) -> None:
    """The atoms around the defect decide: a frame whose defect differs comes first, however hot the others are."""
    pool = [*frames(15, 7), *frames(1, 8, [{"kind": "divacancy"}, {"kind": "antisite", "on": "C", "species": "Si"}])]
    host = []
    if given:
        write(tmp_path / "host.extxyz", HOST)
        host = ["--host", str(tmp_path / "host.extxyz")]
    picked = run(tmp_path, pool, frames(5, 9), "--count", "2", "--centres", "defect", *host)
    assert picked[0].info["pool_index"] == 15
    assert ("perfect crystal of 64 sites" in capsys.readouterr().out) is not given


def test_list_of_atoms(tmp_path: Path, capsys: Any) -> None:
    """Only the surroundings of the atoms that are named count: a frame that differs elsewhere is a duplicate."""
    pool = [frame.copy() for frame in frames(1, 20) * 3]
    distances_of_all = pool[0].get_distances(0, range(len(pool[0])), mic=True)
    near = int(np.argsort(distances_of_all)[1])
    pool[1].positions[int(np.argmax(distances_of_all))] += 0.1
    pool[2].positions[near] += 0.1
    picked = run(tmp_path, pool, None, "--count", "3", "--centres", "0", "--cutoff", "3")
    assert len(picked) == 2 and 2 in {frame.info["pool_index"] for frame in picked}
    with pytest.raises(SystemExit):
        main(["select", "pool.extxyz", "--count", "1", "--centres", "some"])
    assert "neither all nor defect" in capsys.readouterr().err


def test_duplicates_and_overlaps_are_left_out(tmp_path: Path, capsys: Any) -> None:
    pool, training = frames(4, 10), frames(2, 11)
    pool += [pool[0].copy(), training[1].copy()]
    pool.append(pool[2].copy())
    pool[-1].positions[3] = pool[-1].positions[4] + 0.2
    picked = run(tmp_path, pool, training, "--count", "6")
    captured = capsys.readouterr()
    assert sorted(frame.info["pool_index"] for frame in picked) == [0, 1, 2, 3]
    assert "7 configurations in the pool, 2 known, 1 with overlapping atoms" in captured.out
    assert "4 of 6 are in" in captured.out and "repeats known or picked configurations" in captured.err


def test_program_on_two_processes(tmp_path: Path) -> None:
    """The command itself gives what it gives in one process."""
    pool, training = frames(10, 12), frames(3, 13)
    expected = [frame.info["pool_index"] for frame in run(tmp_path, pool, training, "--count", "4")]
    command = [
        sys.executable,
        "-m",
        "aiida_sicmlip.engine.programs.main",
        "select",
        "pool.extxyz",
        "--training",
        "training.extxyz",
    ]
    command += ["--count", "4", "--output", "again.extxyz", *OPTIONS[:-1], "2"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert [frame.info["pool_index"] for frame in read(tmp_path / "again.extxyz", index=":")] == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--cutoff", "1"], "`selection.parameters.cutoff` is 1.0; give a number of at least 1.5"),
        (["--training", "nowhere.xyz"], "The file `nowhere.xyz` does not exist"),
        (["--centres", "defect", "--host", "text"], "The perfect crystal `text` cannot be read"),
        (["--output", "no/folder/picked.extxyz"], "which cannot be written"),
    ],
)
def test_wrong_input(
    tmp_path: Path, options: list[str], expected: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("pool.extxyz", frames(3, 1))
    Path("text").write_text("no crystal\n")
    assert main(["select", "pool.extxyz", "--count", "1", *OPTIONS, *options]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("content", ["3\nno cell\nC 0 0 0\nC 1 0 0\n", ""])
def test_broken_pool(tmp_path: Path, content: str, capsys: Any) -> None:
    (tmp_path / "pool.extxyz").write_text(content)
    assert main(["select", str(tmp_path / "pool.extxyz"), "--count", "1"]) == 2
    message = capsys.readouterr().err
    assert "it has 2 lines of atoms" in message or "holds no configuration" in message


def test_count_must_be_positive(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["select", str(tmp_path / "pool.extxyz"), "--count", "0"])
    assert "no whole number of at least 1" in capsys.readouterr().err
