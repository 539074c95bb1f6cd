"""Command lines of any kind: each ends with a status and a message, and no internal error."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from aiida_sicmlip.cli import COMMANDS
from aiida_sicmlip.cli import main as aiida_sicmlip
from aiida_sicmlip.engine.programs.main import SUBCOMMANDS, main, subcommand_parser
from tests.fuzz.mutations import CASES

ARGUMENTS = st.one_of(
    st.sampled_from(
        [
            "0",
            "-1",
            "1",
            "9" * 30,
            "nan",
            "1e400",
            "",
            ".",
            "/",
            "missing",
            "a.extxyz",
            "folder",
            os.devnull,
            "--",
            "-",
            "\u00e5",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)
LONG = {"setup", "demo"}
"""Commands that make profiles and install programs; they have tests of their own."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file that is none of the expected ones, and a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.extxyz").write_text("2\nnothing of use\nSi 0 0\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


def options_of(name: str) -> list[str]:
    """Return the options of a subcommand of `sicmlip`."""
    return [word for action in subcommand_parser(name)._actions for word in action.option_strings]


@CASES
@given(st.data())
def test_sicmlip(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*SUBCOMMANDS]))
    words = st.one_of(st.sampled_from(options_of(name)), ARGUMENTS)
    before = (folder / "a.extxyz").read_bytes()
    try:
        status = main([name, *data.draw(st.lists(words, max_size=5))])
    except SystemExit as ended:
        status = ended.code
    assert isinstance(status, int) and status != 1
    assert not list(folder.glob("sicmlip-error-*")) and (folder / "a.extxyz").read_bytes() == before


@CASES
@given(st.data())
def test_aiida_sicmlip(folder: Path, aiida_profile, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in COMMANDS if name not in LONG]))
    command = aiida_sicmlip.get_command(None, name)
    start = [name]
    if isinstance(command, click.Group):
        start.append(data.draw(st.sampled_from(command.list_commands(None))))
        command = command.get_command(None, start[-1])
    words = st.one_of(st.sampled_from([word for option in command.params for word in option.opts]), ARGUMENTS)
    before = (folder / "a.extxyz").read_bytes()
    result = CliRunner().invoke(aiida_sicmlip, [*start, *data.draw(st.lists(words, max_size=4))])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "internal error" not in result.output
    assert not list(folder.glob("sicmlip-error-*")) and (folder / "a.extxyz").read_bytes() == before
