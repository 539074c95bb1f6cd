"""A potential trained and evaluated from files, as somebody without AiiDA does it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.io import write
from potential_helpers import TINY, labelled_carbide, read_report, run_potential

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import INPUT_ERROR
from aiida_sicmlip.engine.training_from_files import prepare_training
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames
from aiida_sicmlip.science.training.settings import TrainingSettings

SMALL = [f"model.{name}={value}" for name, value in TINY["model"].items()]


@pytest.fixture
def files(tmp_path):
    """Training and validation frames in extended XYZ, as ASE writes it, without charge and spin."""
    paths = {"training": tmp_path / "training.extxyz", "validation": tmp_path / "validation.extxyz"}
    write(paths["training"], [labelled_carbide(seed) for seed in range(4)])
    write(paths["validation"], [labelled_carbide(seed) for seed in (10, 11)])
    return paths


def prepare(tmp_path, files, **changes):
    prepare_training(tmp_path / "output", **{**files, **changes})
    return json.loads((tmp_path / "output" / "training.json").read_text())


def test_settings_are_complete_and_frames_are_those_of_the_files(tmp_path, files):
    settings = prepare(tmp_path, files, protocol="fast", assignments=["model.cutoff=4.0", "seeds.model=7"])
    assert settings == TrainingSettings.complete(settings)
    assert (settings["model"]["cutoff"], settings["seeds"], settings["species"]) == (
        4.0,
        {"model": 7, "data": 1},
        ["C", "Si"],
    )
    assert settings["maximum_steps"] == 4000
    read = read_labelled_frames(tmp_path / "output" / "training_set.npz")
    for seed, frame in enumerate(read):
        np.testing.assert_allclose(frame.get_forces(), labelled_carbide(seed).get_forces(), atol=1e-7)


def test_prior_of_the_protocol_goes_with_its_model(tmp_path, files):
    assert prepare(tmp_path, files, assignments=["model.pair_potential=zbl"])["prior"] is None


def test_protocol_with_a_prior_fits_it_to_the_training_frames(tmp_path, files):
    settings = prepare(tmp_path, files, protocol="paper", assignments=["prior.wall_only=true", "device=cpu"])
    prior = json.loads((tmp_path / "output" / settings["prior"]).read_text())
    assert prior["species"] == ["C", "Si"] and prior["cutoff"] == 6.0
    assert np.all(np.array(prior["repulsion"]) > 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": "balancd"}, "Did you mean `balanced`"),
        ({"assignments": ["model.cutof=4"]}, "Did you mean `cutoff`"),
        ({"assignments": ["maximum_steps"]}, "has no `=`"),
        ({"assignments": ["species=[Si]"]}, "`species` is set by an option"),
        ({"assignments": ["model.pair_potential=zbl", "prior.wall_only=true"]}, "is not lennard-jones"),
        ({"assignments": ["prior.wall=true"], "protocol": "paper"}, "`prior.wall` is not a known setting"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(tmp_path, files, changes, words):
    with pytest.raises(InputError, match=words):
        prepare(tmp_path, files, **changes)
    assert not (tmp_path / "output" / "training.json").exists()


def test_frames_in_both_sets_and_frames_of_two_charges_are_refused(tmp_path, files):
    with pytest.raises(InputError, match="Frame 0 of the validation set is frame 0 of the training set"):
        prepare(tmp_path, files, validation=files["training"])
    charged = [labelled_carbide(seed) for seed in (10, 11)]
    for frame, charge in zip(charged, (0, 1), strict=True):
        frame.info["charge"] = charge
    write(files["validation"], charged)
    with pytest.raises(InputError, match=r"charge 0 e and \+1 e"):
        prepare(tmp_path, files)


def test_options_belong_together(tmp_path):
    result = run_potential(tmp_path, "train", "--training", "a.extxyz")
    assert result.returncode == INPUT_ERROR and "--validation and --output" in result.stderr


@pytest.mark.program
def test_train_and_evaluate(tmp_path, files):
    """The package has, evaluated again from a file, the errors that its training reported, by element too."""
    words = [part for value in (*SMALL, "maximum_steps=12", "validation_interval=4") for part in ("--set", value)]
    options = [f"--{name}={path.name}" for name, path in files.items()]
    result = run_potential(tmp_path, "train", "--protocol", "balanced", *options, "--output", "new/out", *words)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("training set: 4 configurations") and lines[1].startswith("validation set: 2 conf")
    assert lines[2] == "4 training and 2 validation frames; 12 optimiser steps in 3 passes, a validation every 4 steps"
    assert [line.split()[1] for line in lines[3:6]] == ["4/12", "8/12", "12/12"]
    report = read_report(tmp_path / "new" / "out" / "training_report.json")
    assert report["error"] is None and report["settings"]["optimiser"]["average_decay"] == 0.999
    again = run_potential(tmp_path, "train", *options, "--output", "new/out")
    assert again.returncode == INPUT_ERROR and "holds a potential already" in again.stderr

    model = "new/out/potential.nequip.zip"
    result = run_potential(tmp_path, "evaluate", model, "validation.extxyz", "--report", "errors.json")
    assert result.returncode == 0, result.stderr
    errors = read_report(tmp_path / "errors.json")
    assert errors["potential"] == "packaged" and errors["n_frames"] == 2
    for name in ("force_mae", "energy_mae"):
        assert errors[name] == pytest.approx(report["best"]["validation"][name], rel=1e-5)
    assert set(errors["by_species"]) == {"C", "Si"}
    halves = [errors["by_species"][symbol]["force_mae"] for symbol in ("C", "Si")]
    assert np.mean(halves) == pytest.approx(errors["force_mae"])

    words = ["--set", "maximum_steps=4", "--start-from", model]
    result = run_potential(tmp_path, "train", *options, "--output", "further", *words)
    assert result.returncode == 0, result.stderr
    further = read_report(tmp_path / "further" / "training_report.json")
    # It begins near where the first one ended, but for the energies of the elements, which are fitted again.
    curve = read_report(tmp_path / "new" / "out" / "training_curve.json")["columns"]
    start, end = report["starting_validation_loss"], min(curve["validation_loss"])
    assert end < further["starting_validation_loss"] < (start + end) / 2
