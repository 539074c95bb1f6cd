"""The command that starts a run: what it prints, what it refuses, and that it submits nothing before all is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from aiida import orm
from ase import Atoms
from click.testing import CliRunner, Result

from aiida_sicmlip.cli import main
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.plan import short_cost
from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions
from tests.graphs.explorations import Explored
from tests.graphs.interrupted_run import Parent, labels_at_level_of, made_parent


def run(*arguments: Any) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["run", *map(str, arguments)])


def test_every_protocol_is_listed_with_its_cost() -> None:
    shown = run()
    assert shown.exit_code == 0
    for name, description in protocol_descriptions().items():
        assert f"{name}: {description}\n  {short_cost(load_protocol(name))}" in shown.output


def processes() -> list[str]:
    """Return the labels of all processes."""
    return orm.QueryBuilder().append(orm.ProcessNode, project="attributes.process_label").all(flat=True)


@pytest.mark.usefixtures("aiida_profile_clean")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_rounds": 0}, "`max_rounds` is 0; give a whole number of at least 1"),
        ({"codes": {"pw": "pw@nowhere"}}, "`codes.pw` is `pw@nowhere`, which does not exist"),
        ({"training": {"parameters": {"model": {"cutoff": 1.0}}}}, "the nearest atoms of `structures.divacancy` are"),
        ({"exploration": {"parameters": {"temprature": 9}}}, "Did you mean `temperature`"),
        ("exploration: [", "is not YAML"),
    ],
)
def test_command_says_so_and_submits_nothing(
    write_settings: Callable[..., str], settings: dict[str, Any] | str, words: str
) -> None:
    result = run(write_settings(settings))
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert words in result.output
    assert "Traceback" not in result.output
    assert processes() == []


@pytest.mark.usefixtures("aiida_profile_clean")
def test_dry_run_submits_nothing(write_settings: Callable[..., str]) -> None:
    result = run(write_settings({"max_rounds": 3}), "--dry-run")
    assert result.exit_code == 0, result.output
    assert "Rounds: at most 3" in result.output
    assert (
        "DFT calculations: 8 for training and 4 for validation per round, 36 in total, at most 2 at a time"
        in result.output
    )
    assert "All inputs are valid; nothing was submitted." in result.output
    assert processes() == []


def test_assignments_stand_over_the_file(write_settings: Callable[..., str]) -> None:
    result = run(write_settings({"max_rounds": 3}), "-s", "max_rounds=4", "--dry-run")
    assert "Rounds: at most 4" in result.output
    result = run(write_settings({}), "-s", "max_rounds", "--dry-run")
    assert result.exit_code == 1
    assert result.output == "Error: the assignment `max_rounds` has no `=`; write `key=value`.\n"


def test_settings_are_shown_complete(write_settings: Callable[..., str]) -> None:
    path = write_settings({"max_rounds": 3})
    assert yaml.safe_load(run(path, "--show").output) == read_settings(path)


@pytest.fixture
def explored(divacancy: Atoms, variables: Any) -> Explored:
    return Explored(divacancy, variables)


@pytest.fixture
def models(portable_potential: Any, generate_compiled_potential: Callable[..., Any]) -> tuple[Any, Any]:
    return portable_potential, generate_compiled_potential()


@pytest.fixture
def parent(
    write_settings: Callable[..., str],
    labelled_frames: Callable[..., Any],
    explored: Explored,
    edip: Any,
    models: tuple[Any, Any],
) -> Parent:
    """A run of the protocol `demo` whose second training failed."""
    builder = checked_builder(read_settings(write_settings({})), store=False)
    return made_parent(explored, edip, labels_at_level_of(builder, labelled_frames), models)


def test_run_is_continued(write_settings: Callable[..., str], parent: Parent) -> None:
    path = write_settings({})
    result = run(path, "--continue", parent.run.pk, "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"Continues run <{parent.run.pk}>: next round 2" in result.output
    assert f"First round explores with: potential <{parent.compiled_potential.pk}>" in result.output
    assert "first from the continued run" in result.output


def test_what_cannot_be_continued_is_refused(write_settings: Callable[..., str]) -> None:
    node = orm.Int(1).store()
    result = run(write_settings({}), "--continue", node.pk)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: `continue` is node <{node.pk}>, an Int; give the PK or UUID of an Active")
