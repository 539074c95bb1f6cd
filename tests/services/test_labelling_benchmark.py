"""`benchmarks/labelling.py` on the smallest problem, on both databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loop.conftest import require_programs


@pytest.mark.program
def test_two_labels(services: tuple[str, str], tmp_path: Path) -> None:
    """Both passes label all, and the stages of a label add up to its whole time. Servers are started anew for it."""
    require_programs()
    options = ["--labels", "2", "--repeats", "1", "1", "1", "--cutoff", "20", "--workers", "1", "--concurrent", "2"]
    command = [
        sys.executable,
        "-m",
        "benchmarks.labelling",
        *options,
        "--settle",
        "0",
        "--output",
        str(tmp_path / "all.json"),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    cases = json.loads((tmp_path / "all.json").read_text())["cases"]
    assert [case["database"] for case in cases] == ["sqlite", "postgresql"]
    for case in cases:
        assert len(case["pass"]["notes"]) == len(case["pass"]["stages"]) == 2
        assert all(len(reference["notes"]) == 2 for reference in case["references"])
        for label in case["pass"]["stages"]:
            assert min(label.values()) > -0.1
            assert label["pw.x"] < sum(label.values()) < case["pass"]["seconds"]
        assert case["pass"]["daemon_seconds"] > 0
        assert all(used > 0 for *_, used in case["pass"]["notes"].values())
    assert "mean time of a label in s" in result.stdout
