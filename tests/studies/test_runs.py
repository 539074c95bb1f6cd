"""Studies that run on the smallest problem they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.program
def test_opes_divacancy(tmp_path):
    options = ["--seeds", "1", "--length", "6", "--pace", "0.1", "--unbiased-seeds", "1", "--unbiased-length", "2"]
    options += ["--unbiased-seeds", "1", "--unbiased-length", "3"]
    command = [sys.executable, "-m", "studies.opes_divacancy", str(tmp_path / "study"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    first = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    results = json.loads((tmp_path / "study" / "results.json").read_text())
    assert results["bias"]["barrier"] == 3.0
    for kind, length in (("biased", 6.0), ("unbiased", 2.0), ("unbiased", 3.0)):
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
    options += ["--steps", "2", "2", "--training", "2", "--validation", "6"]
    command = [sys.executable, "-m", "studies.potential_pictures", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"errors_by_round.png", "distance_to_defect.png", "parity.png", "training_curve.png"} <= names
