"""Models whose files have changed are refused."""

from __future__ import annotations

import zipfile

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.archives import require_undamaged


@pytest.fixture
def archive(tmp_path):
    """An archive of two parts, stored as they are, as torch does."""
    path = tmp_path / "model.nequip.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data/0", b"\x01" * 4000)
        file.writestr("model/data/1", b"\x02" * 4000)
    return path


def test_whole_archive_passes(archive):
    require_undamaged(archive)


@pytest.mark.parametrize(("place", "part"), [(2000, "model/data/0"), (6000, "model/data/1")])
def test_one_changed_bit_is_found(archive, place, part):
    """torch loads such weights without a word."""
    content = bytearray(archive.read_bytes())
    content[place] ^= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match=rf"is damaged \({part}\): its content is not what was written"):
        require_undamaged(archive)


def test_cut_off_archive_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(InputError, match="is damaged"):
        require_undamaged(archive)
