"""Files of users with mistakes in them: each reader returns what makes sense, or says what is wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given
from hypothesis import strategies as st

from aiida_sicmlip.cli.setup.pseudopotentials import require_whole
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.bias_driver import read_frames
from aiida_sicmlip.engine.frames import read_structures
from aiida_sicmlip.engine.labelled_files import read_labelled_file
from aiida_sicmlip.engine.labelling import read_configuration
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.archives import read_array
from aiida_sicmlip.science.bias.directives import parse_directives
from aiida_sicmlip.science.bias.tables import read_table
from aiida_sicmlip.science.dynamics.colvar import read_colvar
from aiida_sicmlip.science.dynamics.dcd import read_dcd
from aiida_sicmlip.science.dynamics.lammps_log import find_errors, parse_thermo
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames
from aiida_sicmlip.science.labels.level_file import read_statement
from aiida_sicmlip.science.pines.export import read_model
from aiida_sicmlip.science.yaml_files import read_yaml
from aiida_sicmlip.workflows.protocols.loop import load_protocol
from tests.fuzz.mutations import CASES, mutated

TESTS = Path(__file__).parents[1]
RUN = TESTS / "parsers" / "fixtures" / "exploration" / "biased"
XYZ = (
    b"""\
4
Lattice="4 0.0 0.0 0.0 4 0.0 0.0 0.0 4" Properties=species:S:1:pos:R:3:forces:R:3 energy=-30.5 charge=0 pbc="T T T"
Si 0.0 0.0 0.0 0.1 0.0 -0.2
C 1.1 1.1 1.1 -0.1 0.3 0.0
Si 2.2 2.2 0.0 0.0 0.0 0.1
C 3.3 3.3 1.1 0.0 -0.3 0.1
"""
    * 3
)
BOXED = b"2\n 10.0 10.0 10.0\nX 0.0 0.0 0.0\nX 1.0 0.5 0.0\n" * 3
YAML = b"protocol: fast\nmax_rounds: 3\nexploration:\n  walkers: 2\n  bias: {barrier: 1.5}\nbudget: {labels: 40}\n"
LEVEL = b"program: quantumespresso.pw\nfunctional: PBE\nsettings: {ecutwfc: 30.0, nspin: 2}\n"
CONFIGURATION = json.dumps(
    {"symbols": ["Si", "C"], "cell": [[4, 0, 0], [0, 4, 0], [0, 0, 4]], "positions": [[0, 0, 0], [1, 1, 1]]}
).encode()
UPF = (
    b'<UPF version="2.0.1">\n<PP_HEADER element="Si" z_valence="4.0" mesh_size="4"/>\n'
    b'<PP_MESH mesh="4">\n<PP_R size="4">\n0.0 0.1 0.2 0.3\n</PP_R>\n</PP_MESH>\n</UPF>\n'
)


def labelled() -> bytes:
    """Return a data set of two frames."""
    frames = []
    for number in range(2):
        frame = Atoms("SiC", positions=[[0, 0, 0], [1.1, 1.1, 1.1 + 0.1 * number]], cell=[4.4] * 3, pbc=True)
        frame.calc = SinglePointCalculator(frame, energy=-3.0, forces=np.zeros((2, 3)))
        frames.append(frame)
    stream = io.BytesIO()
    write_labelled_frames(stream, frames)
    return stream.getvalue()


def array() -> bytes:
    """Return an array as a file."""
    stream = io.BytesIO()
    np.save(stream, np.arange(12.0).reshape(4, 3))
    return stream.getvalue()


def finite_frames(frames: list[Atoms]) -> None:
    """Frames that were taken are whole: finite numbers, elements that exist, no two atoms at one place."""
    assert frames
    for frame in frames:
        assert np.isfinite(frame.positions).all() and np.isfinite(frame.cell.array).all() and (frame.numbers > 0).all()


def boxed_frames(path: Path) -> None:
    for positions, cell in read_frames(path):
        assert np.isfinite(positions).all() and np.isfinite(cell).all()


def labelled_file(path: Path) -> None:
    frames = read_labelled_file(path)
    finite_frames(frames)
    assert all(np.isfinite(frame.get_forces()).all() and np.isfinite(frame.get_potential_energy()) for frame in frames)


READERS: dict[str, tuple[str, bytes, Callable[[Path], Any]]] = {
    "frames with labels": ("frames.extxyz", XYZ, labelled_file),
    "structures": ("frames.xyz", XYZ, lambda path: finite_frames(read_structures(path, "pool"))),
    "boxed frames": (
        "frames.xyz",
        BOXED,
        boxed_frames,
    ),
    "settings": ("run.yaml", YAML, lambda path: load_protocol(None, path)),
    "YAML": ("run.yaml", YAML, lambda path: read_yaml(path, "settings")),
    "level of theory": ("level.yaml", LEVEL, read_statement),
    "configuration": ("label.json", CONFIGURATION, lambda path: finite_frames([read_configuration(path)])),
    "JSON": ("cv.json", CONFIGURATION, lambda path: read_json(path, "settings")),
    "data set": ("frames.npz", labelled(), lambda path: finite_frames(read_labelled_frames(path))),
    "array": ("kept.npy", array(), lambda path: read_array(path, "kept frames")),
    "trajectory": ("t.dcd", (RUN / "temporary" / "trajectory.dcd").read_bytes(), read_dcd),
    "COLVAR": ("COLVAR", (RUN / "temporary" / "COLVAR").read_bytes(), read_colvar),
    "STATE": ("STATE", (RUN / "temporary" / "STATE").read_bytes(), read_table),
    "UPF": ("Si.UPF", UPF, require_whole),
}


@pytest.mark.parametrize("name", READERS)
def test_files(name: str, tmp_path: Path) -> None:
    file, content, read = READERS[name]
    path = tmp_path / file
    path.write_bytes(content)
    # What the mistakes are made in is in order.
    read(path)

    @CASES
    @given(mutated(content))
    def try_one(changed: bytes) -> None:
        path.write_bytes(changed)
        try:
            read(path)
        except InputError as error:
            assert str(error)
        assert path.read_bytes() == changed and list(tmp_path.iterdir()) == [path]

    try_one()


@CASES
@given(mutated((RUN / "retrieved" / "log.lammps").read_bytes()))
def test_logs_of_lammps(changed: bytes) -> None:
    """A log is whatever a run has left: nothing of it is refused, and rows are whole."""
    log = changed.decode("utf-8", "replace")
    find_errors(log)
    lengths = {len(column) for column in parse_thermo(log).values()}
    assert len(lengths) <= 1


@CASES
@given(mutated((TESTS / "fixtures" / "plumed" / "walls-restraint" / "plumed.dat").read_bytes()))
def test_actions_of_plumed(changed: bytes) -> None:
    try:
        assert all(directive.action for directive in parse_directives(changed.decode("utf-8", "surrogateescape")))
    except InputError as error:
        assert str(error)


@CASES
@given(st.binary(max_size=300))
def test_bytes_that_are_no_file_of_any_kind(tmp_path: Path, content: bytes) -> None:
    for file, _, read in READERS.values():
        path = tmp_path / file
        path.write_bytes(content)
        try:
            read(path)
        except InputError as error:
            assert str(error)


@CASES
@given(mutated((TESTS / "fixtures" / "pines" / "case.json").read_bytes()))
def test_models_of_variables(tmp_path: Path, changed: bytes) -> None:
    (tmp_path / "cv.json").write_bytes(changed)
    with pytest.raises(InputError):
        read_model(tmp_path)
