"""The reader of extended XYZ: what belongs to no frame, or would be read as something else, is refused."""

from __future__ import annotations

import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.extended_xyz import LABEL_KEYS, read_extended_xyz, species_of_file
from aiida_sicmlip.science.frame_checks import COINCIDENT, coincident_atoms, mistake_in_cell

LATTICE = 'Lattice="4.4 0 0 0 4.4 0 0 0 4.4"'
PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
ROWS = "Si 0 0 0 0.1 0.2 0.3\nC 1.1 1.1 1.1 -0.1 -0.2 -0.3\n"
HEADER = f'{LATTICE} {PROPERTIES} energy=-3.5 pbc="T T T"'
FRAME = f"2\n{HEADER}\n{ROWS}"


@pytest.fixture
def read(tmp_path: Path):
    """Return what reads a text."""

    def read(text: str | bytes, label_keys: tuple[str, ...] = LABEL_KEYS, taken: tuple[str, ...] = ()) -> list[Atoms]:
        path = tmp_path / "set.xyz"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return list(read_extended_xyz(path, label_keys, taken))

    return read


def test_frames_are_those_of_ase(tmp_path: Path, read) -> None:
    """Arrays, values of the header, labels, cells and periodic directions of what ASE writes."""
    rng = np.random.default_rng(0)
    frames = []
    for size, pbc in ((1, True), (2, [True, False, True]), (1, False)):
        atoms = bulk("SiC", "zincblende", a=4.36).repeat(size)
        atoms.rattle(0.1, seed=size)
        atoms.pbc = pbc
        atoms.arrays["tag"] = rng.integers(0, 5, len(atoms))
        atoms.info |= {"name": 'a "b" {c}', "number": 2, "vector": rng.normal(size=4), "flag": True, "my key": "x = y"}
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=(len(atoms), 3)))
        frames.append(atoms)
    ase.io.write(tmp_path / "ase.xyz", frames, format="extxyz")
    text = (tmp_path / "ase.xyz").read_text()
    expected = ase.io.read(tmp_path / "ase.xyz", index=":")
    for frame, other in zip(read(text), expected, strict=True):
        assert frame == other and frame.info.keys() == other.info.keys() and frame.arrays.keys() == other.arrays.keys()
        assert all(np.array_equal(frame.info[key], other.info[key]) for key in other.info)
        assert frame.get_potential_energy() == other.get_potential_energy()
        assert np.array_equal(frame.get_forces(), other.get_forces())


@pytest.mark.parametrize(
    "text",
    [
        f"\n\n{FRAME}\n \n{FRAME}\n\n",
        (FRAME + FRAME).replace("\n", "\r\n"),
        "\ufeff" + FRAME + FRAME.rstrip("\n"),
        f"  2  \n{HEADER}\n{ROWS}" * 2,
        FRAME.encode() + FRAME.replace("energy", "note=\u00c5 energy").encode("latin-1"),
    ],
    ids=["blank lines", "CRLF", "BOM", "spaces", "encoding"],
)
def test_frames_are_all_read(read, text: str | bytes) -> None:
    frames = read(text)
    assert [len(frame) for frame in frames] == [2, 2]
    assert all(frame.get_potential_energy() == -3.5 and frame.pbc.all() for frame in frames)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FRAME + "the end\n", "line 5 of `set.xyz`, after frame 0, is `the end`, where the number of atoms of frame 1"),
        ("comment\n" + FRAME, "line 1 of `set.xyz`, at its beginning, is `comment`"),
        (FRAME + f"2\n{HEADER}\n{ROWS}C 2 2 2 0 0 0\n", "line 9 of `set.xyz`, after frame 1, is `C 2 2 2 0 0 0`"),
        (FRAME + f"3\n{HEADER}\n{ROWS}", "frame 1 of `set.xyz` (line 5) says that it has 3 atoms, but it has 2"),
        (f"3\n{HEADER}\n{ROWS}\n{FRAME}", "frame 0 of `set.xyz` (line 1) says that it has 3 atoms, but it has 2"),
        (FRAME + FRAME[:-10], "frame 1 of `set.xyz` (line 5) has 5 words in the line of its atom 1"),
        ("2\n", "frame 0 of `set.xyz` (line 1) says that it has 2 atoms, but"),
        (f"1000000000\n{HEADER}\n{ROWS}", "says that it has 1000000000 atoms, but the file has only"),
        (f"{'9' * 5000}\n{HEADER}\n{ROWS}", "where the number of atoms of frame 0 must stand"),
        (f"0\n{HEADER}\n", "says that it has 0 atoms, and a frame has at least one"),
        ("-1\n", "where the number of atoms"),
        (b"\x00\x01\x02\xff" * 1000, "where the number of atoms"),
        ("x" * (2 << 20), "line 1 of `set.xyz` is longer than a megabyte"),
        (FRAME + "VEC1 1 0 0\n", "is `VEC1 1 0 0`, where the number of atoms"),
    ],
)
def test_text_that_belongs_to_no_frame(read, text: str | bytes, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        read(text)
    assert words in str(caught.value) and time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Lattice", "lattice", "has the header key `lattice`, which is not read; write `Lattice`"),
        ("pbc", "PBC", "write `pbc`"),
        ("Properties", "properties", "write `Properties`"),
        ("energy", "Energy", "write `energy`"),
        ("forces:R", "Forces:R", "has the column `Forces`, which is not read; write `forces`"),
        ("pos:R", "Pos:R", "write `pos`"),
        ("species:S", "Species:S", "write `species`"),
        ('pbc="T T T"', "pbc=T T F", 'a reader sees `pbc=T` alone; write it in quotes, as `pbc="T T F"`'),
        ('"4.4 0 0 0 4.4 0 0 0 4.4"', "4.4 0 0 0 4.4 0 0 0 4.4", "a reader sees `Lattice=4.4` alone"),
        ('pbc="T T T"', 'pbc="T T"', 'has `pbc="T T"` in its header; write'),
        ('pbc="T T T"', "pbc=yes", 'has `pbc="yes"` in its header; write'),
        ("0 0 4.4", "0 4.4", "nine finite numbers"),
        ("0 0 4.4", "0 0 nan", "nine finite numbers"),
        ('T T T"', "T T T", 'has a header in which `"` is missing'),
        (" energy", f" {LATTICE} energy", "has `Lattice` twice in its header"),
        ("pos:R:3", "velo:R:3", "has no column of positions in `Properties=species:S:1:velo:R:3"),
        ("pos:R:3", "pos:R:2:height:R:1", "has no column of positions"),
        ("species:S:1", "name:S:1", "has no column of elements"),
        ("pos:R:3", "pos:R:x", "write a name, a type (S, R, I or L) and a number of columns"),
        ("forces:R:3", "forces:R:1000000000", "write a name, a type"),
        (":forces:R:3", "", "has 7 words in the line of its atom 0, `Si 0 0 0 0.1 0.2 0.3`, and `Properties` names 4"),
        ("energy=-3.5", "energy=nan", "holds a number that is not finite (`energy`)"),
        ("energy=-3.5", "energy=T", "has `energy` as a logical"),
        ("energy=-3.5", "energy", "has `energy` as a logical"),
        ("forces:R:3", "forces:L:3", "has `forces` as a logical"),
        ("energy=-3.5", "energy=-3.5 weight=inf", "holds a number that is not finite (`weight`)"),
        ("Si 0 0 0", "Si 0 nan 0", "holds a number that is not finite (`positions`)"),
        ("-0.3", "-inf", "holds a number that is not finite (`forces`)"),
        ("Si 0 0 0", "Si 0 1e200 0", "has an atom 1e+200 A from the origin"),
        ("Si 0 0 0", "Si 0 x 0", "cannot be read as extended XYZ"),
        ("Si 0 0 0", "Qq 0 0 0", "cannot be read as extended XYZ"),
        ("Si 0 0 0", "X 0 0 0", "an atom that is no element"),
        ("4.4 0 0 0 4.4", "4.4 0 0 0 4.4e9", "has a cell vector of 4.4e+09 A"),
        ("4.4 0 0 0 4.4", "4.4 0 0 0 1e-10", "has periodic images at a distance of 1e-10 A"),
        ("4.4 0 0 0 4.4", "4.4 0 0 4.4 0", "is periodic along a direction in which it has no cell vector"),
        (LATTICE, "", "is periodic along a direction in which it has no cell vector"),
        ("C 1.1 1.1 1.1", "C 4.4 0 4.4", "has its atoms 0 and 1 (from 0) at the same place"),
    ],
)
def test_frames_that_mean_something_else(read, old: str, new: str, words: str) -> None:
    spoilt = FRAME.replace(old, new, 1)
    assert spoilt != FRAME
    with pytest.raises(InputError) as caught:
        read(FRAME + spoilt)
    assert words in str(caught.value) and "frame 1 of `set.xyz` (line 5)" in str(caught.value)


@pytest.mark.parametrize("stress", ['stress="1 2 3 4 5 6"', "virial=nan", 'stress="T"'])
def test_stress_that_nobody_asked_for(read, stress: str) -> None:
    (frame,) = read(FRAME.replace("energy", f"{stress} energy"))
    assert frame.get_potential_energy() == -3.5


def test_what_is_not_asked_for_may_have_any_case(read) -> None:
    renamed = FRAME.replace("energy", "Energy").replace("forces", "FORCES")
    assert [frame.info["Energy"] for frame in read(renamed, label_keys=())] == [-3.5]
    assert [frame.info["Energy"] for frame in read(renamed, taken=("Energy", "FORCES"))] == [-3.5]


def test_plain_xyz(read) -> None:
    """A comment is no header: loose words in it mean nothing."""
    (frame,) = read("2\nstep 5, T = 300 K pressure=1 2\nSi 0 0 0\nC 0 0 1.9\n")
    assert not frame.pbc.any() and frame.get_chemical_formula() == "CSi"


def test_elements_of_the_whole_file(tmp_path: Path) -> None:
    numbers = f"1\n{LATTICE} Properties=Z:I:1:pos:R:3\n7 0 0 0\n"
    (tmp_path / "set.xyz").write_text(FRAME + numbers + "1\n\nh 0 0 0\n")
    assert species_of_file(tmp_path / "set.xyz") == {"Si", "C", "N", "H"}
    (tmp_path / "set.xyz").write_text(FRAME + "1\n\nQq 0 0 0\n")
    with pytest.raises(InputError, match=r"frame 1 of `set.xyz` \(line 5\) has an atom of `Qq`"):
        species_of_file(tmp_path / "set.xyz")


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, True), (False,) * 3])
def test_coincident_atoms_are_those_of_all_images(pbc: tuple[bool, ...]) -> None:
    """In a skew cell, against the distances that ASE finds to all images."""
    rng = np.random.default_rng(1)
    cell = np.array([[6.0, 0, 0], [5.5, 4.0, 0], [-2.0, 3.0, 7.0]])
    positions = rng.uniform(0, 1, (20, 3)) @ cell
    assert mistake_in_cell(positions, cell, np.array(pbc)) is None
    assert coincident_atoms(positions, cell, np.array(pbc)) is None
    for distance, found in ((0.9 * COINCIDENT, (3, 11)), (1.1 * COINCIDENT, None)):
        vector = rng.normal(size=3)
        shift = rng.integers(-2, 3, 3) * np.array(pbc) @ cell
        positions[11] = positions[3] + shift + distance * vector / np.linalg.norm(vector)
        atoms = Atoms("C20", positions, cell=cell, pbc=pbc)
        assert atoms.get_distance(3, 11, mic=True) == pytest.approx(distance, rel=1e-6)
        assert coincident_atoms(positions, cell, np.array(pbc)) == found
