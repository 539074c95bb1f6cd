"""Files of arrays: what is none, or claims more than it holds, is a message."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.archives import array_archive, opened_archive, read_array


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """Return an array in `npy` that claims a shape and holds one number."""
    content = io.BytesIO()
    description = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, description)
    return content.getvalue() + bytes(8)


def archive(member: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a.npy", member)
    return content.getvalue()


def pickled() -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([{}], dtype=object), allow_pickle=True)
    return content.getvalue()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    numbers = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "a.npy", numbers)
    assert np.array_equal(read_array(tmp_path / "a.npy", "it"), numbers)
    (tmp_path / "a.npz").write_bytes(array_archive({"a": numbers}))
    np.savez_compressed(tmp_path / "b.npz", a=numbers, zeros=np.zeros(1_000_000))
    for name in ("a.npz", "b.npz"):
        with opened_archive(tmp_path / name, "it") as arrays:
            assert np.array_equal(arrays["a"], numbers)


WRONG = [b"", b"text", b"PK", b"\x93NUMPY", header((10**12,)), header((10**9, 10**9)), header((2,)), pickled()]


@pytest.mark.parametrize("content", WRONG)
def test_arrays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    start = time.monotonic()
    with pytest.raises(InputError, match="it cannot be read as an array"):
        read_array(tmp_path / "a.npy", "it")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "content", [*WRONG, header((1,)), *map(archive, WRONG), array_archive({"a": np.ones(9)})[:-30]]
)
def test_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with (
        pytest.raises(InputError, match="it cannot be read as an npz archive"),
        opened_archive(tmp_path / "a.npz", "it") as arrays,
    ):
        arrays["a"]
