"""Charge and spin in files of other programs: taken as they are said, never guessed."""

from __future__ import annotations

from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.exchange_formats import (
    ImportSettings,
    format_of_file,
    read_exchanged_frames,
    write_exchanged_frames,
)
from aiida_sicmlip.science.labels.labelled_frames import serialise_labelled_frames
from aiida_sicmlip.science.labels.states import LabelState, state_of_frame


def read(path: Path, *columns: str, **stated: int | str):
    """Write one silicon atom for each line of columns, and read them with charge and spin that are stated."""
    text = "".join(
        f'1\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.0 {line}\nSi 0 0 0 1 2 3\n'
        for line in columns
    )
    (path / "set.xyz").write_text(text)
    found = read_exchanged_frames(path / "set.xyz", ImportSettings(**stated))
    states = [state_of_frame(frame) for frame in found.frames]
    return [(state.charge, state.spin) for state in states], found.sources


@pytest.mark.parametrize("name", ["set.xyz", "set.db"])
def test_round_trip_of_charged_and_neutral_configurations(labelled_frames, tmp_path: Path, name: str) -> None:
    frames = labelled_frames(5)
    states = [LabelState(0, 2), LabelState(-1, 1), LabelState(2, 0), LabelState(0, None), LabelState(None, None)]
    for frame, state in zip(frames, states, strict=True):
        frame.info.update(charge=state.charge, spin=state.spin)
    write_exchanged_frames(tmp_path / name, frames, [{} for _ in frames], format_of_file(name))
    back = read_exchanged_frames(tmp_path / name)
    assert serialise_labelled_frames(back.frames) == serialise_labelled_frames(frames)
    assert back.sources["spin"] == "`spin` and `multiplicity`"


@pytest.mark.parametrize(
    ("columns", "stated", "expected", "sources"),
    [
        (("charge=0 spin=2", "charge=-1 spin=1"), {}, [(0, 2), (-1, 1)], ("`charge`", "`spin`")),
        (("total_charge=1 multiplicity=2",), {}, [(1, 1)], ("`total_charge`", "`multiplicity`")),
        (("charge=1.0 multiplicity=1",), {}, [(1, 0)], ("`charge`", "`multiplicity`")),
        (("charge=0 total_charge=0 spin=none",), {}, [(0, None)], ("`charge` and `total_charge`", "`spin`")),
        (("charge=-1", "charge=0"), {"spin": "none"}, [(-1, None), (0, None)], ("`charge`", "what is stated")),
        (("", ""), {"charge": 0, "spin": 0}, [(0, 0), (0, 0)], ("what is stated", "what is stated")),
        (("charge=0",), {"charge": 0, "spin": 0}, [(0, 0)], ("`charge`", "what is stated")),
    ],
)
def test_what_a_file_says(tmp_path: Path, columns, stated, expected, sources) -> None:
    assert read(tmp_path, *columns, **stated) == (expected, dict(zip(("charge", "spin"), sources, strict=True)))


@pytest.mark.parametrize(
    ("columns", "stated", "words"),
    [
        (("",), {"spin": 0}, "does not say the charge .*`--charge`, or as `charge` in the file of the level"),
        (("charge=0",), {}, r"does not say the spin .*unpaired electrons \(0 for a singlet.*`--spin`"),
        (
            ("charge=0", "", ""),
            {"spin": 0},
            "`charge` for 1 of its 3 frames, and nothing for the others, first frames 1, 2",
        ),
        (
            ("charge=0 total_charge=1",),
            {"spin": 0},
            "frame 0 .* says `charge` 0 and `total_charge` 1, which contradict",
        ),
        (("charge=0 spin=2 multiplicity=2",), {}, "says `spin` 2 and `multiplicity` 2, which contradict"),
        (("charge=0.5",), {"spin": 0}, "frame 0 of `set.xyz` has the `charge` 0.5; it is a whole number, or `none`"),
        (("charge=0 spin=-2",), {}, "has the `spin` -2; it is a whole number of at least 0"),
        (("charge=0 multiplicity=0",), {}, "has the `multiplicity` 0; it is a whole number of at least 1"),
        (("charge=plus",), {"spin": 0}, "has the `charge` 'plus'"),
        (("charge=T",), {"spin": 0}, "has the `charge` True"),
        (("charge=0", "charge=-1"), {"charge": 0, "spin": 0}, "frame 1 .* has the charge -1, but 0 is stated"),
        (("charge=none",), {"charge": 0, "spin": 0}, "frame 0 .* has the charge none, but 0 is stated"),
    ],
)
def test_what_is_refused(tmp_path: Path, columns, stated, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(tmp_path, *columns, **stated)


@pytest.mark.parametrize("column", ["charge=0 spin=1", "charge=0 multiplicity=2", "charge=1 spin=2"])
def test_multiplicities_under_the_name_of_the_spin_are_found(tmp_path: Path, column: str) -> None:
    """Some programs call the multiplicity `spin`; a number of electrons tells most of them."""
    with pytest.raises(InputError, match=r"cannot be unpaired\. The spin is the number of unpaired electrons"):
        read(tmp_path, column)
    assert read(tmp_path, "charge=1 spin=0")[0] == [(1, 0)], "without spin polarisation"


def test_charge_of_a_database_is_the_one_that_was_stored(tmp_path: Path) -> None:
    """ASE's rows give the sum of initial charges, 0 here, for a value that is called `charge`."""
    frame = Atoms("Si", cell=[5, 5, 5], pbc=True)
    frame.calc = SinglePointCalculator(frame, energy=-1.0, forces=np.zeros((1, 3)))
    with ase.db.connect(tmp_path / "set.db") as database:
        database.write(frame, charge=-1, multiplicity=2)
    (back,) = read_exchanged_frames(tmp_path / "set.db").frames
    assert state_of_frame(back) == LabelState(-1, 1)
