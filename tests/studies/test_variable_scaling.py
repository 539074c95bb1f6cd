"""The study of scalings: what it measures of known trajectories, and that it goes on where it was stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from aiida_sicmlip.science.pines.layout import PivLayout
from studies.variable_scaling import gradient_noise
from studies.variable_scaling_table import draw, summary


class OneDistance:
    """A model of two atoms whose variables are their distance and its square."""

    layout = PivLayout.from_groups({"A": [0], "B": [1]})

    @staticmethod
    def module(distances: torch.Tensor) -> torch.Tensor:
        return torch.cat([distances, distances**2], -1)


def test_noise_of_gradients():
    """The gradient of a distance turns with it: by an angle a each frame it changes by 2 - 2 cos a of its square."""
    angle = 0.1
    turns = angle * np.arange(20)
    second = np.stack([3 * np.cos(turns), 3 * np.sin(turns), 0 * turns], axis=1)
    positions = np.stack([np.zeros_like(second), second], axis=1) + 5.0
    noise = gradient_noise(OneDistance(), positions, np.eye(3) * 20)
    assert noise == pytest.approx([2 - 2 * np.cos(angle)] * 2, rel=1e-4)
    assert gradient_noise(OneDistance(), positions[:1].repeat(5, axis=0), np.eye(3) * 20) == [0.0, 0.0]


def rows():
    """Rows of two arms, of which one is complete for one seed."""
    walker = {
        "first_hop_ps": None,
        "length_ps": 20.0,
        "heating": {"biased": {"value": 1550.0}, "others": {"value": 1500.0}, "drift": {"value": 3.0}},
    }
    return [
        {"arm": "entry", "seed": 1, "variance_explained": 0.3, "gradient_noise": [0.1, 0.3], "walker": walker},
        {"arm": "entry", "seed": 2, "variance_explained": 0.5, "drift_by_timestep_fs": {"1": {"ev_per_ps": 4.0}}},
        {"arm": "vector", "seed": 1, "variance_explained": 0.7},
    ]


def test_means_are_of_what_is_there(tmp_path):
    found = summary(json.loads(json.dumps(rows())))
    mean, error, count = found["entry"]["variance explained"]
    assert (mean, error, count) == (pytest.approx(0.4), pytest.approx(0.1), 2)
    assert found["entry"]["hotter (K)"][0] == 50.0 and np.isnan(found["entry"]["hotter (K)"][1])
    # A walker without a hop has waited for all of its length.
    assert found["entry"]["waited for a hop (ps)"][0] == 20.0 and found["entry"]["hops"][0] == 0.0
    assert found["entry"]["NVE, 1 fs (eV/ps)"] == (4.0, pytest.approx(np.nan, nan_ok=True), 1)
    assert list(found["vector"]) == ["variance explained"]
    draw(rows(), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000
