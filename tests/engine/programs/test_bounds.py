"""Sizes that options and files claim: beyond sensible limits they are refused at once, before memory is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import INPUT_ERROR
from aiida_sicmlip.engine.programs.main import main
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.pines.settings import CollectiveVariableSettings
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.settings import Settings
from aiida_sicmlip.science.training.settings import ModelSettings, SeedSettings, TrainingParameters


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (SelectionSettings, {"cutoff": 1e9}, "`selection.parameters.cutoff` is 1000000000.0; give no more than 30."),
        (SelectionSettings, {"sigma": 1e9}, "give no more than 10."),
        (SelectionSettings, {"n_max": 1000}, "give no more than 50."),
        (SelectionSettings, {"n_training": 10**12}, "give no more than 1,000,000."),
        (SelectionSettings, {"tolerance": 1e300}, "give no more than 1,000,000,000."),
        (ModelSettings, {"l_max": 50}, "give no more than 10."),
        (TrainingParameters, {"maximum_steps": 10**12}, "give no more than 1,000,000,000."),
        (CollectiveVariableSettings, {"shells": 10**9}, "give no more than 20."),
        (ExplorationSettings, {"production": 1e8}, "more than 10,000,000 frames with a `frame_interval` of 0.1 ps"),
    ],
)
def test_settings(kind: type[Settings], given: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        kind.from_mapping(given)
    assert message in str(caught.value)


def test_seeds_have_no_limit() -> None:
    assert SeedSettings.from_mapping({"model": 2**32 - 1}).model == 2**32 - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["driver", "--timestep", "nan"], "argument --timestep: 'nan' is no number above zero"),
        (["driver", "--timestep", "0"], "argument --timestep: '0' is no number above zero"),
        (["driver", "--timestep", "-1"], "argument --timestep: '-1' is no number above zero"),
        (["driver", "--kt", "1e400"], "argument --kt: '1e400' is no number above zero"),
        (["driver", "--trajectory-stride", "9" * 5000], "'99999999999999999999...' is no whole number of at least 1"),
        (["driver", "--trajectory-stride", "9" * 400], "'99999999999999999999...' is no whole number of at least 1"),
        (["driver", "--initial-step", "1e3"], "argument --initial-step: '1e3' is no whole number"),
        (
            ["score", "a", "b", "--bins", "1000000000"],
            "'1000000000' is no whole number of at least 1 and at most 1000000",
        ),
        (["select", "pool.xyz", "--count", "5", "--sigma", "inf"], "argument --sigma: 'inf' is no number above zero"),
        (["select", "pool.xyz", "--count", "5", "--tolerance", "-1"], "'-1' is no number of at least 0"),
    ],
)
def test_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--ixyz", "traj.xyz"] if arguments[0] == "driver" else []
    with pytest.raises(SystemExit) as caught:
        main([arguments[0], *more, *arguments[1:]])
    assert caught.value.code == INPUT_ERROR
    assert message in capsys.readouterr().err


def test_soap_of_a_selection_has_the_limits_of_its_settings(tmp_path: Path, capsys) -> None:
    pool = tmp_path / "pool.xyz"
    pool.write_text('2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T"\nSi 0 0 0\nC 1.9 0 0\n' * 3)
    for option, value in (("--cutoff", "1e9"), ("--sigma", "1e9"), ("--n-max", "1000"), ("--l-max", "1000")):
        assert main(["select", str(pool), "--count", "1", "--processes", "1", option, value]) == INPUT_ERROR
        assert "give no more than" in capsys.readouterr().err


FRAMES = '2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T"\nSi 0 0 0\nC 1.9 0 0\n'


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("pool.xyz", "is both `pool` and `output`, one of which is written: give two files."),
        ("link.xyz", "is both `pool` and `output`"),
        (".", "`--output` names `.`, which cannot be written: it is a folder."),
        ("no/picks.xyz", "`--output` names `no/picks.xyz`, which cannot be written: its folder does not exist."),
    ],
)
def test_outputs_that_would_damage_something(
    output: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said before anything is read or computed."""
    monkeypatch.chdir(tmp_path)
    Path("pool.xyz").write_text(FRAMES * 3)
    Path("link.xyz").symlink_to("pool.xyz")
    assert main(["select", "pool.xyz", "--count", "1", "--processes", "1", "--output", output]) == INPUT_ERROR
    assert message in capsys.readouterr().err
    assert Path("pool.xyz").read_text() == FRAMES * 3 and len(list(tmp_path.iterdir())) == 2
