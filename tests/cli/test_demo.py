"""The demo keeps to its folder; the whole of it is run by `make demo`, and its parts by the tests of the loop."""

from __future__ import annotations

import os

import pytest

from aiida_sicmlip.cli import cmd_demo


@pytest.fixture
def environment(monkeypatch):
    """Give back the environment as it was."""
    for name in ("AIIDA_PATH", "SICMLIP_CACHE", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_everything_is_kept_in_one_folder(tmp_path, environment):
    """Profile, LAMMPS plugin and compiler caches lie in the folder of the demo."""
    cmd_demo.use_folder(tmp_path / "demo")
    for name in ("AIIDA_PATH", "SICMLIP_CACHE", "TORCHINDUCTOR_CACHE_DIR"):
        assert os.environ[name].startswith(str(tmp_path / "demo"))


def test_lines_are_printed_once(capsys):
    """A second look prints only what is new."""
    import datetime

    from aiida_sicmlip.tools.runs import Round, Run, Step

    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
    entry = Round(0, {"labelling": Step(2, "waiting", None, start, start)}, labels_asked=3)
    run = Run(1, "waiting", None, None, start, start, 1, [entry])
    show = cmd_demo.line_printer()
    show(run)
    assert [line.split("  ")[-1] for line in capsys.readouterr().out.splitlines()] == [
        "round 0 (1 of at most 1): labelling"
    ]
    entry.labels_done = 1
    show(run)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("label 1 of 3")
