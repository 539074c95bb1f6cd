"""Training for real: what is written, what makes it repeatable, how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from potential_helpers import labelled_carbide, prepare_training, read_report, run_potential

from aiida_sicmlip.common.exit_status import (
    INPUT_ERROR,
    NOT_A_NUMBER,
    OUT_OF_GPU_MEMORY,
    OUT_OF_MEMORY,
    UNKNOWN_SPECIES,
)
from aiida_sicmlip.engine.reports import exit_status
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames

pytestmark = pytest.mark.program


def weights(checkpoint: Path) -> dict[str, bytes]:
    """Return the bytes of every weight in a checkpoint."""
    import torch

    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    return {name: tensor.numpy().tobytes() for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a tiny model was trained, where AiiDA cannot be imported."""
    folder = prepare_training(tmp_path_factory.mktemp("trained"))
    blocked = tmp_path_factory.mktemp("blocked")
    (blocked / "aiida.py").write_text("raise ImportError('AiiDA is blocked')\n")
    environment = {"PYTHONPATH": str(blocked)}
    check = subprocess.run([sys.executable, "-c", "import aiida"], env={**os.environ, **environment}, check=False)
    assert check.returncode != 0
    result = run_potential(folder, "train", environment=environment)
    assert result.returncode == 0, result.stderr
    (folder / "stdout").write_text(result.stdout)
    return folder


def test_the_program_prints_one_line_for_each_validation_and_nothing_else(trained):
    lines = (trained / "stdout").read_text().splitlines()
    assert [line.split("/")[0].split()[-1] for line in lines] == [str(step) for step in range(2, 17, 2)]
    assert all("force MAE" in line and "eV/A" in line and " left" in line for line in lines)


def test_the_report_says_what_was_done(trained):
    report = read_report(trained / "training_report.json")
    assert report["error"] is None
    assert report["species"] == ["Si", "C"]
    assert report["cutoff"] == 3.5
    assert (report["steps"], report["passes"], report["stop_reason"]) == (16, 8, "maximum_steps")
    assert report["n_frames"] == {"training": 4, "validation": 2}
    assert report["settings"]["seeds"] == {"model": 1, "data": 1}
    assert report["device"] == "cpu"
    assert report["n_parameters"] > 100
    assert {"python", "torch", "nequip", "nequip-allegro", "numpy"} <= set(report["versions"])
    curve = read_report(trained / "training_curve.json")
    columns = curve["columns"]
    assert set(columns) == set(curve["units"])
    assert {len(values) for values in columns.values()} == {8}
    assert columns["step"] == list(range(2, 17, 2)) and columns["epoch"] == list(range(1, 9))
    assert columns["step"][int(np.argmin(columns["validation_loss"]))] == report["best_step"]
    assert columns["validation_loss"][-1] < report["starting_validation_loss"]
    assert columns["validation_force_mae"][-1] < columns["validation_force_mae"][0]


def test_the_packaged_model_is_the_best_one(trained):
    """The errors of the package, evaluated here again, are those of the best validation of the curve."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    report = read_report(trained / "training_report.json")
    columns = read_report(trained / "training_curve.json")["columns"]
    best = columns["step"].index(report["best_step"])
    model = PackagedModel.load(trained / "potential.nequip.zip")
    assert (model.species, model.cutoff) == (("Si", "C"), 3.5)
    frames = read_labelled_frames(trained / "validation_set.npz")
    predictions = [model.compute(frame) for frame in frames]
    pairs = list(zip(frames, predictions, strict=True))
    force_mae = np.mean([abs(forces - frame.get_forces()).mean() for frame, (_, forces) in pairs])
    energy_mae = np.mean([abs(energy - frame.get_potential_energy()) / len(frame) for frame, (energy, _) in pairs])
    assert force_mae == pytest.approx(columns["validation_force_mae"][best], rel=1e-9)
    assert energy_mae == pytest.approx(columns["validation_energy_mae"][best], rel=1e-9)
    assert report["best"]["validation"]["force_mae"] == pytest.approx(force_mae, rel=1e-9)
    assert report["best"]["validation"]["energy_mae"] == pytest.approx(energy_mae, rel=1e-9)


def test_weights_are_read_from_the_package_without_torch(trained):
    """By the names that the checkpoint has for them, to the last bit."""
    from aiida_sicmlip.science.training.packaged_weights import read_packaged_weights

    found = read_packaged_weights(trained / "potential.nequip.zip")
    expected = {name: content for name, content in weights(trained / "checkpoints/best.ckpt").items() if "." in name}
    assert len(expected) > 10
    for name, content in expected.items():
        assert found[name.removeprefix("model.")].tobytes() == content


def test_forces_of_the_model_are_the_slope_of_its_energy(trained):
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    model = PackagedModel.load(trained / "potential.nequip.zip")
    frame = labelled_carbide(77)
    _, forces = model.compute(frame)
    step = 1e-4
    for atom, axis in ((0, 0), (3, 1), (6, 2)):
        energies = []
        for sign in (1, -1):
            moved = frame.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(model.compute(moved)[0])
        assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / (2 * step), abs=1e-6)


def test_numbers_reach_the_model_at_full_precision(trained):
    from aiida_sicmlip.engine.training_data import LabelledFramesDataset

    frames = read_labelled_frames(trained / "training_set.npz")
    dataset = LabelledFramesDataset(str(trained / "training_set.npz"))
    for frame, item in zip(frames, dataset[:], strict=True):
        np.testing.assert_array_equal(item["pos"].numpy(), frame.positions)
        np.testing.assert_array_equal(item["forces"].numpy(), frame.get_forces())
        assert item["total_energy"].item() == frame.get_potential_energy()


def test_equal_inputs_give_equal_weights_bit_for_bit_and_another_seed_does_not(trained, tmp_path):
    again = prepare_training(tmp_path / "again")
    assert run_potential(again, "train").returncode == 0
    for checkpoint in ("checkpoints/best.ckpt", "checkpoints/last.ckpt"):
        assert weights(again / checkpoint) == weights(trained / checkpoint)
    other = prepare_training(tmp_path / "other", seeds={"model": 1, "data": 2}, maximum_steps=4)
    assert run_potential(other, "train").returncode == 0
    assert weights(other / "checkpoints/last.ckpt").keys() == weights(trained / "checkpoints/last.ckpt").keys()
    columns = [read_report(folder / "training_curve.json")["columns"] for folder in (other, trained)]
    assert columns[0]["training_loss"][1] != columns[1]["training_loss"][1]


def test_a_training_that_goes_on_from_its_last_checkpoint_ends_as_if_never_stopped(trained, tmp_path):
    folder = prepare_training(tmp_path / "parts", wall_time_limit=1e-3)
    result = run_potential(folder, "train")
    assert result.returncode == 0, result.stderr
    report = read_report(folder / "training_report.json")
    assert (report["steps"], report["stop_reason"]) == (2, "wall_time_limit")
    start = report["starting_validation_loss"]
    assert (folder / "potential.nequip.zip").is_file()

    prepare_training(folder, restart_checkpoint="checkpoints/last.ckpt")
    result = run_potential(folder, "train")
    assert result.returncode == 0, result.stderr
    report = read_report(folder / "training_report.json")
    assert (report["steps"], report["starting_validation_loss"]) == (16, start)
    assert weights(folder / "checkpoints/last.ckpt") == weights(trained / "checkpoints/last.ckpt")


def test_a_loss_that_is_not_a_number_has_an_exit_status_of_its_own(tmp_path):
    folder = prepare_training(tmp_path, optimiser={"learning_rate": 1e200}, maximum_steps=10)
    result = run_potential(folder, "train")
    assert result.returncode == NOT_A_NUMBER, result.stderr
    assert "optimiser.learning_rate" in result.stderr
    assert "Traceback" not in result.stderr
    error = read_report(folder / "training_report.json")["error"]
    assert error["status"] == NOT_A_NUMBER
    assert error["message"] in result.stderr
    assert not (folder / "potential.nequip.zip").exists()
    read_report(folder / "training_curve.json")


def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str], expected: int = INPUT_ERROR, **changes) -> str:
    """Train in this process with settings or data that cannot be used; return what stderr says."""
    from aiida_sicmlip.engine.programs.main import main

    folder = prepare_training(tmp_path)
    settings = {**json.loads((folder / "training.json").read_text()), **changes}
    settings["training_set"] = str(folder / settings.get("training_set", "training_set.npz"))
    settings["validation_set"] = str(folder / settings.get("validation_set", "validation_set.npz"))
    (folder / "training.json").write_text(json.dumps(settings))
    report = folder / "training_report.json"
    status = main(["train", "--settings", str(folder / "training.json"), "--report", str(report)])
    assert status == expected
    message = capsys.readouterr().err
    assert read_report(report)["error"]["status"] == expected
    assert len(message.strip().splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.1}, ["`learning_rate`"]),
        ({"training_set": "missing.npz"}, ["missing.npz", "does not exist"]),
        ({"species": ["Si", "C", "H"]}, ["contains H", "no training frame"]),
        ({"model": {"cutoff": 1.0}}, ["`model.cutoff`", "neighbour"]),
        ({"restart_checkpoint": "gone.ckpt"}, ["`restart_checkpoint`", "gone.ckpt"]),
        ({"device": "cuda"}, ["cuda", "no GPU"]),
        ({"initial_model": "gone.nequip.zip", "model": {}}, ["gone.nequip.zip", "not an existing packaged model"]),
        (
            {"initial_model": "a.nequip.zip", "model": {"l_max": 2}},
            ["`model.l_max`", "`initial_model` defines the settings of the model"],
        ),
        ({"initial_model": "a.nequip.zip", "model": {}, "prior": "p.json"}, ["`prior`", "contains its prior"]),
    ],
)
def test_what_cannot_be_used_is_told_in_one_message(tmp_path, capsys, monkeypatch, changes, words):
    monkeypatch.setattr("aiida_sicmlip.engine.training.torch.cuda.is_available", lambda: False)
    # Checks come before and after this step, which changes the numerics of the whole process.
    monkeypatch.setattr("aiida_sicmlip.engine.training._fix_numerics", lambda settings: None)
    monkeypatch.chdir(tmp_path)
    message = refuse(tmp_path, capsys, **changes)
    for word in words:
        assert word in message


def test_species_that_the_model_does_not_know_have_an_exit_status_of_their_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refuse(tmp_path, capsys, UNKNOWN_SPECIES, species=["Si", "Ge"])
    assert "contains C" in message and "`species`" in message


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_memory_that_does_not_suffice_has_an_exit_status_of_its_own(library):
    """More than any machine has is asked for."""
    import torch

    from aiida_sicmlip.engine.errors import OutOfMemoryError
    from aiida_sicmlip.engine.memory import convert_memory_errors

    with pytest.raises(OutOfMemoryError, match="`batch_size`") as caught, convert_memory_errors():
        if library == "torch":
            torch.empty(2**50, dtype=torch.float64)
        np.empty(2**50)
    assert exit_status(caught.value) == OUT_OF_MEMORY


def test_memory_of_a_gpu_is_told_apart():
    import torch

    from aiida_sicmlip.engine.errors import OutOfGpuMemoryError
    from aiida_sicmlip.engine.memory import convert_memory_errors

    with pytest.raises(OutOfGpuMemoryError) as caught, convert_memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert exit_status(caught.value) == OUT_OF_GPU_MEMORY
    with pytest.raises(RuntimeError, match="something else"), convert_memory_errors():
        raise RuntimeError("something else")


def test_forces_that_are_not_numbers_are_refused(tmp_path):
    from aiida_sicmlip.common.exceptions import InputError
    from aiida_sicmlip.engine.training_data import read_training_frames

    write_labelled_frames(tmp_path / "frames.npz", [labelled_carbide(0), labelled_carbide(1)])
    with np.load(tmp_path / "frames.npz") as archive:
        arrays = dict(archive)
    arrays["forces"][9, 1] = np.nan
    np.savez(tmp_path / "frames.npz", **arrays)
    with pytest.raises(InputError, match=r"frames\.npz.*not finite"):
        read_training_frames(tmp_path / "frames.npz", ["Si", "C"])


def test_frames_without_forces_are_refused(tmp_path):
    from aiida_sicmlip.common.exceptions import InputError, NoForcesError
    from aiida_sicmlip.engine.training_data import read_training_frames

    with pytest.raises(InputError, match="does not exist"):
        read_training_frames(tmp_path / "nothing.npz", ["Si", "C"])
    write_labelled_frames(tmp_path / "frames.npz", [labelled_carbide(0)])
    with np.load(tmp_path / "frames.npz") as archive:
        arrays = dict(archive)
    arrays.pop("forces")
    np.savez(tmp_path / "frames.npz", **arrays)
    with pytest.raises(NoForcesError, match=r"frames\.npz.*forces"):
        read_training_frames(tmp_path / "frames.npz", ["Si", "C"])


def test_the_averaged_weights_are_validated_and_packaged(tmp_path):
    """With the loss and the schedule that are the default; a part that was cut off ends as if never stopped."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    changes = {
        "maximum_steps": 24,
        "validation_interval": 4,
        "optimiser": {"learning_rate": 0.01, "average_decay": 0.9},
        "schedule": {"kind": "cosine", "warm_up_steps": 4},
        "loss": {"huber_delta": 0.1, "final_energy": 30.0, "final_share": 0.4},
    }
    whole = prepare_training(tmp_path / "whole", **changes)
    assert run_potential(whole, "train").returncode == 0
    curve = read_report(whole / "training_curve.json")["columns"]
    assert curve["step"] == list(range(4, 25, 4)) and curve["epoch"] == list(range(2, 13, 2))
    report = read_report(whole / "training_report.json")
    kept = curve["step"].index(report["best_step"])
    model = PackagedModel.load(whole / "potential.nequip.zip")
    frames = read_labelled_frames(whole / "validation_set.npz")
    force_mae = np.mean([abs(model.compute(frame)[1] - frame.get_forces()).mean() for frame in frames])
    assert force_mae == pytest.approx(curve["validation_force_mae"][kept], rel=1e-9)

    parts = prepare_training(tmp_path / "parts", **changes, wall_time_limit=1e-3)
    assert run_potential(parts, "train").returncode == 0
    assert read_report(parts / "training_report.json")["steps"] == 4
    prepare_training(parts, **changes, restart_checkpoint="checkpoints/last.ckpt")
    assert run_potential(parts, "train").returncode == 0
    assert weights(parts / "checkpoints/last.ckpt") == weights(whole / "checkpoints/last.ckpt")
    assert read_report(parts / "training_curve.json")["columns"] == curve


def test_the_loss_is_that_of_the_settings(tmp_path):
    """Huber for forces and the last weight of energies, normalised by the sum of the weights, of the kept model."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    folder = prepare_training(tmp_path, loss={"huber_delta": 0.2, "energy": 1.0, "final_energy": 7.0}, maximum_steps=4)
    assert run_potential(folder, "train").returncode == 0
    curve = read_report(folder / "training_curve.json")["columns"]
    kept = curve["step"].index(read_report(folder / "training_report.json")["best_step"])
    model = PackagedModel.load(folder / "potential.nequip.zip")
    frames = read_labelled_frames(folder / "validation_set.npz")
    predictions = [model.compute(frame) for frame in frames]
    wrong = np.abs(np.concatenate([p[1] - f.get_forces() for p, f in zip(predictions, frames, strict=True)]))
    huber = np.where(wrong < 0.2, wrong**2 / 2, 0.2 * (wrong - 0.1)).mean()
    energy = np.mean(
        [((p[0] - f.get_potential_energy()) / len(f)) ** 2 for p, f in zip(predictions, frames, strict=True)]
    )
    assert (wrong > 0.2).any() and (wrong < 0.2).any()
    assert curve["validation_loss"][kept] == pytest.approx((7 * energy + huber) / 8, rel=1e-6)
