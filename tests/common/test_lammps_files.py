"""Potential files: those of the user, those of LAMMPS, and names that are nearly one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.common.lammps_files import find_potential_file


def test_file_of_lammps() -> None:
    path = find_potential_file("SiC.edip")
    assert path.name == "SiC.edip"
    assert path.read_text().startswith("# DATE")


def test_file_of_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "SiC.edip"
    own.write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert find_potential_file("SiC.edip") == own.resolve()
    assert find_potential_file(str(own)) == own.resolve()


def test_unknown_name_has_a_nearest_one() -> None:
    with pytest.raises(
        InputError, match=r"`SiC.edipp` is neither a file here nor one of LAMMPS. Did you mean `SiC.edip`"
    ):
        find_potential_file("SiC.edipp")


def test_nearest_name() -> None:
    assert nearest_name("temprature", ["temperature", "timestep"]) == "Did you mean `temperature`?"
    assert nearest_name("xyz", ["b", "a"]) == "Known are: `a`, `b`."
