"""Codes whose programs are the real ones behind a script that puts a fault in their way."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm

import aiida_sicmlip
from tests.faults.killed_run import folder, killed_run  # noqa: F401 (fixtures)
from tests.loop.conftest import ask, switched  # noqa: F401 (fixtures)

SOURCES = Path(aiida_sicmlip.__file__).parent.parent
PROGRAMS = {
    "sicmlip.exploration": "aiida_sicmlip.engine.programs.lmp",
    "sicmlip.training": "aiida_sicmlip.engine.programs.main",
}


class Program:
    """A code, its script, and the folders in which it was started."""

    def __init__(self, code: orm.InstalledCode, script: Path, note: Path) -> None:
        self.code, self.script, self._note = code, script, note

    @property
    def starts(self) -> int:
        """How often it was started."""
        return len(self._note.read_text().split()) if self._note.exists() else 0


@pytest.fixture
def program(aiida_localhost: Any, tmp_path: Path) -> Callable[..., Program]:
    """Makes programs: plugin, lines of shell before the real program, lines in the job script before all."""
    aiida_localhost.set_minimum_job_poll_interval(0.2)

    def make(plugin: str, lines: str = "", prepend: str = "") -> Program:
        name = f"{plugin.rsplit('.', 1)[-1]}-{len(list(tmp_path.iterdir()))}"
        script, note = tmp_path / name, tmp_path / f"{name}.starts"
        real = f"{sys.executable} -m {PROGRAMS[plugin]}" if plugin in PROGRAMS else shutil.which("pw.x")
        if real is None:
            pytest.skip("pw.x is not installed; `make install` says how to get it")
        begin = f'export OMP_NUM_THREADS=1 PYTHONPATH={SOURCES}\necho "$PWD" >> {note}\nreal="{real}"'
        script.write_text(f'#!/bin/bash\n{begin}\n{lines}\nexec $real "$@"\n')
        script.chmod(0o755)
        code = orm.InstalledCode(
            aiida_localhost, str(script), label=name, default_calc_job_plugin=plugin, prepend_text=prepend
        ).store()
        return Program(code, script, note)

    return make
