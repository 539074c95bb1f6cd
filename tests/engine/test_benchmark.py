"""The benchmark of the engine runs; how fast anything is, is not tested."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[2]


def test_benchmark_runs_at_the_smallest_size(run_lammps, allegro_model):
    models = ("--models", str(allegro_model.pair_allegro), str(allegro_model.ase))
    size = ("--cells", "2", "--steps", "2", "--rounds", "2")
    script = ("-m", "benchmarks.engine", "--folder", "runs", "--output", "numbers.json")
    environment = run_lammps.environment | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    result = run_lammps.python(*script, *models, *size, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((run_lammps.folder / "numbers.json").read_text())
    (structure,) = report["structures"]
    assert structure["atoms"] == 62
    assert structure["edges"] > 62 * 12
    assert list(structure["programs"]) == ["model", "engine", "committee", "biased", "ase"]
    assert structure["programs"]["model"]["of_model"]["median"] == 1
    assert all(entry["ms"]["median"] > 0 for entry in structure["programs"].values())
    assert list(structure["bias_alone"]) == ["1", "100", "1000"]
    for name in ("62 atoms", "engine", "biased", "ase", "1000 kernels"):
        assert name in result.stdout
    log = (run_lammps.folder / "runs" / "cells-2" / "plumed.log").read_text()
    assert "435 DISTANCE, 1 PYTORCH_MODEL, 1 OPES_METAD_EXPLORE" in log
    assert "WARNING" not in log
