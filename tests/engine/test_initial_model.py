"""A training that starts from a packaged model: of more elements than the data, with another zero of energy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from potential_helpers import TINY, labelled_carbide, prepare_training, read_report, run_potential

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.initial_model import load_initial_model
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames

pytestmark = pytest.mark.program

SPECIES = ("C", "H", "Si")
SHIFT = 7.0
"""Energy per atom, eV, by which the labels of the fine-tuning differ from those of the model it starts from."""


def shifted(seed: int):
    """Return a labelled frame of Si and C at another zero of energy."""
    atoms = labelled_carbide(seed)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=energy + SHIFT * len(atoms), forces=forces)
    return atoms


def with_hydrogen(seed: int):
    """Return a labelled frame in which one atom is hydrogen."""
    atoms = labelled_carbide(seed)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.symbols[0] = "H"
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three elements, trained and packaged."""
    folder = prepare_training(tmp_path_factory.mktemp("three"), species=list(SPECIES), maximum_steps=6)
    write_labelled_frames(folder / "training_set.npz", [with_hydrogen(seed) for seed in range(4)])
    result = run_potential(folder, "train")
    assert result.returncode == 0, result.stderr
    return folder / "potential.nequip.zip"


@pytest.fixture(scope="module")
def tuned(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which that model was trained further, on two elements."""
    folder = prepare_training(tmp_path_factory.mktemp("tuned"))
    for name, seeds in (("training", range(4)), ("validation", (10, 11))):
        write_labelled_frames(folder / f"{name}_set.npz", [shifted(seed) for seed in seeds])
    shutil.copy(package, folder / "initial.nequip.zip")
    loss = {"huber_delta": None, "final_energy": None}
    settings = {**TINY, "loss": loss, "initial_model": "initial.nequip.zip", "model": {}, "maximum_steps": 8}
    (folder / "training.json").write_text(json.dumps(settings))
    result = run_potential(folder, "train")
    assert result.returncode == 0, result.stderr
    return folder


def test_the_model_keeps_its_elements_and_cutoff_and_learns(tuned):
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    report = read_report(tuned / "training_report.json")
    assert (report["species"], report["cutoff"]) == (list(SPECIES), 3.5)
    model = PackagedModel.load(tuned / "potential.nequip.zip")
    assert (model.species, model.cutoff) == (SPECIES, 3.5)
    # Atoms were told apart by the model's own types: its errors, computed again, are those of the training.
    frames = read_labelled_frames(tuned / "validation_set.npz")
    errors = [np.abs(model.compute(frame)[1] - frame.get_forces()).mean() for frame in frames]
    columns = read_report(tuned / "training_curve.json")["columns"]
    best = columns["step"].index(report["best_step"])
    assert np.mean(errors) == pytest.approx(columns["validation_force_mae"][best], rel=1e-9)
    assert min(columns["validation_loss"]) < report["starting_validation_loss"]


def test_the_training_starts_from_the_weights_of_the_package(tuned, package):
    """Before the first step the forces are the package's, and energies off by what no energy of elements mends."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    before = PackagedModel.load(package)
    moved = yaml.safe_load((tuned / "nequip.yaml").read_text())["training_module"]["model"]["modifiers"][0]["shifts"]
    own = before.energies_of_elements()
    assert sorted(moved) == ["C", "Si"]
    loss = []
    for frame in read_labelled_frames(tuned / "validation_set.npz"):
        energy, forces = before.compute(frame)
        energy += sum(moved[symbol] - own[symbol] for symbol in frame.symbols)
        loss.append(np.mean((forces - frame.get_forces()) ** 2))
        loss.append(((energy - frame.get_potential_energy()) / len(frame)) ** 2)
    # Equal weights and frames of one size: the loss is the mean of both means.
    starting = read_report(tuned / "training_report.json")["starting_validation_loss"]
    assert starting == pytest.approx(sum(loss) / 4, rel=1e-6)
    assert [moved[symbol] - own[symbol] for symbol in ("C", "Si")] == pytest.approx([SHIFT] * 2, abs=1.0)


def test_elements_that_the_data_lack_keep_their_energy(tuned, package):
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    before, after = (
        PackagedModel.load(path).energies_of_elements() for path in (package, tuned / "potential.nequip.zip")
    )
    assert after["H"] == before["H"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": {"cutoff": 5.0}}, r"`model.cutoff` is 5.0 A, but the cutoff of `initial_model` is 3.5 A"),
        ({"species": ["C", "Si"]}, "`initial_model` has C, H, Si, in this order"),
    ],
)
def test_settings_that_contradict_the_package_are_refused(package, given, words):
    with pytest.raises(InputError, match=words):
        load_initial_model(str(package), given)
