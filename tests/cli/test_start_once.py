"""The script of a job runs its program once, however often it is started."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from aiida_sicmlip.cli.setup.computer import START_ONCE


def start(folder: Path) -> subprocess.Popen:
    """Start the script of a job that takes a second and notes what it does."""
    script = folder / "job.sh"
    if not script.exists():
        script.write_text(f"#!/bin/bash\n{START_ONCE}\necho begun >> notes\nsleep 1\necho done >> notes\n")
    return subprocess.Popen(["bash", str(script)], cwd=folder)


def test_second_start_waits_for_the_first(tmp_path):
    """The second start ends after the first, with success, and runs nothing."""
    first = start(tmp_path)
    time.sleep(0.2)
    second = start(tmp_path)
    assert second.wait(timeout=20) == 0
    assert (tmp_path / "notes").read_text() == "begun\ndone\n"
    assert first.wait(timeout=1) == 0


def test_simultaneous_starts(tmp_path):
    """Of several starts at one moment, one runs."""
    jobs = [start(tmp_path) for _ in range(5)]
    assert [job.wait(timeout=20) for job in jobs] == [0] * 5
    assert (tmp_path / "notes").read_text() == "begun\ndone\n"


def test_start_after_the_end(tmp_path):
    """A job that has ended is not run again."""
    assert start(tmp_path).wait(timeout=20) == 0
    assert start(tmp_path).wait(timeout=20) == 0
    assert (tmp_path / "notes").read_text() == "begun\ndone\n"


def test_killed_first_start_frees_the_second(tmp_path):
    """Where the first start was killed the second ends too, and the job counts as one that left nothing."""
    first = start(tmp_path)
    time.sleep(0.3)
    first.kill()
    first.wait(timeout=5)
    assert start(tmp_path).wait(timeout=20) == 0
    assert (tmp_path / "notes").read_text() == "begun\n"
