"""Disagreement of a committee against plain formulas, and in cases whose values follow by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.committee import energy_disagreement, force_disagreement, summarise_disagreement


def test_two_members_by_hand() -> None:
    forces = np.array([[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[-1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    assert force_disagreement(forces) == pytest.approx([1.0, 0.0])
    assert energy_disagreement([np.array([-10.0]), np.array([-14.0])], np.array([4])) == pytest.approx([0.5])


def test_plain_formula() -> None:
    rng = np.random.default_rng(2)
    forces, energies, sizes = rng.normal(size=(5, 20, 3)), rng.normal(size=(5, 4)), np.array([3, 5, 4, 8])
    expected = [
        np.sqrt(sum(np.sum((member[atom] - forces[:, atom].mean(axis=0)) ** 2) for member in forces) / 5)
        for atom in range(20)
    ]
    assert force_disagreement(forces) == pytest.approx(expected)
    spread = [
        np.sqrt(sum((energy - energies[:, frame].mean()) ** 2 for energy in energies[:, frame]) / 5)
        for frame in range(4)
    ]
    assert energy_disagreement(energies, sizes) == pytest.approx(np.array(spread) / sizes)


def test_disagreement_has_the_symmetries_of_forces() -> None:
    rng = np.random.default_rng(3)
    forces = rng.normal(size=(4, 10, 3))
    expected = force_disagreement(forces)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert force_disagreement(forces @ rotation) == pytest.approx(expected)
    assert force_disagreement(forces[[2, 0, 3, 1]]) == pytest.approx(expected)
    assert force_disagreement(forces + rng.normal(size=(10, 3))) == pytest.approx(expected)
    assert force_disagreement(3.0 * forces) == pytest.approx(3.0 * expected)


def test_members_that_agree() -> None:
    same = np.random.default_rng(4).normal(size=(6, 3))
    assert force_disagreement([same, same, same]) == pytest.approx(0.0)


def test_summary() -> None:
    rng = np.random.default_rng(5)
    error = rng.uniform(size=50)
    disagreement = error + 0.3 * rng.uniform(size=50)
    found = summarise_disagreement(disagreement, error)
    assert (found.mean, found.maximum) == pytest.approx((disagreement.mean(), disagreement.max()))
    assert found.rank_correlation == pytest.approx(spearmanr(disagreement, error).statistic)
    assert summarise_disagreement(error**3, error).rank_correlation == pytest.approx(1.0)
    assert summarise_disagreement(-error, error).rank_correlation == pytest.approx(-1.0)
    assert set(found.to_dict()) == {"mean", "maximum", "rank_correlation"}


@pytest.mark.parametrize("error", [[0.1], [0.1, 0.2], [0.1, 0.1, 0.1, 0.1]])
def test_no_order_has_no_correlation(error: list[float]) -> None:
    assert summarise_disagreement(np.arange(len(error)), np.array(error)).rank_correlation is None


def test_what_is_no_committee() -> None:
    with pytest.raises(InputError, match="at least two"):
        force_disagreement(np.zeros((1, 4, 3)))
    with pytest.raises(InputError, match="different shapes"):
        force_disagreement([np.zeros((4, 3)), np.zeros((5, 3))])
    with pytest.raises(InputError, match="one of each"):
        summarise_disagreement(np.zeros(3), np.zeros(4))
