"""A model with the prior in one file: trained, packaged, loaded where this package is absent, and compiled."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from potential_helpers import TINY, announce_extension, labelled_carbide, prepare_training, read_report, run_potential

from aiida_sicmlip.common.exit_status import INPUT_ERROR, PROGRAM_FAILED
from aiida_sicmlip.common.filenames import PORTABLE_MODEL_FILE, PRIOR_FILE
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, fit_prior

pytestmark = pytest.mark.program

CUTOFF = 3.4
# Run where the package cannot be imported and nothing announces it.
ELSEWHERE = """
import importlib.metadata, json, sys
import numpy as np
announced = importlib.metadata.entry_points
def others(**keys):
    found = announced(**keys)
    return [entry for entry in found if entry.module != "aiida_sicmlip.nequip_extension"] if keys else found
importlib.metadata.entry_points = others
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "aiida_sicmlip":
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
from ase import Atoms
from nequip.data import from_ase
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.model.saved_models import load_saved_model
from nequip.utils.global_state import set_global_state
set_global_state()
model = load_saved_model(sys.argv[1]).eval()
frame = json.loads(sys.argv[2])
data = from_ase(Atoms(frame["symbols"], frame["positions"], cell=frame["cell"], pbc=True))
for transform in (ChemicalSpeciesToAtomTypeMapper(list(model.type_names)), NeighborListTransform(r_max=3.5)):
    data = transform(data)
result = model(data)
print(json.dumps([result["total_energy"].item(), result["forces"].detach().tolist()]))
try:
    import aiida_sicmlip
except ImportError:
    print("absent")
"""


@dataclass(frozen=True)
class Trained:
    """A folder with a trained model, the prior in it, and the environment in which programs run."""

    folder: Path
    prior: LennardJonesPrior
    environment: dict[str, str]


def frames() -> list[Atoms]:
    """Return some carbide that no training has seen."""
    return [labelled_carbide(60, amplitude=0.2), labelled_carbide(61) * (1, 1, 2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny model, trained for two passes on top of a prior that was fitted to its data."""
    folder = tmp_path_factory.mktemp("prior")
    environment = announce_extension(folder / "metadata")
    # The prior lists another element, and the elements in another order than the model.
    fit = fit_prior(
        [labelled_carbide(seed) for seed in range(4)], LennardJonesSettings(cutoff=CUTOFF), ["C", "H", "Si"]
    )
    (folder / PRIOR_FILE).write_text(json.dumps(fit.prior.to_dict()))
    model = {**TINY["model"], "pair_potential": "lennard-jones"}
    prepare_training(folder, maximum_steps=4, model=model, prior=PRIOR_FILE)
    result = run_potential(folder, "train", environment=environment)
    assert result.returncode == 0, result.stderr
    return Trained(folder, replace(fit.prior, offsets=np.zeros(3)), environment)


@pytest.fixture(scope="module")
def compiled(trained: Trained) -> dict[str, Path]:
    """The model, compiled for each target."""
    files = {}
    for target in ("pair_allegro", "ase"):
        files[target] = trained.folder / f"{target}.nequip.pt2"
        result = run_potential(
            trained.folder,
            *("compile", PORTABLE_MODEL_FILE, "--output", files[target], "--target", target),
            environment=trained.environment,
        )
        assert result.returncode == 0, result.stderr
    return files


def network_alone(trained: Trained):
    """Return the packaged model without its prior, by setting the coefficients to zero."""
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    model = PackagedModel.load(trained.folder / PORTABLE_MODEL_FILE)
    emptied = [
        buffer.zero_()
        for name, buffer in model._model.named_buffers()
        if name.split(".")[-1] in ("repulsion", "attraction")
    ]
    assert len(emptied) == 2
    return model


def virial_of(model, frame: Atoms) -> np.ndarray:
    """Return the virial (3, 3), eV, of a packaged model."""
    from nequip.data import AtomicDataDict, from_ase

    data = from_ase(Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=frame.pbc))
    for transform in model._transforms:
        data = transform(data)
    return model._model(data)[AtomicDataDict.VIRIAL_KEY].detach().numpy().reshape(3, 3)


def test_the_network_starts_from_what_the_prior_leaves(trained: Trained) -> None:
    model = yaml.safe_load((trained.folder / "nequip.yaml").read_text())["training_module"]["model"]
    training = [labelled_carbide(seed) for seed in range(4)]
    left = np.concatenate([frame.get_forces() - trained.prior.evaluate(frame).forces for frame in training])
    assert model["per_type_energy_scales"] == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-9)
    total = np.mean([frame.get_potential_energy() - trained.prior.evaluate(frame).energy for frame in training])
    assert sum(model["per_type_energy_shifts"].values()) * 4 == pytest.approx(total, rel=1e-9)


def test_the_package_is_network_and_prior(trained: Trained) -> None:
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    both, network = PackagedModel.load(trained.folder / PORTABLE_MODEL_FILE), network_alone(trained)
    for frame in frames():
        expected = trained.prior.evaluate(frame)
        energy, forces = both.compute(frame)
        rest, rest_forces = network.compute(frame)
        assert np.abs(expected.forces).max() > 0.3
        assert energy - rest == pytest.approx(expected.energy, abs=1e-10)
        np.testing.assert_allclose(forces - rest_forces, expected.forces, atol=1e-10)


def test_the_package_runs_where_this_project_is_absent(trained: Trained, tmp_path: Path) -> None:
    from aiida_sicmlip.engine.packaged_model import PackagedModel

    frame = frames()[0]
    described = {
        "symbols": frame.get_chemical_symbols(),
        "positions": frame.positions.tolist(),
        "cell": frame.cell.tolist(),
    }
    result = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, trained.folder / PORTABLE_MODEL_FILE, json.dumps(described)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    *_, numbers, presence = result.stdout.strip().splitlines()
    assert presence == "absent"
    energy, forces = PackagedModel.load(trained.folder / PORTABLE_MODEL_FILE).compute(frame)
    assert json.loads(numbers)[0] == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(json.loads(numbers)[1], forces, atol=1e-10)


def test_compiled_for_lammps_it_is_the_sum(trained: Trained, compiled: dict[str, Path]) -> None:
    from aiida_sicmlip.engine.compiled_potential import CompiledPotential

    potential, network = CompiledPotential.load(compiled["pair_allegro"], device="cpu"), network_alone(trained)
    for frame in frames():
        kinds = [potential.species.index(symbol) for symbol in frame.symbols]
        result = potential.compute(frame.positions, frame.cell.array, frame.pbc, kinds)
        expected = trained.prior.evaluate(frame)
        energy, forces = network.compute(frame)
        assert result.energy == pytest.approx(energy + expected.energy, abs=1e-8)
        np.testing.assert_allclose(result.forces, forces + expected.forces, atol=1e-8)
        np.testing.assert_allclose(result.virial, virial_of(network, frame) + expected.virial, atol=1e-8)
    # Far inside the wall the prior is all that counts, and the virial is its own.
    dimer = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 0.5]], cell=[20.0] * 3, pbc=True)
    result = potential.compute(dimer.positions, dimer.cell.array, dimer.pbc, [0, 1])
    expected = trained.prior.evaluate(dimer)
    assert expected.energy > 1e4
    assert result.energy == pytest.approx(expected.energy, rel=1e-2)
    np.testing.assert_allclose(result.forces[0, 2], expected.forces[0, 2], rtol=1e-2)
    np.testing.assert_allclose(result.virial[2, 2], expected.virial[2, 2], rtol=1e-2)


def test_compiled_for_ase_it_is_the_sum(trained: Trained, compiled: dict[str, Path]) -> None:
    from nequip.integrations.ase import NequIPCalculator

    network = network_alone(trained)
    for frame in frames():
        frame.calc = NequIPCalculator.from_compiled_model(compiled["ase"], device="cpu")
        expected = trained.prior.evaluate(frame)
        energy, forces = network.compute(frame)
        assert frame.get_potential_energy() == pytest.approx(energy + expected.energy, abs=1e-8)
        np.testing.assert_allclose(frame.get_forces(), forces + expected.forces, atol=1e-8)


def test_a_prior_that_cannot_be_used_ends_the_program_with_a_message(tmp_path: Path, trained: Trained) -> None:
    model = {**TINY["model"], "pair_potential": "lennard-jones"}
    folder = prepare_training(tmp_path, model=model, prior=PRIOR_FILE)
    result = run_potential(folder, "train", environment=trained.environment)
    assert result.returncode == INPUT_ERROR and PRIOR_FILE in result.stderr
    (folder / PRIOR_FILE).write_text(json.dumps({"species": ["C", "Si"]}))
    result = run_potential(folder, "train", environment=trained.environment)
    assert result.returncode == INPUT_ERROR and "The prior lacks `repulsion`" in result.stderr
    assert read_report(folder / "training_report.json")["error"]["status"] == INPUT_ERROR


def test_an_installation_that_cannot_package_is_noticed_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aiida_sicmlip.engine import training
    from aiida_sicmlip.engine.programs.main import main

    folder = prepare_training(tmp_path, model={**TINY["model"], "pair_potential": "lennard-jones"}, prior=PRIOR_FILE)
    (folder / PRIOR_FILE).write_text("{}")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(training, "entry_points", lambda **_: [])
    assert main(["train"]) == PROGRAM_FAILED
    assert "install it again" in capsys.readouterr().err
