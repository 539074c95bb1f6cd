"""Extended XYZ and ASE databases: numbers come back bit for bit, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.exchange_formats import (
    ImportSettings,
    format_of_file,
    read_exchanged_frames,
    write_exchanged_frames,
)
from aiida_sicmlip.science.labels.labelled_frames import serialise_labelled_frames

NEUTRAL = ImportSettings(charge=0, spin=2)
UUID = "6e0b07f1-0b8a-4d5f-9d9e-2f4f7a3f4e10"


@pytest.fixture
def frames(labelled_frames) -> list[Atoms]:
    """Frames of several sizes with numbers that need all their digits, one of them a cluster without a cell."""
    given = labelled_frames(3)
    small = Atoms("SiC", positions=[[1e-17, -1.0 / 3.0, 1e5 / 7.0], [0.1 + 0.2, 0.0, -0.0]])
    small.calc = SinglePointCalculator(
        small, energy=-1.0 / 7.0, forces=np.array([[1e-300, 2 / 3, 0], [np.pi, 1e22, 3]])
    )
    return [*given, small]


@pytest.mark.parametrize("name", ["set.xyz", "set.extxyz", "set.db"])
def test_round_trip_is_exact(frames: list[Atoms], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    columns = [{"label_uuid": UUID, "round": 2}, {}, {"frame": 11}, {}]
    write_exchanged_frames(path, frames, columns, format_of_file(name))
    assert serialise_labelled_frames(read_exchanged_frames(path).frames) == serialise_labelled_frames(frames)


def test_ase_reads_the_columns(frames: list[Atoms], tmp_path: Path) -> None:
    columns = [{"label_uuid": UUID, "round": 2, "start_structure": "vv"}, {"frame": 11}, {}, {}]
    electrons = [{"charge": 0, "spin": 2, "multiplicity": 3, "level_of_theory": 0}] * 3
    electrons.append({"charge": "none", "spin": "none", "level_of_theory": 0})
    write_exchanged_frames(tmp_path / "set.xyz", frames, columns, "extxyz")
    read = ase.io.read(tmp_path / "set.xyz", index=":")
    assert [frame.info for frame in read] == [one | other for one, other in zip(electrons, columns, strict=True)]
    assert [frame.get_potential_energy() for frame in read] == [frame.get_potential_energy() for frame in frames]
    write_exchanged_frames(tmp_path / "set.db", frames, columns, "db")
    database = ase.db.connect(tmp_path / "set.db")
    for row, one, other in zip(database.select(), electrons, columns, strict=True):
        # `charge` names the sum of initial charges in a database.
        assert row.key_value_pairs == {"total_charge" if key == "charge" else key: one[key] for key in one} | other
    (row,) = database.select(label_uuid=UUID)
    assert row.energy == frames[0].get_potential_energy()
    assert np.array_equal(row.forces, frames[0].get_forces())


def test_json_database(frames: list[Atoms], tmp_path: Path) -> None:
    with ase.db.connect(tmp_path / "set.json") as database:
        for frame in frames * 4:  # more than nine rows, whose numbers sort otherwise as text
            database.write(frame)
    read = read_exchanged_frames(tmp_path / "set.json", NEUTRAL).frames
    for frame in frames:
        frame.info.update(charge=0, spin=2)
    assert serialise_labelled_frames(read) == serialise_labelled_frames(frames * 4)


def test_only_the_label_is_taken(frames: list[Atoms], tmp_path: Path) -> None:
    frame = frames[0]
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.info["comment"] = "kept elsewhere"
    frame.set_initial_magnetic_moments(np.ones(len(frame)))
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    frame.set_constraint(FixAtoms([0, 1]))
    with ase.db.connect(tmp_path / "set.db") as database:
        database.write(frame)
    (read,) = read_exchanged_frames(tmp_path / "set.db", NEUTRAL).frames
    # Those of the calculation, not what a constraint leaves of them.
    assert np.array_equal(read.get_forces(), forces) and not read.constraints
    assert set(read.arrays) == {"numbers", "positions"} and read.info == {"charge": 0, "spin": 2, "level_of_theory": 0}


def write_renamed(path: Path, frame: Atoms) -> None:
    """Write a frame whose labels have other names, as files for training programs have them."""
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.calc = None
    frame.info["REF_energy"] = energy
    if path.suffix == ".db":
        with ase.db.connect(path) as database:
            database.write(frame, REF_energy=energy, data={"REF_forces": forces})
    else:
        frame.arrays["REF_forces"] = forces
        ase.io.write(path, frame, format="extxyz")


@pytest.mark.parametrize("name", ["set.xyz", "set.db"])
def test_other_names_of_energy_and_forces(frames: list[Atoms], tmp_path: Path, name: str) -> None:
    energy, forces = frames[0].get_potential_energy(), frames[0].get_forces()
    path = tmp_path / name
    write_renamed(path, frames[0])
    with pytest.raises(InputError, match=r"frame 0 of `set.\w+` has no `energy`.*holds .*`REF_energy`"):
        read_exchanged_frames(path)
    settings = ImportSettings(energy="REF_energy", forces="REF_forces", charge=0, spin=2)
    (read,) = read_exchanged_frames(path, settings).frames
    assert read.get_potential_energy() == pytest.approx(energy, abs=1e-8)
    assert read.get_forces() == pytest.approx(forces, abs=1e-8)


def test_free_energy_has_to_be_chosen(frames: list[Atoms], tmp_path: Path) -> None:
    frame, path = frames[0], tmp_path / "set.db"
    energy = frame.get_potential_energy()
    frame.calc.results["free_energy"] = energy - 0.5
    with ase.db.connect(path) as database:
        database.write(frame)
    with pytest.raises(InputError, match="derivative of one of them, with smeared occupations of the free energy"):
        read_exchanged_frames(path)
    for name, expected in (("energy", energy), ("free_energy", energy - 0.5)):
        (read,) = read_exchanged_frames(path, ImportSettings(energy=name, charge=0, spin=2)).frames
        assert read.get_potential_energy() == expected


def write_text(
    path: Path, *, lattice: str = 'Lattice="5 0 0 0 5 0 0 0 5"', energy: str = "energy=-1.0", row: str
) -> None:
    first = f"1\n{lattice} Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.0\nSi 0 0 0 1 2 3\n"
    path.write_text(f"{first}1\n{lattice} Properties=species:S:1:pos:R:3:forces:R:3 {energy}\n{row}\n", "utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energy": ""}, "has no `energy`"),
        ({"energy": "energy=nan"}, "a number that is not finite"),
        ({"energy": "energy=low"}, "no numbers"),
        ({"row": "Si 0 0 0 1 nan 3"}, "a number that is not finite"),
        ({"row": "Si 0 0 inf 1 2 3"}, "a number that is not finite"),
        ({"row": "X 0 0 0 1 2 3"}, "an atom that is no element"),
        ({"lattice": 'pbc="T T T"'}, r"frame 0 of `set.xyz` \(line 1\) is periodic along a direction"),
        ({"lattice": 'pbc="T T F" Lattice="5 0 0 10 0 0 0 0 5"'}, r"frame 0 of `set.xyz` \(line 1\) is periodic along"),
        ({"row": "Si 0 0 0 1 2"}, "has 6 words in the line of its atom 0"),
        ({"row": ""}, "says that it has 1 atoms, but it has 0 lines of atoms"),
    ],
)
def test_wrong_frames_are_named(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    write_text(tmp_path / "set.xyz", **{"row": "Si 0 0 0 1 2 3", **changes})
    with pytest.raises(InputError, match=words) as caught:
        read_exchanged_frames(tmp_path / "set.xyz")
    assert "frame 1 of `set.xyz`" in str(caught.value) or "frame 0" in words


def test_file_without_forces(tmp_path: Path) -> None:
    (tmp_path / "set.xyz").write_text('1\nLattice="5 0 0 0 5 0 0 0 5" energy=-1.0\nSi 0 0 0\n')
    with pytest.raises(InputError, match=r"has no `forces`, which a label needs; it holds `energy`.*`--forces NAME`"):
        read_exchanged_frames(tmp_path / "set.xyz")


@pytest.mark.parametrize("name", ["set.xyz", "set.db", "set.json"])
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_exchanged_frames(tmp_path / name)
    assert not (tmp_path / name).exists()
    (tmp_path / name).write_bytes(b"\xff\xfe nothing of the kind")
    with pytest.raises(InputError, match=r"cannot be read as a database|where the number of atoms of frame 0"):
        read_exchanged_frames(tmp_path / name)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "set.xyz").write_text("\n")
    with pytest.raises(InputError, match="has no frame"):
        read_exchanged_frames(tmp_path / "set.xyz")


def test_formats() -> None:
    with pytest.raises(InputError, match=r"`POSCAR` ends in ``; extended XYZ ends in .xyz"):
        format_of_file("POSCAR")


def test_existing_file_is_left_alone(frames: list[Atoms], tmp_path: Path) -> None:
    (tmp_path / "set.db").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_exchanged_frames(tmp_path / "set.db", frames, [{}] * 4, "db")
    assert (tmp_path / "set.db").read_text() == "mine"
    with pytest.raises(InputError, match=r"folder of .* does not exist"):
        write_exchanged_frames(tmp_path / "none" / "set.db", frames, [{}] * 4, "db")
    with pytest.raises(InputError, match="the format is `cif`"):
        write_exchanged_frames(tmp_path / "set.cif", frames, [{}] * 4, "cif")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"energie": "a"}, "Did you mean `energy`"),
        ({"forces": 3}, "`import.forces` is 3"),
        ({"energy": ""}, "is ''"),
        ({"charge": 0.5}, "`import.charge` is 0.5; give a whole number"),
        ({"spin": "triplet"}, "`import.spin` is 'triplet'; give a whole number"),
        ({"spin": -1}, "`import.spin` is -1; give a whole number of at least 0"),
    ],
)
def test_wrong_settings(settings: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ImportSettings.from_mapping(settings)
