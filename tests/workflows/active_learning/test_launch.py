"""Starting a run from Python: what the command does, without the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings, submit
from aiida_sicmlip.workflows.active_learning.plan import cost_lines, plan


def test_run_from_a_file_with_assignments(write_settings: Callable[..., str]) -> None:
    """As `docs/how-to/own-settings.md` shows it; without a daemon, nothing is submitted."""
    path = Path(write_settings({"max_rounds": 3}))
    settings = read_settings(path, ["seed=2", "exploration.walkers=8"])
    builder = checked_builder(settings)
    assert (builder.seed.value, builder.max_rounds.value, builder.exploration.walkers.value) == (2, 3, 8)
    assert builder.structures["divacancy"].is_stored
    assert "8 walkers" in "\n".join(plan(settings))
    assert cost_lines(settings)[0] == "Maximum cost:"
    before = orm.QueryBuilder().append(orm.WorkChainNode).count()
    with pytest.raises(InputError, match="The daemon is not running; start it with"):
        submit(builder)
    assert orm.QueryBuilder().append(orm.WorkChainNode).count() == before


def test_later_assignments_stand_over_earlier_ones(write_settings: Callable[..., str]) -> None:
    path = write_settings({"max_rounds": 3})
    assert read_settings(path, ["max_rounds=4", "max_rounds=5"])["max_rounds"] == 5


def test_settings_that_are_refused_leave_the_graph_as_it_was(write_settings: Callable[..., str]) -> None:
    settings = read_settings(write_settings({"bootstrap": {"species": ["Si"]}}))
    before = orm.QueryBuilder().append(orm.Node).count()
    with pytest.raises(InputError, match="knows the species Si, but the structure C7Si7 holds C too"):
        checked_builder(settings)
    assert orm.QueryBuilder().append(orm.Node).count() == before
