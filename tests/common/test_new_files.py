"""Files that are written whole or not at all, and what they never replace."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import new_file, write_new


def test_text_and_bytes(tmp_path: Path) -> None:
    write_new(tmp_path / "a", "Å\n")
    write_new(tmp_path / "b", b"\xff")
    assert (tmp_path / "a").read_bytes() == "Å\n".encode() and (tmp_path / "b").read_bytes() == b"\xff"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), new_file(path) as handle:
        handle.write(b"half")
        handle.flush()
        assert path.read_text() == "before"
        raise KeyboardInterrupt
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_links_lead_to_what_is_replaced_with_its_rights(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("before")
    target.chmod(0o600)
    (tmp_path / "link").symlink_to(target)
    write_new(tmp_path / "link", "after")
    assert (tmp_path / "link").is_symlink() and target.read_text() == "after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_devices_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    # Not the machine's own: a mistake would replace it.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_new(pipe, "through")
    reader.join(timeout=10)
    assert read == [b"through"] and stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]


def test_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_new(tmp_path, "")
    with pytest.raises(InputError, match="does not exist; make it first"):
        write_new(tmp_path / "no" / "file", "")


def test_full_disk(tmp_path: Path) -> None:
    """The system refuses what is beyond a limit, as a full disk does: the file of before is there, and nothing else."""
    path = tmp_path / "page.html"
    path.write_text("before")
    program = (
        "import resource, sys\n"
        "from aiida_sicmlip.common.new_files import write_new\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_new(sys.argv[1], 'x' * 5000)\n"
        "except OSError as error:\n"
        "    print(error.errno, error.filename)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert ended.stdout == f"{errno.EFBIG} {path}\n"
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
