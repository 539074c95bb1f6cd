"""Classical potentials: found again, and each with its own pair style."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_sicmlip.common.lammps_files import find_potential_file
from aiida_sicmlip.data.classical_potential import classical_potential

pytestmark = pytest.mark.usefixtures("aiida_profile_clean")


@pytest.fixture
def file() -> Path:
    return find_potential_file("SiC.edip")


def test_node_holds_the_file(file: Path) -> None:
    node = classical_potential(file, "edip/multi", ["Si", "C"]).store()
    assert (node.filename, node.pair_style, node.species) == ("SiC.edip", "edip/multi", ["Si", "C"])
    assert node.get_content() == file.read_text()


def test_stored_node_is_found_again(file: Path) -> None:
    first = classical_potential(file, "edip/multi", ["Si", "C"]).store()
    again = classical_potential(file, "edip/multi", ["Si", "C"])
    assert again.is_stored
    assert again.uuid == first.uuid


def test_one_file_under_two_pair_styles(file: Path) -> None:
    first = classical_potential(file, "edip/multi", ["Si", "C"]).store()
    second = classical_potential(file, "edip", ["Si", "C"]).store()
    third = classical_potential(file, "edip", ["Si"]).store()
    assert len({first.uuid, second.uuid, third.uuid}) == 3
    assert [node.pair_style for node in (first, second, third)] == ["edip/multi", "edip", "edip"]
    assert [node.species for node in (first, second, third)] == [["Si", "C"], ["Si", "C"], ["Si"]]


@pytest.mark.parametrize(
    ("pair_style", "species", "named"), [("no/such", ["Si"], "no/such"), ("edip", ["Sx"], "Sx"), ("edip", None, "None")]
)
def test_unknown_words_are_refused(file: Path, pair_style: str, species: list[str], named: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError), match=named):
        classical_potential(file, pair_style, species)
