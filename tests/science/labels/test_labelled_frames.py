"""The file of labelled frames: nothing is lost, equal data give equal bytes, bad data are refused in a message."""

import hashlib
import io
import pickle
import time

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels import labelled_frames as module
from aiida_sicmlip.science.labels.states import LabelState, set_state, state_of_frame


def make_frames(count: int = 5) -> list[Atoms]:
    """Frames of different sizes, cells and periodicity with random labels."""
    generator = np.random.default_rng(7)
    frames = []
    for index in range(count):
        size = 2 + index
        frame = Atoms(
            numbers=generator.choice([6, 14], size),
            positions=generator.normal(size=(size, 3)) * 10,
            cell=generator.normal(size=(3, 3)) + 5 * np.eye(3),
            pbc=[True, index % 2 == 0, True],
        )
        frame.calc = SinglePointCalculator(
            frame, energy=generator.normal() * 1e4, forces=generator.normal(size=(size, 3))
        )
        frames.append(frame)
    return frames


def test_round_trip_is_bitwise(tmp_path):
    frames = make_frames()
    module.write_labelled_frames(tmp_path / "set.npz", frames)
    read = module.read_labelled_frames(tmp_path / "set.npz")
    assert len(read) == len(frames)
    for new, old in zip(read, frames, strict=True):
        assert new.numbers.tolist() == old.numbers.tolist()
        assert new.positions.tobytes() == old.positions.tobytes()
        assert new.cell.array.tobytes() == old.cell.array.tobytes()
        assert new.pbc.tolist() == old.pbc.tolist()
        assert new.get_potential_energy() == old.get_potential_energy()
        assert new.get_forces().tobytes() == old.get_forces().tobytes()


def test_arrays_and_types(tmp_path):
    frames = make_frames(3)
    with (tmp_path / "set.npz").open("wb") as handle:
        module.write_labelled_frames(handle, frames)
    with np.load(tmp_path / "set.npz") as archive:
        labels = {"n_atoms", "numbers", "positions", "cells", "pbc", "energies", "forces"}
        assert set(archive.files) == labels | {"charges", "charge_known", "spins", "spin_known", "levels"}
        assert archive["n_atoms"].tolist() == [2, 3, 4]
        assert archive["positions"].shape == (9, 3)
        assert archive["positions"].dtype == np.float64
        assert archive["numbers"].dtype == np.int64


def test_equal_data_give_equal_bytes_at_any_time(tmp_path):
    digests = []
    for _ in range(2):
        path = tmp_path / f"{len(digests)}.npz"
        module.write_labelled_frames(path, make_frames())
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        time.sleep(2.1)  # A zip entry stores its date to two seconds.
    assert digests[0] == digests[1]
    changed = make_frames()
    changed[3].calc.results["energy"] = np.nextafter(changed[3].calc.results["energy"], np.inf)
    assert module.serialise_labelled_frames(changed) != module.serialise_labelled_frames(make_frames())


def test_reads_from_an_open_file():
    buffer = io.BytesIO(module.serialise_labelled_frames(make_frames()))
    assert len(module.read_labelled_frames(buffer)) == 5


def test_constrained_atoms_keep_their_forces():
    frames = make_frames(1)
    forces = frames[0].get_forces()
    frames[0].set_constraint(FixAtoms([0]))
    assert np.array_equal(module.pack_frames(frames)["forces"], forces)
    assert not np.array_equal(frames[0].get_forces(), forces)


@pytest.mark.parametrize("missing", ["energy", "forces"])
def test_refuses_unlabelled_frame(missing):
    frames = make_frames()
    del frames[2].calc.results[missing]
    with pytest.raises(InputError, match=f"Frame 2 .*has no {missing}"):
        module.serialise_labelled_frames(frames)


def test_refuses_stale_and_uncomputed_labels():
    frames = make_frames()
    frames[1].positions[0, 0] += 0.1
    with pytest.raises(InputError, match="Frame 1 "):
        module.serialise_labelled_frames(frames)
    frames = make_frames()
    frames[4] = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.5]], calculator=EMT())
    with pytest.raises(InputError, match="Frame 4 "):
        module.serialise_labelled_frames(frames)
    frames[4].calc = None
    with pytest.raises(InputError, match="Frame 4 "):
        module.serialise_labelled_frames(frames)


def test_refuses_not_finite_and_none():
    frames = make_frames()
    frames[0].calc.results["forces"][1, 1] = np.inf
    with pytest.raises(InputError, match=r"Frame 0 .*not finite"):
        module.serialise_labelled_frames(frames)
    with pytest.raises(InputError, match="no frames"):
        module.serialise_labelled_frames([])


def test_refuses_pickles(tmp_path):
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"energies": [1.0]}))
    with pytest.raises(InputError, match="pickled"):
        module.read_labelled_frames(tmp_path / "pickle.npz")
    arrays = dict(module.pack_frames(make_frames()))
    arrays["energies"] = np.array([object()] * 5, dtype=object)
    np.savez(tmp_path / "objects.npz", **arrays)
    with pytest.raises(InputError, match="energies"):
        module.read_labelled_frames(tmp_path / "objects.npz")


def test_refuses_foreign_truncated_and_contradictory_files(tmp_path):
    np.savez(tmp_path / "foreign.npz", energies=np.zeros(3))
    with pytest.raises(InputError, match="lacks the array"):
        module.read_labelled_frames(tmp_path / "foreign.npz")
    (tmp_path / "cut.npz").write_bytes(module.serialise_labelled_frames(make_frames())[:-200])
    with pytest.raises(InputError, match="npz"):
        module.read_labelled_frames(tmp_path / "cut.npz")
    arrays = dict(module.pack_frames(make_frames()))
    arrays["forces"] = arrays["forces"][:-1]
    np.savez(tmp_path / "short.npz", **arrays)
    with pytest.raises(InputError, match=r"`forces`.*shape"):
        module.read_labelled_frames(tmp_path / "short.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(InputError, match="single array"):
        module.read_labelled_frames(tmp_path / "single.npy")


STATES = [LabelState(0, 2, 0), LabelState(-1, 1, 1), LabelState(None, None, 2), LabelState(1, None, 0), LabelState()]


def test_charge_spin_and_level_come_back(tmp_path):
    frames = make_frames()
    for frame, state in zip(frames, STATES, strict=True):
        set_state(frame, state)
    path = tmp_path / "set.npz"
    module.write_labelled_frames(path, frames)
    assert module.read_states(path) == STATES
    assert [state_of_frame(frame) for frame in module.read_labelled_frames(path)] == STATES
    assert module.serialise_labelled_frames(make_frames(), STATES) == path.read_bytes()
    neutral = [*STATES[:2], LabelState(0, None, 2), *STATES[3:]]
    assert module.serialise_labelled_frames(frames, neutral) != path.read_bytes(), "no charge is not the charge 0"


def test_files_of_before_have_neither_charge_nor_spin(tmp_path):
    arrays = module.pack_frames(make_frames(), STATES)
    np.savez(tmp_path / "old.npz", **{name: arrays[name] for name in module.LABEL_ARRAYS})
    assert module.read_states(tmp_path / "old.npz") == [LabelState()] * 5
    assert len(module.read_labelled_frames(tmp_path / "old.npz")) == 5
    del arrays["spins"]
    np.savez(tmp_path / "half.npz", **arrays)
    with pytest.raises(InputError, match=r"lacks the array\(s\) spins"):
        module.read_labelled_frames(tmp_path / "half.npz")


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"charge": 0.5}, "the charge of a configuration is 0.5; give a whole number, or None"),
        ({"charge": True}, "the charge of a configuration is True"),
        ({"spin": -1}, "the spin of a configuration is -1; give a whole number of at least 0, or None"),
        ({"level_of_theory": None}, "the level of a configuration is None"),
    ],
)
def test_refuses_wrong_states(info, words):
    frames = make_frames()
    frames[2].info.update(info)
    with pytest.raises(InputError, match=words):
        module.serialise_labelled_frames(frames)
