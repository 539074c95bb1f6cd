"""Files in PLUMED's format."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.tables import TableWriter, read_table

CELL = np.zeros((3, 3))


def test_print_writes_what_is_asked(make_bias, positions, tmp_path):
    bias = make_bias(
        "d1: DISTANCE ATOMS=1,2\nd2: DISTANCE ATOMS=3,4\nPRINT ARG=d2 FILE=slow STRIDE=3 FMT=%8.4lf\n"
        "w: UPPER_WALLS ARG=d1 AT=0 KAPPA=1\nPRINT ARG=(d[12]),*.bias,w.* FILE=all"
    )
    for step in range(7):
        bias.calculate(step, positions, CELL)
    lines = (tmp_path / "slow").read_text().splitlines()
    distance = float(np.linalg.norm(positions[3] - positions[2]))
    assert lines[0] == "#! FIELDS time d2"
    assert lines[1:] == [f" {time:.6f} {distance:8.4f}" for time in (0.0, 0.003, 0.006)]
    assert (tmp_path / "all").read_text().startswith("#! FIELDS time d1 d2 w.bias w.bias w.force2\n")
    assert len(read_table(tmp_path / "slow").columns["d2"]) == 3


def test_files_that_are_there_are_kept(make_bias, positions, tmp_path):
    for content in ("first", "second"):
        (tmp_path / "COLVAR").write_text(content)
        make_bias("d: DISTANCE ATOMS=1,2\nPRINT ARG=d FILE=COLVAR").close()
    assert [(tmp_path / f"bck.{number}.COLVAR").read_text() for number in (0, 1)] == ["first", "second"]
    assert (tmp_path / "COLVAR").read_text() == ""


def test_nothing_is_touched_when_the_input_is_wrong(make_bias, tmp_path):
    (tmp_path / "COLVAR").write_text("precious")
    with pytest.raises(InputError):
        make_bias("d: DISTANCE ATOMS=1,2\nPRINT ARG=d FILE=COLVAR\nMETAD ARG=d")
    assert (tmp_path / "COLVAR").read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_time_is_in_the_units_of_the_input(make_bias, positions, tmp_path):
    bias = make_bias("UNITS LENGTH=A TIME=fs ENERGY=eV\nd: DISTANCE ATOMS=1,2\nPRINT ARG=d FILE=COLVAR")
    bias.calculate(5, positions, CELL)
    assert read_table(tmp_path / "COLVAR").columns["time"] == pytest.approx([5.0])


def test_a_row_that_was_cut_is_left_out(tmp_path):
    path = tmp_path / "table"
    path.write_text("#! FIELDS time a\n#! SET kind x\n 0 1\n 1 2\n 2 3.")
    table = read_table(path)
    assert table.columns["a"] == pytest.approx([1.0, 2.0])
    assert table.constants == {"kind": "x"}
    path.write_text("#! FIELDS time a\n 0 1\n 1\n 2 3\n")
    with pytest.raises(InputError, match="Line 3"):
        read_table(path)
    path.write_text("#! FIELDS time a\n 0 1\n#! FIELDS time b\n 0 1\n")
    with pytest.raises(InputError, match="change in line"):
        read_table(path)


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        TableWriter(tmp_path / "none" / "COLVAR", append=True).open()
