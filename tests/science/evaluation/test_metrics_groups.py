"""R2, errors of groups and the worst frames, against scikit-learn and plain formulas on random data."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.metrics import N_WORST, determination, energy_errors, error_metrics, force_errors


def random_frames(n_frames: int, noise: float) -> tuple[list[Atoms], list[Atoms]]:
    """Return labelled frames of 2 to 9 atoms, and predictions that are wrong by noise."""
    rng = np.random.default_rng(4)
    reference, predicted = [], []
    for _ in range(n_frames):
        atoms = Atoms(rng.choice(["Si", "C"], rng.integers(2, 10)), cell=[9, 9, 9], pbc=True)
        atoms.positions[:] = rng.uniform(0.0, 9.0, atoms.positions.shape)
        forces = rng.normal(0.0, 1.0, atoms.positions.shape)
        energy = -7.0 * len(atoms) + rng.normal()
        for group, scale in ((reference, 0.0), (predicted, noise)):
            copy = atoms.copy()
            wrong = forces + scale * rng.normal(size=forces.shape)
            copy.calc = SinglePointCalculator(copy, energy=energy + scale * rng.normal(), forces=wrong)
            group.append(copy)
    return reference, predicted


def test_errors_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    reference, predicted = random_frames(30, 0.3)
    found = error_metrics(reference, predicted)
    true, guess = (np.concatenate([frame.get_forces() for frame in frames]) for frames in (reference, predicted))
    assert found.force_r2 == pytest.approx(metrics.r2_score(true.ravel(), guess.ravel()))
    assert found.force_mae == pytest.approx(metrics.mean_absolute_error(true, guess))
    assert found.force_rmse == pytest.approx(np.sqrt(metrics.mean_squared_error(true, guess)))
    energies = [
        np.array([frame.get_potential_energy() / len(frame) for frame in frames]) for frames in (reference, predicted)
    ]
    assert found.energy_r2 == pytest.approx(metrics.r2_score(*energies))
    of_energies = energy_errors(energies[1], energies[0])
    assert of_energies.n_frames == 30
    assert (of_energies.energy_mae, of_energies.energy_rmse, of_energies.energy_r2) == pytest.approx(
        (found.energy_mae, found.energy_rmse, found.energy_r2)
    )
    symbols = np.concatenate([frame.symbols for frame in reference])
    assert list(found.by_species) == ["C", "Si"]
    for symbol, errors in found.by_species.items():
        mine = symbols == symbol
        assert errors.n_atoms == mine.sum()
        assert errors.force_mae == pytest.approx(metrics.mean_absolute_error(true[mine], guess[mine]))
        assert errors.force_rmse == pytest.approx(np.sqrt(metrics.mean_squared_error(true[mine], guess[mine])))
        assert errors.force_r2 == pytest.approx(metrics.r2_score(true[mine].ravel(), guess[mine].ravel()))


def test_worst_frames_come_first() -> None:
    reference, predicted = random_frames(25, 0.3)
    found = error_metrics(reference, predicted)
    expected = np.argsort(found.force_mae_per_frame)[::-1][:N_WORST]
    assert [frame.place for frame in found.worst_frames] == list(expected)
    for frame in found.worst_frames:
        difference = np.abs(predicted[frame.place].get_forces() - reference[frame.place].get_forces())
        assert frame.force_mae == pytest.approx(difference.mean())
        assert frame.force_max == pytest.approx(difference.max())
        assert frame.energy_error == found.energy_error_per_frame[frame.place]


def test_worst_frames_are_no_more_than_there_are() -> None:
    assert len(error_metrics(*random_frames(3, 0.1)).worst_frames) == 3


def test_determination_of_simple_models() -> None:
    reference = np.array([1.0, 2.0, 3.0, 6.0])
    assert determination(reference, reference) == 1.0
    assert determination(np.full(4, 3.0), reference) == pytest.approx(0.0)
    assert determination(-reference, reference) < 0.0


@pytest.mark.parametrize("reference", [[], [1.0], [2.0, 2.0, 2.0]])
def test_no_variation_has_no_determination(reference: list[float]) -> None:
    assert determination(np.zeros(len(reference)), np.array(reference)) is None


def test_groups_without_members() -> None:
    empty = force_errors(np.empty((0, 3)), np.empty((0, 3)))
    assert (empty.n_atoms, empty.force_mae, empty.force_rmse, empty.force_r2) == (0, None, None, None)
    none = energy_errors(np.empty(0), np.empty(0))
    assert (none.n_frames, none.energy_mae, none.energy_rmse, none.energy_r2) == (0, None, None, None)


def test_shapes_that_differ() -> None:
    with pytest.raises(InputError, match="give as many"):
        force_errors(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="give as many"):
        energy_errors(np.zeros(2), np.zeros(3))
