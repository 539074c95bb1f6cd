"""How commands end that fail: one message, never a traceback; that of an internal error is in a file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import OUT_OF_MEMORY, PROGRAM_FAILED, READER_GONE, UNEXPECTED
from aiida_sicmlip.common.failures import REPORT_PREFIX, internal_error_message, known_message
from aiida_sicmlip.engine.reports import run_command

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.zip")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("`seed` is -1."), "`seed` is -1."),
        (FULL, "No space left on device: `model.zip`."),
        (PermissionError(errno.EACCES, "Permission denied", "a", None, "b"), "Permission denied: `a` and `b`."),
        (MemoryError(), "The memory of this machine does not suffice."),
        (KeyError("forces"), None),
        (OSError("no number"), None),
    ],
)
def test_messages_of_causes_outside(error: Exception, message: str | None) -> None:
    assert known_message(error) == message


@pytest.mark.parametrize(("error", "status"), [(FULL, PROGRAM_FAILED), (MemoryError(), OUT_OF_MEMORY)])
def test_a_known_failure_is_one_line(error: Exception, status: int, folder: Path, capsys) -> None:
    assert run_command("sicmlip train", lambda: fail(error)) == status
    shown = capsys.readouterr()
    assert shown.err == f"sicmlip train: {known_message(error)}\n" and shown.out == ""
    assert list(folder.iterdir()) == []


def test_the_traceback_of_an_internal_error_is_in_a_file(folder: Path, capsys) -> None:
    assert run_command("sicmlip train", lambda: fail(KeyError("forces"))) == UNEXPECTED
    message = capsys.readouterr().err
    (file,) = folder.iterdir()
    assert file.name.startswith(REPORT_PREFIX) and str(file) in message
    assert message.startswith("sicmlip train: internal error, KeyError: 'forces'\n") and "Traceback" not in message
    text = file.read_text()
    assert "Traceback (most recent call last)" in text and "in fail" in text and "sicmlip train" in text


def test_a_folder_that_cannot_be_written_leaves_the_temporary_one(folder: Path, monkeypatch) -> None:
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    monkeypatch.setattr("pathlib.Path.cwd", lambda: folder / "nowhere")
    assert str(temporary) in internal_error_message(ValueError("a"), "sicmlip")
    assert len(list(temporary.iterdir())) == 1


def test_aiida_sicmlip_ends_in_the_same_way(folder: Path, monkeypatch) -> None:
    from aiida_sicmlip.cli import main

    for error, start in ((FULL, "No space left on device: `model.zip`."), (IndexError("4"), "internal error, Index")):
        monkeypatch.setattr("aiida_sicmlip.cli.LazyGroup.get_command", lambda *_, error=error: fail(error))
        result = CliRunner().invoke(main, ["status", "1"])
        assert result.exit_code == (1 if error is FULL else 70) and result.stderr.startswith(f"Error: {start}")
        assert "Traceback" not in result.output
    assert len(list(folder.iterdir())) == 1


def test_aiida_that_says_what_is_wrong(folder: Path, monkeypatch) -> None:
    from aiida.common.exceptions import ConfigurationError, NotExistent
    from sqlalchemy.exc import OperationalError

    from aiida_sicmlip.cli import main

    full = OperationalError("INSERT", {}, Exception("database or disk is full"))
    for error, known in ((ConfigurationError("no profile"), True), (full, True), (NotExistent("node"), False)):
        monkeypatch.setattr("aiida_sicmlip.cli.LazyGroup.get_command", lambda *_, error=error: fail(error))
        output = CliRunner().invoke(main, ["status", "1"]).output
        assert str(error).splitlines()[0] in output and ("internal error" in output) is not known


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_any_more(tmp_path: Path, unbuffered: str) -> None:
    """`sicmlip versions | head -0` says nothing, whether Python writes at once or at its end."""
    command = f"{sys.executable} -m aiida_sicmlip.engine.programs.main versions"
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(
        command.split(), cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (READER_GONE, b"")
