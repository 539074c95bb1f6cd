"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from aiida_sicmlip.common.exceptions import InputError


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for bytes, which takes the place of ``path`` once it is whole.

    It is written beside ``path`` under a random name: what was there stays until then, and stays where the disk is full
    or the program is stopped. Of a symbolic link the file that it leads to is replaced, with its rights. A device or a
    pipe, such as ``/dev/null``, is written to and stays what it is.

    :raises InputError: where ``path`` is a folder, or in none.
    :raises OSError: with ``path`` as its file, when it cannot be written.
    """
    given = Path(path)
    if given.exists() and not given.is_file() and not given.is_dir():
        with given.open("wb") as handle:
            yield handle
        return
    target = Path(os.path.realpath(given))
    if target.is_dir():
        raise InputError(f"`{path}` is a folder; give the name of a file.")
    if not target.parent.is_dir():
        raise InputError(f"the folder of `{path}` does not exist; make it first.")
    unfinished = target.with_name(f".{target.name[:60]}-{secrets.token_hex(6)}")
    try:
        with unfinished.open("xb") as handle:
            yield handle
        if target.exists():
            unfinished.chmod(target.stat().st_mode & 0o7777)
        unfinished.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(unfinished)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_new(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file as :func:`new_file` does; text in UTF-8."""
    with new_file(path) as handle:
        handle.write(content if isinstance(content, bytes) else content.encode("utf-8"))
