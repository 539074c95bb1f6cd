"""OPES biases: limits that follow from the papers, and continuation from state files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.science.bias.tables import read_table

CELL = np.diag([9.0, 9.0, 9.0])
KT = 8.31446210e-3 / 96.48530749925792 * 1500


def _frames(count: int) -> list[np.ndarray]:
    """Positions of eight atoms that wander about, different in each frame."""
    random = np.random.default_rng(17)
    start = random.uniform(0, 9, (8, 3))
    phases = random.uniform(0, 6, (8, 3))
    return [start + 0.3 * np.sin(0.37 * step + phases) for step in range(count)]


def _run(bias, frames, first: int) -> list[dict[str, float]]:
    results = [bias.calculate(first + index, frame, CELL) for index, frame in enumerate(frames)]
    bias.close()
    return [result.values for result in results]


@pytest.mark.parametrize("action", ["OPES_METAD", "OPES_METAD_EXPLORE"])
@pytest.mark.parametrize("sigma", ["", "SIGMA=0.05,0.08", "ADAPTIVE_SIGMA_STRIDE=7 SIGMA_MIN=0.02,0.02"])
def test_two_halves_equal_the_whole(make_bias, tmp_path, action, sigma):
    """A run of 121 frames, and one that is stopped at frame 60 and continued from its state."""
    text = "d1: DISTANCE ATOMS=1,2\nd2: DISTANCE ATOMS=3,4\n" + (
        f"opes: {action} ARG=d1,d2 PACE=4 BARRIER=1.2 TEMP=1500 {sigma} STATE_WFILE=STATE STATE_WSTRIDE=20"
    )
    text += " STATE_RFILE=STATE RESTART={restart}\nPRINT ARG=* FILE=COLVAR FMT=%.12f RESTART={restart}"
    folders = {name: tmp_path / name for name in ("whole", "halves")}
    for folder in folders.values():
        folder.mkdir()
    frames = _frames(121)
    with pytest.warns(UserWarning, match="is not read"):
        whole = _run(make_bias(text.format(restart="NO"), folder=folders["whole"]), frames, 0)
    with pytest.warns(UserWarning, match="is not read"):
        first = _run(make_bias(text.format(restart="NO"), folder=folders["halves"]), frames[:61], 0)
    second = _run(make_bias(text.format(restart="YES"), folder=folders["halves"]), frames[60:], 60)

    assert first == whole[:61]
    for one, other in zip(second[1:], whole[61:], strict=True):
        assert one == pytest.approx(other, rel=1e-10, abs=1e-12)
    assert whole[-1]["opes.nker"] > 1
    for name in ("STATE", "KERNELS"):
        tables = {key: read_table(folder / name) for key, folder in folders.items()}
        for column, numbers in tables["whole"].columns.items():
            assert tables["halves"].columns[column] == pytest.approx(numbers, rel=1e-9), (name, column)
        for constant, value in tables["whole"].constants.items():
            other = tables["halves"].constants[constant]
            assert other == value or float(other) == pytest.approx(float(value), rel=1e-10)
    # As with PLUMED, the frame of the restart is printed by both parts.
    assert len(read_table(folders["halves"] / "COLVAR").columns["time"]) == 122
    assert not list(folders["halves"].glob("bck.0.*"))


def test_restart_action_is_restart_of_all(make_bias, tmp_path):
    text = (
        "d: DISTANCE ATOMS=1,2\nopes: OPES_METAD_EXPLORE ARG=d PACE=4 BARRIER=1 TEMP=1500 SIGMA=0.05 "
        "STATE_WFILE=STATE STATE_WSTRIDE=20{more}\nPRINT ARG=opes.* FILE=COLVAR"
    )
    frames = _frames(41)
    whole = _run(make_bias(text.format(more="")), frames[:21], 0)
    for make in (
        lambda: make_bias("RESTART\n" + text.format(more=" STATE_RFILE=STATE")),
        lambda: make_bias(text.format(more=" STATE_RFILE=STATE"), restart=True),
    ):
        again = _run(make(), frames[20:21], 20)
        assert again[0]["opes.nker"] == whole[-1]["opes.nker"]
        assert again[0]["opes.zed"] == pytest.approx(whole[-1]["opes.zed"], rel=1e-12)
    _run(make_bias("RESTART NO\n" + text.format(more=""), restart=True), frames[:1], 0)
    assert (tmp_path / "bck.0.COLVAR").exists() and (tmp_path / "bck.0.STATE").exists()


def test_before_the_first_kernel(make_bias):
    """The bias is -BARRIER; widths are measured over ten paces, then a kernel is deposited at each pace."""
    bias = make_bias("d: DISTANCE ATOMS=1,2\nopes: OPES_METAD_EXPLORE ARG=d PACE=3 BARRIER=1.5 TEMP=1500")
    values = _run(bias, _frames(40), 0)
    assert [value["opes.bias"] for value in values[:31]] == pytest.approx([-1.5] * 31)
    assert values[0]["opes.rct"] == pytest.approx(-1.5)
    assert [index for index in range(1, 40) if values[index]["opes.neff"] != values[index - 1]["opes.neff"]] == [
        30,
        33,
        36,
        39,
    ]
    assert values[31]["opes.bias"] > -1.5


def test_one_kernel_has_its_analytic_bias(make_bias, tmp_path):
    """One kernel: zed is its height over the norm, and V = (1 - 1/gamma) kT log(G / zed + epsilon)."""
    bias = make_bias("d: DISTANCE ATOMS=1,2\nopes: OPES_METAD ARG=d PACE=1 BARRIER=2 TEMP=1500 SIGMA=0.1")
    positions = np.zeros((8, 3))
    for step, distance in enumerate((1.0, 1.0, 1.13)):
        positions[1, 0] = distance
        result = bias.calculate(step, positions, CELL)
    gamma = 2 / KT
    prefactor = 1 - 1 / gamma
    weight = math.exp(-2 / KT)
    neff = (1 + 2 * weight) ** 2 / (1 + 2 * weight**2)
    sigma = 0.1 * (neff * 3 / 4) ** (-1 / 5)
    cutoff = math.sqrt(2 * 2 / KT / prefactor)
    floor = math.exp(-(cutoff**2) / 2)
    ratio = (math.exp(-0.5 * (0.13 / sigma) ** 2) - floor) / (1 - floor)
    expected = prefactor * KT * math.log(ratio + math.exp(-2 / prefactor / KT))
    assert result.energy == pytest.approx(expected, rel=1e-9)
    table = read_table(tmp_path / "KERNELS")
    assert table.columns["sigma_d"][0] == pytest.approx(sigma, rel=1e-12)
    assert table.columns["logweight"][0] == pytest.approx(-2 / KT, rel=1e-12)


def test_options_of_the_bias(make_bias):
    """FIXED_SIGMA keeps the widths, SIGMA_MIN bounds them, NO_ZED sets zed to one, the rest is accepted."""
    start = "d: DISTANCE ATOMS=1,2\nopes: OPES_METAD ARG=d PACE=2 BARRIER=1 TEMP=1500 "
    frames = _frames(60)
    cases = {}
    for options in (
        "SIGMA=0.1",
        "SIGMA=0.1 FIXED_SIGMA",
        "SIGMA=0.1 SIGMA_MIN=0.099",
        "SIGMA=0.1 NO_ZED SERIAL",
        "SIGMA=0.1 BIASFACTOR=inf RECURSIVE_MERGE_OFF",
        "SIGMA=0.1 COMPRESSION_THRESHOLD=0",
    ):
        bias = make_bias(start + options)
        values = _run(bias, frames, 0)[-1]
        cases[options] = (values, bias._terms[0].potential.kernels)
    narrowed = cases["SIGMA=0.1 COMPRESSION_THRESHOLD=0"][1].sigmas
    assert len(narrowed) == 29 and narrowed[-1] < narrowed[0]
    assert cases["SIGMA=0.1 FIXED_SIGMA"][1].sigmas.min() >= 0.1
    assert cases["SIGMA=0.1 SIGMA_MIN=0.099"][1].sigmas.min() >= 0.099
    assert cases["SIGMA=0.1"][1].sigmas.min() < 0.099
    assert cases["SIGMA=0.1 NO_ZED SERIAL"][0]["opes.zed"] == 1.0 != cases["SIGMA=0.1"][0]["opes.zed"]
    for values, _ in cases.values():
        assert math.isfinite(values["opes.bias"]) and values["opes.nker"] >= 1


def test_temperature_of_the_dynamics_is_the_default(make_bias):
    text = "d: DISTANCE ATOMS=1,2\nopes: OPES_METAD ARG=d PACE=2 BARRIER=1 SIGMA=0.1{}"
    given = _run(make_bias(text.format(" TEMP=1500")), _frames(9), 0)
    taken = _run(make_bias(text.format(""), kt_ev=KT), _frames(9), 0)
    assert taken[-1] == pytest.approx(given[-1], rel=1e-9)
    with pytest.raises(InputError, match="needs `TEMP=`"):
        make_bias(text.format(""), kt_ev=None)


def test_a_variable_that_does_not_move_is_told(make_bias):
    bias = make_bias("d: DISTANCE ATOMS=1,2\nopes: OPES_METAD ARG=d PACE=2 BARRIER=1 TEMP=1500")
    with pytest.raises(InputError, match="was almost constant"):
        _run(bias, [np.arange(24.0).reshape(8, 3)] * 30, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("OPES_METAD_EXPLORE_state", "OPES_METAD_state"), "is of `OPES_METAD_state`"),
        (lambda text: text.replace("sigma_d", "sigma_x"), "but the arguments of the bias are"),
        (lambda text: text.replace("#! SET zed", "#! SET zzz"), "`#! SET zed`|SET zed"),
        (lambda text: text.replace("#! FIELDS", "# FIELDS"), "no line `#! FIELDS`"),
        (None, "does not exist"),
    ],
)
def test_wrong_states_are_refused(make_bias, tmp_path, change, message):
    text = (
        "d: DISTANCE ATOMS=1,2\nopes: OPES_METAD_EXPLORE ARG=d PACE=4 BARRIER=1 TEMP=1500 SIGMA=0.05 "
        "STATE_WFILE=STATE STATE_WSTRIDE=20 STATE_RFILE=STATE RESTART={}"
    )
    with pytest.warns(UserWarning):
        _run(make_bias(text.format("NO")), _frames(21), 0)
    state = tmp_path / "STATE"
    if change:
        state.write_text(change(state.read_text()))
    else:
        state.unlink()
    with pytest.raises(InputError, match=message):
        make_bias(text.format("YES"))


def test_a_state_of_other_settings_is_warned_of(make_bias):
    text = (
        "d: DISTANCE ATOMS=1,2\nopes: OPES_METAD ARG=d PACE=4 BARRIER={} TEMP=1500 SIGMA=0.05 "
        "STATE_WFILE=STATE STATE_WSTRIDE=20"
    )
    _run(make_bias(text.format(1)), _frames(21), 0)
    with pytest.warns(UserWarning, match="biasfactor was 7.7"):
        make_bias(text.format(1.5) + " STATE_RFILE=STATE RESTART=YES")


def test_a_run_that_blows_up_leaves_the_state_alone(make_bias, tmp_path):
    """A kernel in the middle of nowhere would spoil every continuation."""
    bias = make_bias(
        "d: DISTANCE ATOMS=1,2\ne: DISTANCE ATOMS=3,4\n"
        "opes: OPES_METAD ARG=d,e PACE=2 BARRIER=1 TEMP=1500 SIGMA=0.1,0.1 STATE_WFILE=STATE STATE_WSTRIDE=2"
    )
    frames = _frames(5)
    for step in range(4):
        bias.calculate(step, frames[step], CELL)
    before = {name: (tmp_path / name).read_bytes() for name in ("STATE", "KERNELS")}
    frames[4][3] = math.nan
    with pytest.raises(ProgramError, match=r"`e` of plumed\.dat is nan at step 4"):
        bias.calculate(4, frames[4], CELL)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert before["KERNELS"].count(b"\n") == 7
