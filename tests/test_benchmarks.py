"""The scripts in `benchmarks`, on the smallest problem they take."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aiida_sicmlip.science.training.settings import TrainingParameters

SCRIPTS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.program
def test_opes_divacancy(tmp_path):
    options = ["--seeds", "1", "--length", "6", "--pace", "0.1", "--unbiased-seeds", "1", "--unbiased-length", "2"]
    options += ["--scouting-seeds", "1", "--scouting-length", "3"]
    command = [sys.executable, str(SCRIPTS / "opes_divacancy.py"), str(tmp_path / "study"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    first = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    results = json.loads((tmp_path / "study" / "results.json").read_text())
    assert results["bias"]["barrier"] == 3.0
    for kind, length in (("biased", 6.0), ("unbiased", 2.0), ("scouting", 3.0)):
        found = results[kind]
        assert (found["length_ps"], len(found["runs"])) == (length, 1)
        hopped = [run["first_hop"]["time_ps"] for run in found["runs"] if run["first_hop"]]
        assert found["first_hops"]["events"] == len(hopped)
        assert found["first_hops"]["time_ps"] == pytest.approx(sum(hopped) if hopped else length)
    for picture in ("cv_space.png", "free_energy.png"):
        assert (tmp_path / "study" / picture).read_bytes()[:4] == b"\x89PNG"
    # What is there is not made again.
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0 and "steps/s" in first.stdout and "steps/s" not in again.stdout


@pytest.mark.program
def test_potential_pictures(tmp_path):
    """The pictures of the documentation, of two rounds with models that are hardly trained."""
    options = ["--folder", str(tmp_path / "loop"), "--pictures", str(tmp_path / "pictures")]
    options += ["--epochs", "1", "1", "--training", "2", "--validation", "6"]
    command = [sys.executable, str(SCRIPTS / "potential_pictures.py"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"errors_by_round.png", "distance_to_defect.png", "parity.png", "training_curve.png"} <= names


@pytest.mark.program
def test_lineage(tmp_path):
    """A small graph in a profile of its own: all is counted and timed."""
    options = [
        "--size",
        "2",
        "3",
        "1",
        "--databases",
        "sqlite",
        "--repeats",
        "1",
        "--output",
        str(tmp_path / "all.json"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(SCRIPTS / "lineage.py"), *options]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    (graph,) = json.loads((tmp_path / "all.json").read_text())["graphs"]
    assert (graph["database"], graph["rounds"], graph["labels"]) == ("sqlite", 2, 8)
    assert graph["nodes"] > 5 * graph["labels"] and graph["links"] > graph["nodes"]
    assert {"lineage of the last model", "affected by a pseudopotential"} < set(graph["seconds"])
    assert all(found["median"] > 0 for found in graph["seconds"].values())


def test_what_the_bases_of_cost_are_measured_with(monkeypatch):
    """The divacancy in cells of the sizes they are called by, and networks that a training takes."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    bases = importlib.import_module("cost_bases")
    assert [len(bases.structure(size)) for size in bases.CELLS] == list(bases.CELLS)
    for model, n_atoms in bases.networks().values():
        assert n_atoms in bases.CELLS
        assert TrainingParameters.complete({"model": {**model, "pair_potential": "none"}})["model"]["cutoff"] > 4


@pytest.fixture
def active_learning(monkeypatch):
    """The module of `benchmarks/active_learning.py`."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("active_learning")


def test_labels_needed_lie_on_the_curve(active_learning):
    """Errors that fall as n**-0.5 give back the n of any error between them."""
    counts = [10, 20, 40, 80]
    errors = [0.3 * (count / 10) ** -0.5 for count in counts]
    for wanted in (12.0, 20.0, 33.0, 80.0):
        target = 0.3 * (wanted / 10) ** -0.5
        assert active_learning.labels_needed(counts, errors, target) == pytest.approx(wanted)
    assert active_learning.labels_needed(counts, errors, 0.31) == 10
    assert active_learning.labels_needed(counts, errors, 0.01) is None


def test_comparison_with_random_picks(active_learning, tmp_path):
    """A method whose errors are those of twice the labels needs half of them."""
    law = {count: 0.3 * (count / 10) ** -0.5 for count in (10, 20, 40, 80, 160)}
    counts = (10, 20, 40, 80)
    curves = {
        "random": {count: [law[count] * 0.9, law[count] * 1.1] for count in counts},
        "farthest-point": {count: [law[2 * count] * 0.9, law[2 * count] * 1.1] for count in counts},
        "top-k": {count: [law[count] * 0.9 + 0.3, law[count] * 1.1 + 0.3] for count in counts},
    }
    found = active_learning.compare(curves)
    needed = {method: entry["labels_needed"] for method, entry in found["methods"].items()}
    assert needed["random"] == pytest.approx(80)
    assert needed["farthest-point"] == pytest.approx(40)
    assert needed["top-k"] is None
    assert found["methods"]["random"]["standard_error"][0] == pytest.approx(0.03)
    # Seed by seed, what the seeds have in common drops out of a difference.
    beyond = found["methods"]["top-k"]
    assert beyond["difference_to_random_mean"] == pytest.approx([0.3] * 4)
    assert beyond["difference_to_random_standard_error"] == pytest.approx([0.0] * 4, abs=1e-12)
    printed = active_learning.table(found)
    assert "10: +0.3000 +- 0.0000" in printed
    assert "labels for 0.1061 eV/A: 40" in printed and "more than were tried" in printed
    both = {name: {"seeds": curves, **found} for name in active_learning.SHOWN}
    active_learning.draw(both, tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes()[:4] == b"\x89PNG"


def test_order_of_labels(active_learning, tmp_path):
    """All methods begin with the same frames, take as many as asked for, none twice and none too near in time."""
    options = SimpleNamespace(folder=tmp_path, cells=2, labels=[4, 8, 16], separation=0.3)
    study = active_learning.Study(options)
    rows = np.abs(np.random.default_rng(3).normal(size=(120, 6)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pool = active_learning.Frames([None] * 120, np.repeat([1, 2], 60), np.tile(0.1 * np.arange(60), 2))
    orders = {method: study.order(method, 5, rows, pool) for method in active_learning.METHODS}
    assert len({tuple(order[:4]) for order in orders.values()}) == 1
    assert len({tuple(order) for order in orders.values()}) == 3
    for order in orders.values():
        assert len(set(order)) == len(order) == 16
        for run in (1, 2):
            times = np.sort(pool.time[[index for index in order if pool.run[index] == run]])
            assert (np.diff(times) > 0.3 - 1e-6).all()
    assert study.order("random", 6, rows, pool)[:4] != orders["random"][:4]
    with pytest.raises(SystemExit, match="no 200 frames"):
        options.labels = [4, 200]
        study.order("random", 5, rows, pool)


def test_ratio_of_labels_to_xargs():
    """A pass is set against the passes by xargs before and after it; processor times are means over the labels."""
    times = importlib.import_module("labelling_times")
    stages = [dict.fromkeys(times.STAGES, seconds) for seconds in (1.0, 3.0)]
    notes = {"a": [0.0, 0.0, 11.0, 9.0], "b": [0.0, 1.0, 12.0, 11.0]}
    found = {"seconds": 120.0, "load": 4.0, "daemon_seconds": 2.0, "notes": notes, "stages": stages}
    references = [{"seconds": seconds, "load": 1.0, "notes": notes} for seconds in (90.0, 110.0)]
    case = {"database": "sqlite", "workers": 2, "concurrent": 4, "labels": 2, "pass": found, "references": references}
    one = times.summary(case)
    assert (one["ratio"], one["reference"], one["spread"]) == (1.2, 100.0, 20.0)
    assert one["program"] == one["program_of_reference"] == 10.0
    assert one["load"] == 2.0
    printed = times.report([case, case]).splitlines()
    assert printed[1].split() == [
        "sqlite",
        "2",
        "4",
        "2",
        "120",
        "100",
        "+-",
        "10",
        "1.20",
        "2.00",
        "10.0,",
        "10.0",
        "2.0",
    ]
    assert [line.split()[-2:] for line in printed if line.startswith("pw.x")] == [["2.00", "2.00"]]
