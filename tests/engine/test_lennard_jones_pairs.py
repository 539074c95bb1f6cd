"""The prior inside an Allegro model is the prior of `science`, to rounding: energies, forces and virial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from potential_helpers import TINY, labelled_carbide

from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior, envelope
from aiida_sicmlip.science.training.nequip_config import DatasetStatistics, nequip_config
from tests.dimers import dimer_curve

STATISTICS = DatasetStatistics(neighbours=10.0, energies={"Si": -5.0, "C": -9.0}, forces_rms=0.7)
CUTOFF = 3.4


@pytest.fixture
def prior() -> LennardJonesPrior:
    """A prior without offsets whose elements stand in another order than the model's."""
    depth, sigma = np.array([[0.05, 0.6], [0.6, 0.2]]), np.array([[1.5, 1.7], [1.7, 2.1]])
    return LennardJonesPrior(("C", "Si"), 4 * depth * sigma**12, 4 * depth * sigma**6, np.zeros(2), CUTOFF)


def pair_potential(prior: LennardJonesPrior, **changes: Any) -> dict[str, Any]:
    """Return what the builder of the model takes."""
    return {
        "_target_": "aiida_sicmlip.nequip_extension.lennard_jones.LennardJonesPairs",
        "species": list(prior.species),
        "repulsion": prior.repulsion.tolist(),
        "attraction": prior.attraction.tolist(),
        "cutoff": prior.cutoff,
        "model_cutoff": 3.5,
        **changes,
    }


def build(potential: dict[str, Any] | None, precision: str = "float64") -> Any:
    """Return a tiny Allegro model; the seed of its weights is always the same."""
    from hydra.utils import instantiate
    from nequip.utils.global_state import set_global_state

    set_global_state()
    settings = {**TINY, "model": {**TINY["model"], "precision": precision}}
    config = nequip_config(settings, STATISTICS, 10)["training_module"]["model"]
    if potential is not None:
        config["pair_potential"] = potential
    return instantiate(config, _recursive_=False, _convert_="all").eval()


def outputs(model: Any, atoms: Atoms) -> dict[str, np.ndarray]:
    """Return what the model says about ``atoms``."""
    from nequip.data import AtomicDataDict, from_ase
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform

    data = from_ase(Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc))
    for transform in (ChemicalSpeciesToAtomTypeMapper(["Si", "C"]), NeighborListTransform(r_max=3.5)):
        data = transform(data)
    result = model(data)
    names = {
        "energy": AtomicDataDict.TOTAL_ENERGY_KEY,
        "atomic": AtomicDataDict.PER_ATOM_ENERGY_KEY,
        "forces": AtomicDataDict.FORCE_KEY,
        "virial": AtomicDataDict.VIRIAL_KEY,
    }
    return {name: result[key].detach().double().numpy() for name, key in names.items()}


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])
def test_the_model_with_the_prior_is_the_sum_of_both(
    prior: LennardJonesPrior, precision: str, tolerance: float
) -> None:
    alone, together = build(None, precision), build(pair_potential(prior), precision)
    frames = [labelled_carbide(seed, amplitude=0.25) for seed in (1, 2)]
    frames.append(labelled_carbide(3) * (1, 1, 2))
    for frame in frames:
        expected = prior.evaluate(frame)
        without, with_pairs = outputs(alone, frame), outputs(together, frame)
        assert np.abs(expected.forces).max() > 0.5
        difference = {name: with_pairs[name] - without[name] for name in without}
        assert difference["energy"].item() == pytest.approx(expected.energy, abs=tolerance)
        np.testing.assert_allclose(difference["atomic"][:, 0], expected.atomic_energies, atol=tolerance)
        np.testing.assert_allclose(difference["forces"], expected.forces, atol=tolerance)
        np.testing.assert_allclose(difference["virial"].reshape(3, 3), expected.virial, atol=tolerance)


@pytest.mark.parametrize("pair", ["SiSi", "SiC", "CC"])
@pytest.mark.parametrize("length", [0.6, 1.8, 3.39, 3.45])
def test_dimers_have_the_analytic_energy_and_force(prior: LennardJonesPrior, pair: str, length: float) -> None:
    dimer = Atoms(pair, positions=[[0.0, 0.0, 0.0], [0.0, 0.0, length]], cell=[20.0] * 3, pbc=True)
    without, with_pairs = outputs(build(None), dimer), outputs(build(pair_potential(prior)), dimer)
    energies, slopes = dimer_curve(prior, *dimer.get_chemical_symbols(), [length])
    assert (with_pairs["energy"] - without["energy"]).item() == pytest.approx(energies[0], rel=1e-10, abs=1e-10)
    assert (with_pairs["forces"] - without["forces"])[0, 2] == pytest.approx(slopes[0], rel=1e-10, abs=1e-10)
    if length > CUTOFF:
        assert energies[0] == 0.0


def test_the_envelope_is_that_of_nequip() -> None:
    import torch
    from nequip.nn.embedding import PolynomialCutoff

    x = np.linspace(0.0, 1.2, 50)
    expected = PolynomialCutoff(6)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(envelope(x)[0], expected, atol=1e-12)


def test_the_prior_is_not_trained_and_is_saved_with_the_model(prior: LennardJonesPrior) -> None:
    alone, together = build(None), build(pair_potential(prior))
    assert [name for name, _ in together.named_parameters()] == [name for name, _ in alone.named_parameters()]
    added = set(together.state_dict()) - set(alone.state_dict())
    assert {name.rsplit(".", 1)[-1] for name in added} >= {"repulsion", "attraction"}


def test_priors_that_do_not_fit_the_model_are_refused(prior: LennardJonesPrior) -> None:
    with pytest.raises(Exception, match="no coefficients for Si"):
        build(pair_potential(prior, species=["C", "Ge"]))
    with pytest.raises(Exception, match=r"cutoff \(4.0 A\) is above the model"):
        build(pair_potential(prior, cutoff=4.0))
