"""Trajectories that LAMMPS wrote: its orientation of the cell is not the user's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.exceptions import ValidationError
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.data.trajectory import SegmentTrajectoryData

FILE = Path(__file__).parents[1] / "parsers" / "fixtures" / "exploration" / "default" / "temporary" / "trajectory.dcd"
"""Five frames from the fixture `divacancy`, 5 steps of 1 fs apart; the first is the start structure itself."""


def displacement(first: Atoms, second: Atoms) -> float:
    """Return the largest displacement of an atom in A, whatever periodic image it is written as."""
    return float(find_mic(first.positions - second.positions, first.cell)[1].max())


def segment(atoms: Atoms, **changes: Any) -> SegmentTrajectoryData:
    arguments: dict[str, Any] = {
        "symbols": atoms.get_chemical_symbols(),
        "cell": atoms.cell.array,
        "n_frames": 5,
        "first_step": 1000,
        "steps_between_frames": 5,
        "timestep_ps": 0.002,
    }
    return SegmentTrajectoryData(FILE, **{**arguments, **changes})


def test_frames_are_in_the_orientation_of_the_user(divacancy: Atoms) -> None:
    frames = segment(divacancy).store().frames()
    assert [frame.get_chemical_symbols() for frame in frames] == [divacancy.get_chemical_symbols()] * 5
    assert np.triu(divacancy.cell.array, 1).any(), "the cell must be one that LAMMPS turns"
    for frame in frames:
        assert np.array_equal(frame.cell.array, divacancy.cell.array)
        assert frame.pbc.all()
        scaled = frame.get_scaled_positions(wrap=False)
        assert (scaled > -1e-6).all()
        assert (scaled < 1 + 1e-6).all()
    # Single precision of the file.
    assert displacement(frames[0], divacancy) < 2e-6
    for before, after in itertools.pairwise(frames):
        assert 1e-3 < displacement(before, after) < 0.3


def test_chosen_frames(divacancy: Atoms) -> None:
    node = segment(divacancy)
    everything = node.frames()
    chosen = node.frames([3, 0])
    assert len(chosen) == 2
    for frame, index in zip(chosen, (3, 0), strict=True):
        assert np.array_equal(frame.positions, everything[index].positions)
    with pytest.raises(IndexError, match="frame 5 was asked of a segment of 5 frames"):
        node.frames([0, 5])
    with pytest.raises(IndexError, match="frame -1"):
        node.frames([-1])


def test_steps_and_times(divacancy: Atoms) -> None:
    node = segment(divacancy).store()
    assert node.n_frames == 5
    assert node.symbols == divacancy.get_chemical_symbols()
    assert node.frame_interval_ps == pytest.approx(0.01)
    assert node.steps().tolist() == [1000, 1005, 1010, 1015, 1020]
    assert node.times() == pytest.approx([2.0, 2.01, 2.02, 2.03, 2.04])


def test_file_is_kept_byte_by_byte(divacancy: Atoms) -> None:
    assert segment(divacancy).store().get_content(mode="rb") == FILE.read_bytes()


def test_segment_without_frames_is_not_stored(divacancy: Atoms) -> None:
    with pytest.raises(ValidationError, match="without frames"):
        segment(divacancy, n_frames=0).store()
