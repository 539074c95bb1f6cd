"""The DCD reader on files with known content; files of LAMMPS itself are read in test_lammps_input."""

import io
import struct

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.dcd import count_dcd_frames, read_dcd, read_dcd_header, read_dcd_pieces


def record(content: bytes, order: str = "<") -> bytes:
    """One Fortran record."""
    marker = struct.pack(order + "i", len(content))
    return marker + content + marker


def make_dcd(positions: np.ndarray, cell=None, order: str = "<", first: int = 100, every: int = 10) -> bytes:
    """A DCD of positions (F, N, 3) with one cell record (a, gamma, b, beta, alpha, c)."""
    control = [0] * 20  # The counter of frames stays 0, as in a run that was killed.
    control[1], control[2], control[10], control[19] = first, every, int(cell is not None), 24
    header = b"CORD" + struct.pack(order + "9i", *control[:9]) + struct.pack(order + "f", 0.001)
    content = record(header + struct.pack(order + "10i", *control[10:]), order)
    content += record(struct.pack(order + "i", 1) + b"title".ljust(80), order)
    content += record(struct.pack(order + "i", positions.shape[1]), order)
    for frame in positions:
        if cell is not None:
            content += record(np.asarray(cell, dtype=order + "f8").tobytes(), order)
        for axis in range(3):
            content += record(frame[:, axis].astype(order + "f4").tobytes(), order)
    return content


POSITIONS = np.random.default_rng(0).normal(size=(7, 5, 3)).astype(np.float32)
COSINES = [6.0, 0.5, 7.0, 0.25, 0.0, 8.0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cell", [None, COSINES])
def test_reads_what_is_there(tmp_path, order, cell):
    path = tmp_path / "t.dcd"
    path.write_bytes(make_dcd(POSITIONS, cell, order))
    header = read_dcd_header(path)
    assert (header.n_atoms, header.n_frames, header.first_step, header.steps_between_frames) == (5, 7, 100, 10)
    assert header.steps.tolist() == [100, 110, 120, 130, 140, 150, 160]
    positions, cells = read_dcd(path)
    assert positions.dtype == np.float64
    assert np.array_equal(positions, POSITIONS)
    if cell is None:
        assert np.isnan(cells).all()
    else:
        expected = [6, 7, 8, 90, np.degrees(np.arccos(0.25)), 60]
        assert np.allclose(cells, [expected] * 7)


def test_angles_in_degrees():
    _, cells = read_dcd(io.BytesIO(make_dcd(POSITIONS, [6.0, 60.0, 7.0, 75.5, 90.0, 8.0])))
    assert np.allclose(cells[0], [6, 7, 8, 90, 75.5, 60])


def test_chosen_frames_in_their_order():
    handle = io.BytesIO(make_dcd(POSITIONS, COSINES))
    positions, cells = read_dcd(handle, [5, 0, 5])
    assert np.array_equal(positions, POSITIONS[[5, 0, 5]])
    assert cells.shape == (3, 6)
    assert read_dcd(handle, [])[0].shape == (0, 5, 3)


@pytest.mark.parametrize("indices", [[7], [-1], [0.5]])
def test_refuses_frames_that_do_not_exist(indices):
    with pytest.raises(InputError, match="7 complete frames"):
        read_dcd(io.BytesIO(make_dcd(POSITIONS, COSINES)), indices)


def test_unfinished_last_frame_is_dropped():
    content = make_dcd(POSITIONS, COSINES)
    frame = read_dcd_header(io.BytesIO(content)).frame_bytes
    for cut in (1, 60, frame - 1):
        handle = io.BytesIO(content[:-cut])
        assert count_dcd_frames(handle) == 6
        assert np.array_equal(read_dcd(handle)[0], POSITIONS[:6])
    assert count_dcd_frames(io.BytesIO(content[:-frame])) == 6


def test_refuses_other_and_damaged_files():
    for content in (b"", b"not a dcd at all", make_dcd(POSITIONS)[:120]):
        with pytest.raises(InputError, match="DCD"):
            read_dcd(io.BytesIO(content))
    content = bytearray(make_dcd(POSITIONS, COSINES))
    header = read_dcd_header(io.BytesIO(content))
    content[header.offset + 2 * header.frame_bytes] ^= 0xFF
    with pytest.raises(InputError, match="Frame 2 "):
        read_dcd(io.BytesIO(content))
    assert np.array_equal(read_dcd(io.BytesIO(content), [3])[0][0], POSITIONS[3])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cell", [None, COSINES])
def test_pieces(order, cell):
    content = make_dcd(POSITIONS, cell, order)
    pieces = list(read_dcd_pieces(io.BytesIO(content), size=3))
    assert [len(piece) for piece in pieces] == [3, 3, 1]
    assert pieces[0].dtype == np.float32
    assert np.array_equal(np.concatenate(pieces), POSITIONS)
    assert np.array_equal(np.concatenate(list(read_dcd_pieces(io.BytesIO(content), 4, size=3))), POSITIONS[:4])


def test_a_damaged_frame_of_a_piece_is_named():
    content = bytearray(make_dcd(POSITIONS, COSINES))
    header = read_dcd_header(io.BytesIO(content))
    begin = header.offset + 4 * header.frame_bytes
    content[begin : begin + 4] = b"\0\0\0\0"
    pieces = read_dcd_pieces(io.BytesIO(content), size=3)
    assert len(next(pieces)) == 3
    with pytest.raises(InputError, match="Frame 4 of the DCD is damaged: its record `cell`"):
        next(pieces)
