"""Compilation for real: what the compiled file computes, and how compilation is refused."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from potential_helpers import call_potential, labelled_carbide, prepare_training, read_report, run_potential
from scipy.stats import spearmanr

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import INPUT_ERROR, NO_COMPILER
from aiida_sicmlip.engine.compiled_potential import CompiledPotential
from aiida_sicmlip.engine.programs.main import main
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model with ZBL, its package and its compiled form."""
    folder = tmp_path_factory.mktemp("compiled")
    settings = prepare_training(folder, maximum_steps=4)
    model = {"cutoff": 3.5, "pair_potential": "zbl", "num_scalar_features": 4, "num_tensor_features": 2}
    prepare_training(settings, maximum_steps=4, model={**model, "mlp_width": 4, "readout_mlp_width": 4})
    result = run_potential(folder, "train")
    assert result.returncode == 0, result.stderr
    result = run_potential(folder, "compile", "potential.nequip.zip")
    assert result.returncode == 0, result.stderr
    return folder


def test_the_report_says_for_what_the_model_was_compiled(compiled):
    import torch

    report = read_report(compiled / "compilation.json")
    assert report["error"] is None
    assert (report["device"], report["target"]) == ("cpu", "pair_allegro")
    assert (report["species"], report["cutoff"]) == (["Si", "C"], 3.5)
    assert report["torch_version"] == torch.__version__
    assert report["machine"] == platform.machine()
    assert report["gpu_architecture"] is None
    assert report["cpu_capability"]
    assert report["seconds"] > 0


def test_the_compiled_model_predicts_what_the_packaged_one_does(compiled):
    """Cells smaller than twice the cutoff, strained, and one atom outside its cell."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    frames = [labelled_carbide(seed) for seed in (50, 51)]
    frames.append(labelled_carbide(52) * (1, 1, 2))
    frames[2].positions[3] += 2 * frames[2].cell[0]
    frames[2].calc = SinglePointCalculator(frames[2], energy=0.0, forces=np.zeros((16, 3)))
    write_labelled_frames(compiled / "dataset.npz", frames)
    result = call_potential(compiled, "evaluate", "--dataset", "dataset.npz", "--compiled", "potential.nequip.pt2")
    assert result.returncode == 0, result.stderr
    model = PackagedModel.load(compiled / "potential.nequip.zip")
    with np.load(compiled / "predictions.npz") as predictions:
        np.testing.assert_array_equal(predictions["n_atoms"], [8, 8, 16])
        forces = np.split(predictions["forces"], np.cumsum(predictions["n_atoms"])[:-1])
        for index, frame in enumerate(frames):
            energy, expected = model.compute(frame)
            assert predictions["energies"][index] == pytest.approx(energy, abs=1e-6)
            np.testing.assert_allclose(forces[index], expected, atol=1e-6)
    report = read_report(compiled / "evaluation.json")
    assert report["n_frames"] == 3
    assert report["energy_offset_fitted"] is False
    assert report["potential"] == "compiled"
    expected = [abs(predicted - frame.get_forces()).mean() for predicted, frame in zip(forces, frames, strict=True)]
    assert report["force_mae_per_frame"] == pytest.approx(expected, rel=1e-9)


def test_two_models_are_a_committee(compiled, allegro_model, tmp_path):
    """Disagreement, and the energies of atoms, against the two models asked one by one."""
    frames = [labelled_carbide(seed) for seed in range(60, 64)]
    write_labelled_frames(tmp_path / "dataset.npz", frames)
    models = [compiled / "potential.nequip.pt2", allegro_model.pair_allegro]
    arguments = ("--dataset", "dataset.npz", "--compiled", models[0], "--committee", models[1])
    result = call_potential(tmp_path, "evaluate", *arguments)
    assert result.returncode == 0, result.stderr
    results = []
    for path in models:
        model = CompiledPotential.load(path, "cpu")
        types = [[model.species.index(symbol) for symbol in frame.symbols] for frame in frames]
        results.append(
            [model.compute(f.positions, f.cell.array, f.pbc, kinds) for f, kinds in zip(frames, types, strict=True)]
        )
    with np.load(tmp_path / "predictions.npz") as arrays:
        judged, (first, second) = dict(arrays), results
    of_atoms = np.concatenate([result.atomic_energies for result in first])
    np.testing.assert_allclose(judged["atomic_energies"], of_atoms, atol=1e-9)
    np.testing.assert_allclose(of_atoms.reshape(4, 8).sum(axis=1), judged["energies"], atol=1e-9)
    # The standard deviation of two numbers is half of their difference.
    difference = np.concatenate([one.forces - other.forces for one, other in zip(first, second, strict=True)])
    disagreement = np.linalg.norm(difference, axis=1) / 2
    np.testing.assert_allclose(judged["force_disagreement"], disagreement, atol=1e-9)
    energies = [abs(one.energy - other.energy) / 2 / 8 for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(judged["energy_disagreement"], energies, atol=1e-9)
    report = read_report(tmp_path / "evaluation.json")["committee"]
    assert report["n_members"] == 2
    assert report["forces"]["mean"] == pytest.approx(disagreement.mean())
    assert report["forces"]["maximum"] == pytest.approx(disagreement.max())
    errors = np.linalg.norm(judged["forces"] - np.concatenate([frame.get_forces() for frame in frames]), axis=1)
    assert report["forces"]["rank_correlation"] == pytest.approx(spearmanr(disagreement, errors).statistic)


def test_evaluation_refuses_species_that_the_model_does_not_know(compiled, tmp_path):
    frame = labelled_carbide(1)
    frame.symbols[0] = "Ge"
    frame.calc = SinglePointCalculator(frame, energy=0.0, forces=np.zeros((8, 3)))
    write_labelled_frames(tmp_path / "dataset.npz", [frame])
    compiled_file = compiled / "potential.nequip.pt2"
    result = call_potential(tmp_path, "evaluate", "--dataset", "dataset.npz", "--compiled", compiled_file)
    assert result.returncode == INPUT_ERROR
    assert "Si, C" in result.stderr and "Ge" in result.stderr
    assert not (tmp_path / "predictions.npz").exists()


def test_a_machine_without_compiler_is_told_in_one_message(compiled, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("CXX", raising=False)
    report = tmp_path / "compilation.json"
    status = main(["compile", str(compiled / "potential.nequip.zip"), "--report", str(report)])
    assert status == NO_COMPILER
    message = capsys.readouterr().err
    assert "C++ compiler" in message and "g++" in message
    assert len(message.strip().splitlines()) == 1
    assert read_report(report)["error"]["status"] == NO_COMPILER


def test_a_package_that_is_none_is_refused(tmp_path, capsys):
    (tmp_path / "broken.nequip.zip").write_bytes(b"no zip")
    report = tmp_path / "compilation.json"
    status = main(["compile", str(tmp_path / "broken.nequip.zip"), "--report", str(report)])
    assert status == INPUT_ERROR
    message = capsys.readouterr().err
    assert "broken.nequip.zip" in message and "Traceback" not in message


@pytest.mark.parametrize(
    ("names", "device", "words"),
    [
        (("missing.nequip.zip", "out.nequip.pt2"), "cpu", "missing.nequip.zip"),
        (("model.ckpt", "out.nequip.pt2"), "cpu", "model.ckpt"),
        (("model.nequip.zip", "out.so"), "cpu", "out.so"),
        (("model.nequip.zip", "out.nequip.pt2"), "cuda", "no GPU"),
    ],
)
def test_what_cannot_be_compiled_is_refused_at_once(tmp_path, monkeypatch, names, device, words):
    from aiida_sicmlip.engine import compilation

    monkeypatch.setattr(compilation.torch.cuda, "is_available", lambda: False)
    for name in ("model.ckpt", "model.nequip.zip"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=words):
        compilation.compile_model(tmp_path / names[0], tmp_path / names[1], device, "pair_allegro", {})
