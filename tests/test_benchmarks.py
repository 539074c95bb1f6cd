"""The scripts in `benchmarks`, on the smallest problem they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aiida_sicmlip.science.training.settings import TrainingParameters
from benchmarks import cost_bases, labelling_times, training


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
    command = [sys.executable, "-m", "benchmarks.lineage", *options]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    (graph,) = json.loads((tmp_path / "all.json").read_text())["graphs"]
    assert (graph["database"], graph["rounds"], graph["labels"]) == ("sqlite", 2, 8)
    assert graph["nodes"] > 5 * graph["labels"] and graph["links"] > graph["nodes"]
    assert {"lineage of the last model", "affected by a pseudopotential"} < set(graph["seconds"])
    assert all(found["median"] > 0 for found in graph["seconds"].values())


def test_what_the_bases_of_cost_are_measured_with():
    """The divacancy in cells of the sizes they are called by, and networks that a training takes."""
    assert [len(cost_bases.structure(size)) for size in cost_bases.CELLS] == list(cost_bases.CELLS)
    for model, n_atoms in cost_bases.networks().values():
        assert n_atoms in cost_bases.CELLS
        assert TrainingParameters.complete({"model": {**model, "pair_potential": "none"}})["model"]["cutoff"] > 4


def test_ratio_of_labels_to_xargs():
    """A pass is set against the passes by xargs before and after it; processor times are means over the labels."""
    stages = [dict.fromkeys(labelling_times.STAGES, seconds) for seconds in (1.0, 3.0)]
    notes = {"a": [0.0, 0.0, 11.0, 9.0], "b": [0.0, 1.0, 12.0, 11.0]}
    found = {"seconds": 120.0, "load": 4.0, "daemon_seconds": 2.0, "notes": notes, "stages": stages}
    references = [{"seconds": seconds, "load": 1.0, "notes": notes} for seconds in (90.0, 110.0)]
    case = {"database": "sqlite", "workers": 2, "concurrent": 4, "labels": 2, "pass": found, "references": references}
    one = labelling_times.summary(case)
    assert (one["ratio"], one["reference"], one["spread"]) == (1.2, 100.0, 20.0)
    assert one["program"] == one["program_of_reference"] == 10.0
    assert one["load"] == 2.0
    printed = labelling_times.report([case, case]).splitlines()
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


def test_the_cost_of_an_epoch_is_the_difference_of_two_trainings() -> None:
    # Two seconds an epoch and ten besides; three and eleven; the machine is half as fast in the second round.
    times = {"direct": [[14.0, 30.0], [28.0, 60.0]], "package": [[17.0, 41.0], [34.0, 82.0]]}
    found = training.costs(times, (2, 10))
    assert found["direct"]["epoch"] == {"median": 3.0, "least": 2.0, "greatest": 4.0}
    assert found["package"]["of_direct"] == {"median": 1.5, "least": 1.5, "greatest": 1.5}
    assert found["package"]["rest"] == {"median": 16.5, "least": 11.0, "greatest": 22.0}


def test_the_first_epoch_below_a_target() -> None:
    assert training.epochs_to([0.5, 0.4, 0.45, 0.3], 0.4) == 2
    assert training.epochs_to([0.5, 0.4], 0.3) is None
    curves = {
        10: {"none": [0.5, 0.3], "fitted": [0.3, 0.2], "wall": [0.5, 0.3], "zbl": [0.5, 0.4]},
        20: {"none": [0.2], "fitted": [0.1], "wall": [0.2], "zbl": [0.2]},
    }
    found = training.reach(lambda size, seed: curves[size], [10, 20], 1, [0.3, 0.15])
    assert found["none"] == {"0.3": {10: [2], 20: [1]}, "0.15": {10: [None], 20: [None]}}
    assert found["fitted"] == {"0.3": {10: [1], 20: [1]}, "0.15": {10: [None], 20: [1]}}
