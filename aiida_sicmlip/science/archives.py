"""Archives whose bytes depend on their content alone: no date, no path, no compressor's version."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np

# The earliest date that a zip archive can hold. A real date would make equal data differ in their bytes.
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def stored_archive(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of members by name, in the order given.

    They are not compressed: mantissas of numbers hardly can be, and what a compressor makes depends on its version.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, date_time=_FIXED_DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def array_archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an npz archive of arrays by name, in the order given; `numpy.load` reads it."""
    members = {}
    for name, array in arrays.items():
        member = io.BytesIO()
        np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
        members[f"{name}.npy"] = member.getvalue()
    return stored_archive(members)
