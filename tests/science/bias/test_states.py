"""States of an OPES bias in files: whole ones of PLUMED are continued from, all others are refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias import Bias

REFERENCE = Path(__file__).parents[2] / "fixtures" / "plumed"


def continue_from(folder: Path, state: str, case: str = "distance-metad") -> None:
    """Continue the bias of a reference of PLUMED from a state."""
    (folder / "STATE").write_text(state)
    text = (REFERENCE / case / "plumed.dat").read_text()
    text = text.replace(" STATE_WFILE", " STATE_RFILE=STATE STATE_WFILE")
    Bias(text, kt_ev=None, timestep_ps=0.1, n_atoms=62, folder=folder, restart=True).close()


@pytest.fixture
def state() -> str:
    """Return a state that PLUMED wrote."""
    return (REFERENCE / "distance-metad" / "STATE").read_text()


@pytest.mark.parametrize("case", ["distance-metad", "walls-restraint"])
def test_states_of_plumed_are_whole(tmp_path: Path, case: str) -> None:
    """The normalisation that PLUMED wrote is that of its kernels, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        continue_from(tmp_path, (REFERENCE / case / "STATE").read_text(), case)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le"])
def test_comments_in_any_encoding(tmp_path: Path, state: str, encoding: str) -> None:
    """Those of the state and of plumed.dat."""
    comment = b"# " + "\u00c5ngstr\u00f6m".encode(encoding) + b"\n"
    (tmp_path / "plumed.dat").write_bytes(comment + b"UNITS LENGTH=A\nd: DISTANCE ATOMS=1,2\nPRINT ARG=d FILE=C\n")
    Bias.from_file(tmp_path / "plumed.dat", kt_ev=None, timestep_ps=0.1, n_atoms=2, folder=tmp_path).close()
    (tmp_path / "commented").write_bytes(comment + state.encode())
    text = (REFERENCE / "distance-metad" / "plumed.dat").read_text()
    text = text.replace(" STATE_WFILE", " STATE_RFILE=commented STATE_WFILE")
    Bias(text, kt_ev=None, timestep_ps=0.1, n_atoms=62, folder=tmp_path, restart=True).close()


def without_rows(state: str) -> str:
    return "".join(line for line in state.splitlines(keepends=True) if line.startswith("#!"))


def with_constant(name: str, value: str):
    """Return what changes a constant of a state."""
    return lambda state: re.sub(rf"(#! SET {name} +)\S+", rf"\g<1>{value}", state)


def with_last(column: int, value: str):
    """Return what changes a column of the last row of a state."""

    def change(state: str) -> str:
        *lines, last = state.splitlines()
        words = last.split()
        words[column] = value
        return "\n".join([*lines, " ".join(words)]) + "\n"

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda state: state * 2, r"holds 2 states.*the last for instance: `tail -n \+\d+ STATE`"),
        (lambda state: state[:-20], "ends within a line"),
        (lambda state: state[: state.rindex("\n", 0, -1) - 300], "ends within a line"),
        (lambda state: state[: state.rindex("\n", 0, -1) + 1], "kernels are missing or were changed"),
        (without_rows, "has no kernels, but its counter is 141"),
        (with_last(-1, "nan"), "`height` that is not a finite number above zero"),
        (with_last(-1, "-0.1"), "`height` that is not a finite number above zero"),
        (with_last(1, "inf"), "`d1` that is not a finite number"),
        (with_last(3, "0"), "`sigma_d1` that is not a finite number above zero"),
        (with_last(0, "now"), "is not a row of 6 numbers"),
        (with_constant("zed", "0"), "no number above 0 after `#! SET zed`"),
        (with_constant("zed", "0.400000000"), "says `zed` 0.4"),
        (with_constant("zed", "nan"), "no number above 0 after `#! SET zed`"),
        (with_constant("counter", "-3"), "no number above 0 after `#! SET counter`"),
        (with_constant("sum_weights", "inf"), "no number above 0 after `#! SET sum_weights`"),
        (with_constant("action", "METAD_state"), "is of `METAD_state`"),
        (lambda state: "\x00\x9f\n" * 100, "is not a table of PLUMED"),
        (lambda state: "", "is not a table of PLUMED"),
    ],
)
def test_states_that_are_refused(tmp_path: Path, state: str, spoil, words: str) -> None:
    spoilt = spoil(state)
    assert spoilt != state
    with pytest.raises(InputError, match=words):
        continue_from(tmp_path, spoilt)


@pytest.mark.parametrize("fmt", ["%1000000000f", "%.1000000000f", "%s", "%f%f", "%100d"])
def test_formats_are_bounded(tmp_path: Path, fmt: str) -> None:
    text = f"d: DISTANCE ATOMS=1,2\nPRINT ARG=d FILE=COLVAR FMT={fmt}\n"
    with pytest.raises(InputError, match="not a format of one number of at most 99 characters"):
        Bias(text, kt_ev=None, timestep_ps=0.1, n_atoms=2, folder=tmp_path)
