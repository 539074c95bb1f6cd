"""What plumed.dat may say, and how the rest is refused: by name."""

from __future__ import annotations

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias import Bias
from aiida_sicmlip.science.bias.directives import parse_directives

D = "d: DISTANCE ATOMS=1,2\ne: DISTANCE ATOMS=2,3\n"
OPES = D + "o: OPES_METAD ARG=d PACE=5 BARRIER=1 TEMP=1500 SIGMA=0.1 "


def test_all_ways_to_write_an_action():
    directives = parse_directives(
        "# a comment\nd1: DISTANCE ATOMS=1,2 # another\n\nDISTANCE LABEL=d2 ATOMS={3 4}\n"
        "w: UPPER_WALLS ...\n  ARG=d1   # inside\n  AT=1.0\n  KAPPA=2\n...\n"
        "RESTRAINT ...\n ARG=d1 AT=1 KAPPA=2 LABEL=r\n... RESTRAINT\nPRINT ARG=d1 FILE=x\nENDPLUMED\nnonsense\n"
    )
    assert [(entry.action, entry.label, entry.line) for entry in directives] == [
        ("DISTANCE", "d1", 2),
        ("DISTANCE", "d2", 4),
        ("UPPER_WALLS", "w", 5),
        ("RESTRAINT", "r", 10),
        ("PRINT", None, 13),
    ]
    assert directives[1].keywords == {"ATOMS": "3 4"}
    assert directives[2].keywords == {"ARG": "d1", "AT": "1.0", "KAPPA": "2"}


def test_names_of_values(make_bias, model_file):
    bias = make_bias(
        D + f"cv: PYTORCH_MODEL FILE={model_file} ARG=*\nRESTRAINT ARG=cv.* AT=0,0 KAPPA=1,1\n"
        "o: OPES_METAD ARG=cv.node-1 PACE=5 BARRIER=1 TEMP=1500"
    )
    assert bias.names[:4] == ("d", "e", "cv.node-0", "cv.node-1")
    assert bias.names[-5:] == ("o.bias", "o.rct", "o.zed", "o.neff", "o.nker")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # actions
        ("METAD ARG=d", "the action `METAD`.*OPES_METAD"),
        (D + "t: TORSION ATOMS=1,2,3,4", "the action `TORSION`"),
        (D + "INCLUDE FILE=x", "the action `INCLUDE`"),
        ("", "contains no action"),
        ("ATOMS=1,2", "has no action"),
        ("d:", "has no action"),
        # keywords
        ("d: DISTANCE ATOMS=1,2 COMPONENTS", "the keyword `COMPONENTS` of `DISTANCE`"),
        ("d: DISTANCE ATOM=1,2", "needs two atoms|`ATOM`"),
        (OPES + "NLIST", "the keyword `NLIST` of `OPES_METAD`"),
        (OPES + "WALKERS_MPI", "the keyword `WALKERS_MPI`"),
        (OPES + "CALC_WORK", "the keyword `CALC_WORK`"),
        (OPES + "EXTRA_BIAS=w.bias", "the keyword `EXTRA_BIAS`"),
        (OPES + "STORE_STATES", "the keyword `STORE_STATES`"),
        (OPES + "STRIDE=2", "the keyword `STRIDE`"),
        (D + "PRINT ARG=d FILE=x UPDATE_FROM=3", "the keyword `UPDATE_FROM` of `PRINT`"),
        (D + "PRINT ARG=d", "needs the keyword `FILE=`"),
        (D + "RESTRAINT ARG=d AT=1 KAPA=2", "`KAPA`.*Did you mean `KAPPA`"),
        ("UNITS LENGTH=A MASS=amu", "the keyword `MASS` of `UNITS`"),
        ("UNITS LENGTH=inch", "give one of `nm`"),
        # atoms
        ("d: DISTANCE ATOMS=1,9", "has atom 9, but the atoms of the run are 1 to 8"),
        ("d: DISTANCE ATOMS=0,1", "has atom 0"),
        ("d: DISTANCE ATOMS=2,2", "has atom 2 twice"),
        ("d: DISTANCE ATOMS=1,2,3", "needs two atoms"),
        ("d: DISTANCE ATOMS=@mdatoms", "needs two atoms"),
        # labels and arguments
        (D + "d: DISTANCE ATOMS=1,3", "label `d` is defined in lines 2 and 4"),
        (D + "d.x: DISTANCE ATOMS=1,3", "is not a valid label"),
        (D + "a: DISTANCE LABEL=b ATOMS=1,3", "two labels"),
        (D + "RESTRAINT ARG=f AT=1 KAPPA=1", "contains `f`, which no action above"),
        (D + "RESTRAINT ARG=d.* AT=1 KAPPA=1", r"contains `d\.\*`"),
        (D + "w: RESTRAINT ARG=d AT=1 KAPPA=1\nPRINT ARG=w FILE=x", r"Its values are w\.bias"),
        (D + "w: RESTRAINT ARG=d AT=1 KAPPA=1\nRESTRAINT ARG=w.bias AT=1", "a component of a bias"),
        (D + "RESTRAINT AT=1 KAPPA=1", "needs the keyword `ARG=`"),
        (D + "RESTRAINT ARG=(d AT=1 KAPPA=1", "not a valid regular expression"),
        (D + "RESTRAINT ARG=d* AT=1 KAPPA=1", r"is not a valid pattern; give `\*`"),
        # values
        (D + "RESTRAINT ARG=d,e AT=1 KAPPA=1,2", "gives 1 numbers for 2 arguments"),
        (D + "RESTRAINT ARG=d AT=x KAPPA=1", "`AT=x` must be a number"),
        (D + "RESTRAINT ARG=d AT= KAPPA=1", "has no value after `AT=`"),
        (D + "RESTRAINT ARG=d AT=1 AT=2", "gives `AT=` twice"),
        (D + "RESTRAINT ARG=d KAPPA=1", "needs the keyword `AT=`"),
        (D + "UPPER_WALLS ARG=d AT=1 KAPPA=1 EPS=0", "`EPS=` must be positive"),
        (D + "PRINT ARG=d FILE=x FMT=%s", "not a format of one number"),
        (D + "PRINT ARG=d FILE=x FMT=%f%f", "not a format of one number"),
        (D + "PRINT ARG=d FILE=x STRIDE=0", "`STRIDE=` must be positive"),
        (D + "PRINT ARG=d FILE=x STRIDE=1.5", "must be a whole number"),
        (D + "PRINT ARG=d FILE=x RESTART=MAYBE", "YES, NO or AUTO"),
        (D + "UNITS LENGTH=A", "before every other action"),
        (D + "RESTART", "before every other action"),
        # OPES
        (D + "OPES_METAD ARG=d BARRIER=1 TEMP=1500", "needs the keyword `PACE=`"),
        (D + "OPES_METAD ARG=d PACE=0 BARRIER=1 TEMP=1500", "must be positive"),
        (D + "OPES_METAD ARG=d PACE=5 BARRIER=0.1 TEMP=1500", "bias factor is 0.77"),
        (D + "OPES_METAD_EXPLORE ARG=d PACE=5 BARRIER=1 TEMP=1500 BIASFACTOR=inf SIGMA=1", "for OPES_METAD only"),
        (D + "OPES_METAD ARG=d PACE=5 BARRIER=1 TEMP=1500 BIASFACTOR=inf", "needs `SIGMA=` with numbers"),
        (D + "OPES_METAD ARG=d PACE=5 BARRIER=1 TEMP=1500 SIGMA=0.1,0.2", "give 1 positive numbers"),
        (D + "OPES_METAD ARG=d PACE=5 BARRIER=1 TEMP=1500 ADAPTIVE_SIGMA_STRIDE=3", "at least `PACE=5`"),
        (OPES + "ADAPTIVE_SIGMA_STRIDE=50", "has no effect with numbers"),
        (OPES + "SIGMA_MIN=0.2", "must not be above"),
        (OPES + "EPSILON=0", "must be positive"),
        (OPES + "COMPRESSION_THRESHOLD=9", "between 0 and the kernel cutoff"),
        (OPES + "STATE_WFILE=STATE", "need each other"),
        (OPES + "STATE_WFILE=STATE STATE_WSTRIDE=2", "at least `PACE=5`"),
        (OPES + "RESTART=YES", "give `STATE_RFILE=`"),
        # continuation
        ("w: UPPER_WALLS ...\n ARG=d", "does not end"),
        ("w: UPPER_WALLS ...\n ARG=d\n... LOWER_WALLS", "write `...` or"),
        ("...", "there is no action to continue"),
    ],
)
def test_refusals(make_bias, text, message):
    with pytest.raises(InputError, match=message):
        make_bias(text) if text else Bias("", kt_ev=None, timestep_ps=1, n_atoms=8)


def test_models_that_cannot_be_used(make_bias, model_file, tmp_path):
    import torch

    with pytest.raises(InputError, match="does not exist"):
        make_bias(D + "PYTORCH_MODEL FILE=none.ptc ARG=d")
    (tmp_path / "text.ptc").write_text("no model")
    with pytest.raises(InputError, match="cannot be loaded as TorchScript"):
        make_bias(D + "PYTORCH_MODEL FILE=text.ptc ARG=d")
    torch.jit.script(torch.nn.Linear(3, 1)).save(str(tmp_path / "linear.ptc"))
    with pytest.raises(InputError, match="does not accept 2 numbers"):
        make_bias(D + "PYTORCH_MODEL FILE=linear.ptc ARG=d,e")
    torch.jit.script(torch.nn.Flatten(0)).save(str(tmp_path / "flat.ptc"))
    with pytest.raises(InputError, match="shape"):
        make_bias(D + "PYTORCH_MODEL FILE=flat.ptc ARG=d,e")


def test_wrong_arrays_and_files(make_bias, positions, tmp_path):
    import numpy as np

    with pytest.raises(InputError, match=r"give \(8, 3\)"):
        make_bias(D).calculate(0, positions[:5], np.eye(3))
    with pytest.raises(InputError, match="cannot be read"):
        Bias.from_file(tmp_path / "none.dat", kt_ev=None, timestep_ps=0.001, n_atoms=3)
