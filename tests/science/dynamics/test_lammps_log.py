"""The log of LAMMPS: rows, and all the ways in which a run ends."""

import numpy as np
import pytest

from aiida_sicmlip.science.dynamics.lammps_log import find_errors, parse_thermo

LOG = """LAMMPS (22 Jul 2025)
---
keywords: ['Step', 'Temp', 'PotEng', ]
data:
  - [0, 900, -82.5, ]
  - [5, 850.5, -82.25, ]
...
Loop time of 1
---
keywords: ['Step', 'Temp', 'PotEng', ]
data:
  - [5, 850.5, -82.25, ]
  - [10, 800, -1.5e+01, ]
...
Total wall time: 0:00:00
"""


def test_thermo_of_several_runs():
    thermo = parse_thermo(LOG)
    assert thermo["Step"].tolist() == [0, 5, 10]
    assert thermo["Run"].tolist() == [0, 0, 1]
    assert thermo["PotEng"].tolist() == [-82.5, -82.25, -15.0]
    assert thermo["Step"].dtype == np.int64


def test_thermo_of_a_log_cut_anywhere():
    full = parse_thermo(LOG)
    for length in range(len(LOG)):
        cut = parse_thermo(LOG[:length])
        for name, column in cut.items():
            assert column.tolist() == full[name].tolist()[: len(column)], length
        assert not find_errors(LOG[:length]).finished or "Total wall time:" in LOG[:length]
    assert parse_thermo("") == {}


def test_not_a_number_in_the_log():
    assert find_errors(LOG.replace("-1.5e+01", "-nan")).not_a_number
    assert find_errors(LOG.replace("-1.5e+01", "inf")).not_a_number
    assert not find_errors(LOG).not_a_number


def test_error_of_a_log():
    end = find_errors(
        LOG.replace("Total wall time: 0:00:00\n", "")
        + "ERROR on proc 0: Non-numeric atom coords - unstable (x.cpp:1)\n"
    )
    assert end.lost_atoms
    assert not end.finished
    assert "Non-numeric" in end.errors[0]


HEAD = LOG.split("---", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("error", "bias", "species"),
    [
        ("ERROR: fix plumed: the label `cv` stands twice (fix_plumed.cpp:10)", True, False),
        ("ERROR: Unrecognized fix style 'plumed' is part of the PLUMED package (modify.cpp:1)", True, False),
        (
            "ERROR: The pair_coeff gives the species `H` to atom type 2, which the model does not know. (p.cpp:9)",
            False,
            True,
        ),
        ("ERROR: Potential file is missing an entry for: Si Si H (src/MANYBODY/pair_edip_multi.cpp:694)", False, True),
        ("ERROR: Number of element to type mappings does not match number of atom types (pair.cpp:840)", False, True),
        ("ERROR on proc 0: Cannot open file trajectory.dcd (dump.cpp:1)", False, False),
    ],
)
def test_error_tells_whose_it_is(error, bias, species):
    end = find_errors(f"{HEAD}{error}\n")
    assert (end.bias_failed, end.species_disagree) == (bias, species)
    assert end.errors == (error.split(": ", 1)[1],)
    assert not end.killed


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (
            "PLUMED: ERROR in input to action OPES_METAD_EXPLORE with label opes : cannot parse PACE\n",
            "ERROR in input to action OPES_METAD_EXPLORE with label opes : cannot parse PACE",
        ),
        (
            "\n+++ PLUMED error\n+++ at core/A.cpp:1, function create\n+++ message follows +++\nno such model\n",
            "no such model",
        ),
        ("terminate called\n(tools/IFile.cpp:88) the file STATE was not found\n", None),
    ],
)
def test_error_that_only_plumed_tells(messages, error):
    cut = LOG.split("...", maxsplit=1)[0]
    assert find_errors(cut).killed
    assert not find_errors(cut).bias_failed
    end = find_errors(cut, messages)
    assert end.bias_failed
    assert not end.killed
    assert end.errors == (error or messages.splitlines()[1],)


def test_error_said_twice_is_told_once():
    line = "ERROR: fix plumed: no model (a.cpp:1)\n"
    assert len(find_errors(HEAD + line, line).errors) == 1


def test_run_that_was_killed():
    assert find_errors("").killed
    assert find_errors(LOG.replace("Total wall time: 0:00:00\n", "")).killed
    assert not find_errors(LOG).killed


IN_PRODUCTION = LOG.replace("  - [5, 850.5, -82.25, ]\n  - [10", "  - [0, 850.5, -82.25, ]\n  - [10").replace(
    "Loop time of 1\n", 'Loop time of 1\nprint "Production from step 0"\nProduction from step 0\n'
)


def test_rows_of_the_production():
    thermo = parse_thermo(IN_PRODUCTION)
    assert thermo["Step"].tolist() == [0, 5, 0, 10]
    assert thermo["Production"].tolist() == [False, False, True, True]
    assert not parse_thermo(LOG)["Production"].any()
