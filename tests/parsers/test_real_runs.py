"""The runs behind the fixtures, done again: what a CalcJob writes is run by the real program and parsed.

With `SICMLIP_KEEP_RUNS=1` in the environment, the files of the runs replace those of the fixtures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
PROGRAMS = {
    "exploration": "aiida_sicmlip.engine.programs.lmp",
    "training": "aiida_sicmlip.engine.programs.main",
    "compilation": "aiida_sicmlip.engine.programs.main",
    "evaluation": "aiida_sicmlip.engine.programs.main",
    "reference_label": "aiida_sicmlip.engine.programs.main",
    "collective_variables": "aiida_sicmlip.engine.programs.main",
    "descriptors": "aiida_sicmlip.engine.programs.main",
}
KEPT_BYTES = 100_000
"""Larger files, which are models, are kept by their name alone: parsers do not look into them."""

CASES = sorted(path.parent for path in FIXTURES.glob("*/*/case.json"))


@pytest.mark.program
@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_run(
    folder: Path, generate_calc_job: Callable[..., Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case_inputs, parse_folder = (request.getfixturevalue(name) for name in ("case_inputs", "parse_folder"))
    case = json.loads((folder / "case.json").read_text())
    name = folder.parent.name
    working, calcinfo = generate_calc_job(f"sicmlip.{name}", case_inputs(folder))
    copy_inputs(calcinfo, working)
    if name == "compilation":
        shutil.copy(request.getfixturevalue("trained_model"), working / "potential.nequip.zip")
    code = calcinfo.codes_info[0]
    with (working / code.stdout_name).open("w") as out, (working / code.stderr_name).open("w") as err:
        subprocess.run(
            [sys.executable, "-m", PROGRAMS[name], *code.cmdline_params],
            cwd=working,
            env={**os.environ, "OMP_NUM_THREADS": "1", **case.get("environment", {})},
            stdout=out,
            stderr=err,
            check=False,
            timeout=300,
        )
    made = tmp_path / name / folder.name
    shutil.copytree(folder, made, ignore=shutil.ignore_patterns("retrieved", "temporary"))
    for kind, names in (("retrieved", calcinfo.retrieve_list), ("temporary", calcinfo.retrieve_temporary_list)):
        (made / kind).mkdir()
        for entry in names:
            # Patterns, and names alone, as AiiDA's `retrieve_list` has them.
            pattern = entry if isinstance(entry, str) else entry[0]
            for path in working.glob(pattern):
                shutil.copy(path, made / kind / path.name)
    parsed = parse_folder(made)
    if os.environ.get("SICMLIP_KEEP_RUNS"):
        keep(made, folder)
    assert parsed.status == case["exit_status"], parsed.message


def copy_inputs(calcinfo: Any, working: Path) -> None:
    """Do what the engine does with ``local_copy_list``."""
    from aiida import orm

    for uuid, filename, target in calcinfo.local_copy_list:
        content = orm.load_node(uuid).base.repository.get_object_content(filename, mode="rb")
        (working / target).write_bytes(content)


def keep(made: Path, folder: Path) -> None:
    """Replace the fixture ``folder`` by the run ``made``."""
    for kind in ("retrieved", "temporary"):
        shutil.rmtree(folder / kind, ignore_errors=True)
        for path in sorted((made / kind).iterdir()):
            (folder / kind).mkdir(exist_ok=True)
            content = path.read_bytes()
            # Where a program was is nobody's business.
            for place, name in ((sys.prefix, b"/venv"), (str(made), b"/run"), (str(Path.home() / ".cache"), b"/cache")):
                content = content.replace(place.encode(), name)
            (folder / kind / path.name).write_bytes(content if len(content) < KEPT_BYTES else b"a model")


@pytest.fixture(scope="session")
def trained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packaged model to compile, trained for a pass."""
    from potential_helpers import prepare_training, run_potential

    folder = prepare_training(tmp_path_factory.mktemp("trained"), maximum_steps=2)
    result = run_potential(folder, "train")
    assert result.returncode == 0, result.stderr
    return folder / "potential.nequip.zip"
