"""Whether the archive that a model is kept in is as it was written."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from aiida_sicmlip.common.exceptions import InputError


def require_undamaged(path: str | Path) -> None:
    """Compare each part of an archive with its checksum; torch loads changed weights without a word.

    :raises InputError: where a part is not what it was, or the archive is truncated.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    # A damaged header may name a way of packing that `zipfile` does not have: that is its NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        damaged = str(error)
    if damaged is not None:
        raise InputError(
            f"The model `{path}` is damaged ({damaged}): its content is not what was written. Copy it again from where "
            "it is kept, or make it again."
        )
