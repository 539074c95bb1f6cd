"""What the study of ways to select frames computes; the study itself takes hours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from studies import active_learning


def test_labels_needed_lie_on_the_curve():
    """Errors that fall as n**-0.5 give back the n of any error between them."""
    counts = [10, 20, 40, 80]
    errors = [0.3 * (count / 10) ** -0.5 for count in counts]
    for wanted in (12.0, 20.0, 33.0, 80.0):
        target = 0.3 * (wanted / 10) ** -0.5
        assert active_learning.labels_needed(counts, errors, target) == pytest.approx(wanted)
    assert active_learning.labels_needed(counts, errors, 0.31) == 10
    assert active_learning.labels_needed(counts, errors, 0.01) is None


def test_comparison_with_random_picks(tmp_path):
    """A method whose errors are those of twice the labels needs half of them."""
    law = {count: 0.3 * (count / 10) ** -0.5 for count in (10, 20, 40, 80, 160)}
    counts = (10, 20, 40, 80)
    curves = {
        "random": {count: [law[count] * 0.9, law[count] * 1.1] for count in counts},
        "farthest-point": {count: [law[2 * count] * 0.9, law[2 * count] * 1.1] for count in counts},
        "top-k": {count: [law[count] * 0.9 + 0.3, law[count] * 1.1 + 0.3] for count in counts},
    }
    found = active_learning.compare(curves)
    needed = {method: entry["labels_needed"] for method, entry in found["methods"].items()}
    assert needed["random"] == pytest.approx(80)
    assert needed["farthest-point"] == pytest.approx(40)
    assert needed["top-k"] is None
    assert found["methods"]["random"]["standard_error"][0] == pytest.approx(0.03)
    # Seed by seed, what the seeds have in common drops out of a difference.
    beyond = found["methods"]["top-k"]
    assert beyond["difference_to_random_mean"] == pytest.approx([0.3] * 4)
    assert beyond["difference_to_random_standard_error"] == pytest.approx([0.0] * 4, abs=1e-12)
    printed = active_learning.table(found)
    assert "10: +0.3000 +- 0.0000" in printed
    assert "labels for 0.1061 eV/A: 40" in printed and "more than were tried" in printed
    both = {name: {"seeds": curves, **found} for name in active_learning.SHOWN}
    active_learning.draw(both, tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes()[:4] == b"\x89PNG"


def test_order_of_labels(tmp_path):
    """All methods begin with the same frames, take as many as asked for, none twice and none too near in time."""
    options = SimpleNamespace(folder=tmp_path, cells=2, labels=[4, 8, 16], separation=0.3)
    study = active_learning.Study(options)
    rows = np.abs(np.random.default_rng(3).normal(size=(120, 6)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pool = active_learning.Frames([None] * 120, np.repeat([1, 2], 60), np.tile(0.1 * np.arange(60), 2))
    orders = {method: study.order(method, 5, rows, pool) for method in active_learning.METHODS}
    assert len({tuple(order[:4]) for order in orders.values()}) == 1
    assert len({tuple(order) for order in orders.values()}) == 3
    for order in orders.values():
        assert len(set(order)) == len(order) == 16
        for run in (1, 2):
            times = np.sort(pool.time[[index for index in order if pool.run[index] == run]])
            assert (np.diff(times) > 0.3 - 1e-6).all()
    assert study.order("random", 6, rows, pool)[:4] != orders["random"][:4]
    with pytest.raises(SystemExit, match="no 200 frames"):
        options.labels = [4, 200]
        study.order("random", 5, rows, pool)
