"""Frames that a failing potential has spoilt."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.frame_filter import FrameFilterSettings, filter_frames

N_ATOMS = 10
REASONS = ("not_finite", "min_distance", "max_force", "energy_window")


def frames(**changes) -> dict[str, np.ndarray]:
    """Six good frames; `changes` replace the value of one of them each: name=(frame, value)."""
    columns = {
        "potential_energy": np.array([-80.0, -80.1, -79.9, -80.0, -80.2, -79.8]),
        "min_distance": np.full(6, 1.7),
        "max_force": np.full(6, 6.0),
    }
    for name, (frame, value) in changes.items():
        columns[name][frame] = value
    return columns


def counts(**expected: int) -> dict[str, int]:
    return {**dict.fromkeys(REASONS, 0), **expected}


ALL = FrameFilterSettings(min_distance=1.2, max_force=30.0, energy_window=0.5)


def test_nothing_is_left_out_by_default():
    wild = frames(min_distance=(1, 0.1), max_force=(2, 1e4), potential_energy=(3, 1e5))
    kept, found = filter_frames(FrameFilterSettings(), wild, N_ATOMS)
    assert kept.tolist() == list(range(6))
    assert found == counts()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["potential_energy", "min_distance", "max_force"])
def test_what_is_no_number_is_always_left_out(name, value):
    kept, found = filter_frames(FrameFilterSettings(), frames(**{name: (4, value)}), N_ATOMS)
    assert kept.tolist() == [0, 1, 2, 3, 5]
    assert found == counts(not_finite=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"min_distance": (2, 1.19)}, "min_distance"),
        ({"max_force": (2, 30.1)}, "max_force"),
        ({"potential_energy": (2, -74.0)}, "energy_window"),
        ({"potential_energy": (2, -86.0)}, "energy_window"),
    ],
)
def test_each_bound(change, reason):
    kept, found = filter_frames(ALL, frames(**change), N_ATOMS)
    assert kept.tolist() == [0, 1, 3, 4, 5]
    assert found == counts(**{reason: 1})


def test_bounds_themselves_are_kept():
    edge = frames(min_distance=(0, 1.2), max_force=(1, 30.0), potential_energy=(2, -75.0))
    assert len(filter_frames(ALL, edge, N_ATOMS)[0]) == 6


def test_energy_is_per_atom():
    hot = frames(potential_energy=(2, -74.0))
    assert len(filter_frames(ALL, hot, N_ATOMS)[0]) == 5
    assert len(filter_frames(ALL, hot, 2 * N_ATOMS)[0]) == 6


def test_each_frame_counts_once():
    spoilt = frames(min_distance=(2, 0.3), max_force=(2, 900.0), potential_energy=(2, 4000.0))
    assert filter_frames(ALL, spoilt, N_ATOMS)[1] == counts(min_distance=1)


def test_a_run_that_ends_in_an_explosion_keeps_its_beginning():
    """The median does not follow what is spoilt: most of these frames are."""
    energy = np.array([-80.0, -80.1, -79.9, 500.0, 4e3, 1e6, 1e7])
    columns = {
        "potential_energy": energy,
        "min_distance": np.array([1.7, 1.7, 1.7, 1.5, 0.9, 0.5, 0.2]),
        "max_force": np.array([6.0, 6.0, 6.0, 80.0, 1e3, 1e5, 1e7]),
    }
    kept, found = filter_frames(ALL, columns, N_ATOMS)
    assert kept.tolist() == [0, 1, 2]
    assert sum(found.values()) == 4


def test_no_frame_and_no_good_frame():
    nothing = {name: np.zeros(0) for name in frames()}
    assert filter_frames(ALL, nothing, N_ATOMS)[0].tolist() == []
    bad = {**frames(), "min_distance": np.zeros(6)}
    kept, found = filter_frames(ALL, bad, N_ATOMS)
    assert kept.tolist() == []
    assert found == counts(min_distance=6)


def test_errors():
    columns = frames()
    with pytest.raises(InputError, match="lack max_force"):
        filter_frames(ALL, {name: columns[name] for name in ("potential_energy", "min_distance")}, N_ATOMS)
    with pytest.raises(InputError, match="shapes"):
        filter_frames(ALL, {**columns, "min_distance": np.ones(5)}, N_ATOMS)
    with pytest.raises(InputError, match="`n_atoms` is 0"):
        filter_frames(ALL, columns, 0)
    with pytest.raises(InputError, match=r"`exploration\.filter\.energy_window`"):
        FrameFilterSettings.from_mapping({"energy_window": 0})
