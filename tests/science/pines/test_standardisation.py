"""What shares a standard deviation: variances, exported models, forces of a bias, and the energy its steps conserve."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.data import atomic_masses, atomic_numbers
from ase.units import kB

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias import Bias
from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder, standardisation
from aiida_sicmlip.science.pines.export import read_model, write_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.model import CollectiveVariables
from aiida_sicmlip.science.pines.piv import pair_distances, permutation_invariant_vectors, switched
from aiida_sicmlip.science.pines.settings import STANDARDISATIONS, AutoencoderSettings, SwitchingFunction
from aiida_sicmlip.science.pines.training import train_autoencoder

FIXTURES = Path(__file__).parents[2] / "parsers" / "fixtures" / "collective_variables"
SWITCHING = SwitchingFunction(r0=3.2, exponent=6)
FORCE_TO_ACCELERATION = 9648.533
"""From eV/A/amu to A/ps^2."""
KT = kB * 1500


def quick(standardisation: str) -> AutoencoderSettings:
    return AutoencoderSettings(hidden=(8,), latent=2, max_epochs=2, held_out=0, standardisation=standardisation)


def test_variances_of_standardised_vectors():
    """Every kind leaves as much variance in all: the weight of the KL term means the same."""
    vectors = torch.randn(500, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([1, 2, 3, 1e-3, 10, 20])
    by_kind = {kind: standardisation(vectors, kind, [4, 2]) for kind in STANDARDISATIONS}
    for kind, (mean, std) in by_kind.items():
        found = ((vectors - mean) / std).var(0, correction=0)
        assert float(found.sum()) == pytest.approx(6, rel=1e-5), kind
        assert torch.equal(mean, by_kind["entry"][0])
    assert by_kind["entry"][1].tolist() == pytest.approx(vectors.std(0, correction=0).tolist(), rel=1e-6)
    assert len(set(by_kind["vector"][1].tolist())) == 1
    first, second = by_kind["block"][1].split([4, 2])
    assert len(set(first.tolist())) == len(set(second.tolist())) == 1
    assert float(second[0] ** 2) == pytest.approx(float(vectors[:, 4:].var(0, correction=0).mean()), rel=1e-5)
    with pytest.raises(InputError, match="sizes of the blocks are not given"):
        standardisation(vectors, "block")


def test_vectors_that_do_not_vary_are_standardised_to_zero():
    still = torch.full((3, 4), 0.25)
    for kind in STANDARDISATIONS:
        mean, std = standardisation(still, kind, [2, 2])
        assert ((still - mean) / std).abs().max() == 0


@pytest.mark.parametrize(("r0", "exponent"), [(3.2, 6), (2.6, 8), (2.0, 3)])
def test_slope_of_the_switching_function(r0, exponent):
    """Against differences, and -n/r0 (d/r0)^(n-1) s^2."""
    d = torch.linspace(0.5, 8.0, 60, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(switched(d, r0, exponent).sum(), d)
    with torch.no_grad():
        h = 1e-5
        numerical = (switched(d + h, r0, exponent) - switched(d - h, r0, exponent)) / (2 * h)
        exact = -exponent / r0 * (d / r0) ** (exponent - 1) * switched(d, r0, exponent) ** 2
    assert torch.allclose(slope, numerical, rtol=1e-7, atol=1e-10)
    assert torch.allclose(slope, exact, rtol=1e-12, atol=0)
    # Steepest a little before r0, and only there.
    assert float(d[slope.argmin()].detach()) == pytest.approx(
        r0 * ((exponent - 1) / (exponent + 1)) ** (1 / exponent), abs=0.13
    )


@pytest.mark.parametrize("kind", STANDARDISATIONS)
def test_files_hold_what_was_trained(divacancy, training_vectors, tmp_path, kind):
    """With one deviation for the vector, the normalisation that PLUMED runs is a constant; else nothing differs."""
    trained = train_autoencoder(training_vectors[:3], quick(kind), block_sizes=divacancy.layout.block_sizes)
    description = write_model(tmp_path, divacancy.layout, SWITCHING, trained)
    assert description["autoencoder"]["standardisation"] == kind
    model = read_model(tmp_path)
    deviations = {"entry": 435, "block": len(divacancy.layout.blocks), "vector": 1}
    assert len(set(torch.jit.load(tmp_path / "model.ptc").std.tolist())) == deviations[kind]
    frames = divacancy.thermal(divacancy.defect.atoms.positions, seed=4, frames=5)
    found = model.evaluate(frames, divacancy.host.cell.array, divacancy.host.pbc)
    expected = trained.model(divacancy.vectors(frames).float()).detach().numpy()
    assert found == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("case", ["default", "one_trajectory"])
def test_models_from_before_the_setting_are_read_as_they_were(tmp_path, case):
    """Their deviations are in the files: whatever the default is now, they give the same numbers."""
    for file in (FIXTURES / case / "temporary").iterdir():
        shutil.copy(file, tmp_path)
    description = json.loads((tmp_path / "cv.json").read_text())
    assert "standardisation" not in description["autoencoder"]
    model = read_model(tmp_path)
    generator = torch.Generator().manual_seed(1)
    distances = 3.0 + torch.rand(4, len(description["pairs"]), generator=generator, dtype=torch.float32)
    script = torch.jit.load(tmp_path / "model.ptc")
    order = torch.tensor(model.layout.order)
    values = switched(distances, description["switching"]["r0"], description["switching"]["exponent"])[:, order]
    blocks = [block.sort(-1)[0] for block in values.split(model.layout.block_sizes, -1)]
    with np.load(tmp_path / "autoencoder.npz") as stored, torch.no_grad():
        standardised = (torch.cat(blocks, -1) - torch.tensor(stored["mean"])) / torch.tensor(stored["std"])
        expected = model.autoencoder.encoder(standardised)
        assert len(set(stored["std"].tolist())) > 1
        assert torch.allclose(script(distances), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", STANDARDISATIONS)
def test_force_of_a_bias_is_the_slope_of_its_energy(divacancy, tmp_path, kind):
    """Of the files, through the evaluator of plumed.dat; single precision limits the differences."""
    groups = {name: divacancy.chosen.groups[name] for name in ("Si1", "C1")}
    layout = PivLayout.from_groups(groups)
    cell, pbc = divacancy.host.cell.array, divacancy.host.pbc
    frames = divacancy.thermal(divacancy.defect.atoms.positions, seed=8, frames=60)
    chosen = torch.tensor(frames[:, list(layout.atoms)])
    vectors = permutation_invariant_vectors(chosen, cell, pbc, layout, SWITCHING).float()
    trained = train_autoencoder([vectors], quick(kind), block_sizes=layout.block_sizes)
    write_model(tmp_path, layout, SWITCHING, trained)
    lines = [f"d{n}: DISTANCE ATOMS={i + 1},{j + 1}" for n, (i, j) in enumerate(layout.pairs)]
    names = ",".join(f"d{n}" for n in range(len(layout)))
    lines += [f"cv: PYTORCH_MODEL FILE=model.ptc ARG={names}", "RESTRAINT ARG=cv.* AT=1.0,-0.5 KAPPA=2,3"]
    text = "\n".join(["UNITS LENGTH=A ENERGY=eV TIME=ps", *lines])
    bias = Bias(text, kt_ev=0.13, timestep_ps=0.001, n_atoms=len(frames[0]), folder=tmp_path)
    positions = frames[3]
    forces = bias.calculate(1, positions, cell).forces
    assert np.abs(forces).max() > 0.3
    h = 1e-3
    for atom in layout.atoms:
        for axis in range(3):
            shift = np.zeros_like(positions)
            shift[atom, axis] = h
            energies = [bias.calculate(1, positions + sign * shift, cell).energy for sign in (1, -1)]
            slope = (energies[0] - energies[1]) / (2 * h)
            assert forces[atom, axis] == pytest.approx(-slope, abs=0.01 * np.abs(forces).max())


def step_errors(divacancy, kind: str, timestep: float, seed: int) -> np.ndarray:
    """Return the energy (eV) that each step of 0.05 ps at constant energy adds, under a static bias.

    The atoms of the variables are bound to their places by springs that let them vibrate as at 1500 K, and pulled by
    three harmonic terms on variables of random weights.
    """
    layout = divacancy.layout
    cell, pbc = divacancy.host.cell.array, divacancy.host.pbc
    rest = torch.tensor(divacancy.defect.atoms.positions[list(layout.atoms)])
    masses = torch.tensor([atomic_masses[atomic_numbers[symbol]] for symbol in divacancy.chosen.species])[:, None]
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    frames = rest + 0.12 * normal(80, *rest.shape)
    vectors = permutation_invariant_vectors(frames, cell, pbc, layout, SWITCHING)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PivAutoencoder(*standardisation(vectors, kind, layout.block_sizes), (64, 32, 16), 3)
    module = CollectiveVariables(layout, SWITCHING, model).double()

    def variables(positions: torch.Tensor) -> torch.Tensor:
        return module(pair_distances(positions, cell, pbc, layout.local_pairs))

    positions = rest + 0.12 * normal(*rest.shape)
    momenta = (KT * FORCE_TO_ACCELERATION * masses).sqrt() * normal(*rest.shape)
    with torch.no_grad():
        spread = variables(frames).std(0)
        target = variables(positions[None])[0] + 4 * spread

    def energy_and_force(positions: torch.Tensor) -> tuple[float, torch.Tensor]:
        positions = positions.clone().requires_grad_(True)
        pulls = 0.5 * KT * ((variables(positions[None])[0] - target) / spread).square().sum()
        energy = 0.5 * KT / 0.12**2 * (positions - rest).square().sum() + pulls
        (gradient,) = torch.autograd.grad(energy, positions)
        return float(energy.detach()), -gradient

    _, force = energy_and_force(positions)
    energies = []
    for _ in range(round(0.05 / timestep)):
        momenta = momenta + 0.5 * timestep * FORCE_TO_ACCELERATION * force
        positions = positions + timestep * momenta / masses
        potential, force = energy_and_force(positions)
        momenta = momenta + 0.5 * timestep * FORCE_TO_ACCELERATION * force
        energies.append(potential + float((0.5 * momenta.square() / masses).sum()) / FORCE_TO_ACCELERATION)
    return np.diff(energies)


def test_energy_is_conserved_by_short_steps_and_better_with_one_deviation(divacancy):
    """Where two distances exchange their ranks the force jumps: an error of the step, the larger the more it jumps."""
    errors = {
        (kind, timestep): np.sqrt(
            np.mean(np.concatenate([step_errors(divacancy, kind, timestep, s) for s in (0, 1)]) ** 2)
        )
        for kind in ("entry", "vector")
        for timestep in (0.001, 0.00025)
    }
    for kind in ("entry", "vector"):
        assert errors[kind, 0.00025] < 0.25 * errors[kind, 0.001]
    assert errors["vector", 0.001] < 0.9 * errors["entry", 0.001]
