"""Integrity check of the archive of a model."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from aiida_sicmlip.common.exceptions import InputError


def require_undamaged(path: str | Path) -> None:
    """Compare each part of an archive with its checksum; torch loads damaged weights without an error.

    :raises InputError: where a part is damaged, or the archive is truncated.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    # For a damaged header with an unknown compression method, `zipfile` raises NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        damaged = str(error)
    if damaged is not None:
        raise InputError(
            f"The model `{path}` is damaged ({damaged}): its content is not what was written. Copy it again from "
            "its source, or train it again."
        )
