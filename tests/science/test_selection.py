"""Farthest-point selection against an independent brute-force reference; seeded splits."""

import itertools

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection import distance_to_set, farthest_point, split_training_validation


def pool(seed: int, count: int, dimension: int = 6) -> np.ndarray:
    """Random unit vectors of positive components, as descriptors are."""
    rows = np.abs(np.random.default_rng(seed).normal(size=(count, dimension)))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(descriptors, reference, count, *, allowed, trajectory, time, separation):
    """The definition, frame by frame: no running minima, all distances anew for every pick."""
    chosen = []
    while len(chosen) < count:
        best, best_distance = None, -1.0
        for index in range(len(descriptors)):
            if not allowed[index] or index in chosen:
                continue
            if any(trajectory[c] == trajectory[index] and abs(time[c] - time[index]) < separation for c in chosen):
                continue
            known = [*reference, *(descriptors[c] for c in chosen)]
            if known:
                distance = min(
                    1 - sum(float(a) * float(b) for a, b in zip(descriptors[index], k, strict=True)) for k in known
                )
            else:
                mean = [sum(column) / len(descriptors) for column in zip(*descriptors, strict=True)]
                length = sum(x * x for x in mean) ** 0.5
                distance = 1 - sum(float(a) * b / length for a, b in zip(descriptors[index], mean, strict=True))
            if distance > best_distance:
                best, best_distance = index, distance
        if best is None:
            break
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_reference", [0, 1, 7])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("separation", [0, 1, 4])
def test_agrees_with_brute_force(seed, n_reference, masked, separation):
    descriptors = pool(seed, 40)
    reference = pool(seed + 100, n_reference)
    generator = np.random.default_rng(seed + 200)
    allowed = generator.random(40) < 0.6 if masked else np.ones(40, dtype=bool)
    trajectory = np.repeat([3, 8], 20)
    time = np.tile(np.arange(20), 2)
    picks = farthest_point(
        descriptors,
        reference if n_reference else None,
        12,
        allowed=allowed,
        trajectory=trajectory,
        time=time,
        separation=separation,
    )
    expected = brute_force(
        descriptors, reference, 12, allowed=allowed, trajectory=trajectory, time=time, separation=separation
    )
    assert [pick.index for pick in picks] == expected
    assert allowed[[pick.index for pick in picks]].all()
    for a, b in itertools.combinations(expected, 2):
        assert trajectory[a] != trajectory[b] or abs(time[a] - time[b]) >= separation


def test_distances_of_picks():
    descriptors, reference = pool(1, 30), pool(2, 5)
    picks = farthest_point(descriptors, reference, 8)
    known = list(reference)
    for pick in picks:
        assert pick.distance == pytest.approx(min(1 - descriptors[pick.index] @ other for other in known), abs=1e-11)
        known.append(descriptors[pick.index])
    distances = [pick.distance for pick in picks]
    assert distances == sorted(distances, reverse=True)


def test_distance_to_set_in_blocks(monkeypatch):
    descriptors, reference = pool(3, 50), pool(4, 23)
    expected = [min(1 - a @ b for b in reference) for a in descriptors]
    monkeypatch.setattr("aiida_sicmlip.science.selection._BLOCK", 7)
    assert np.allclose(distance_to_set(descriptors, reference), expected, atol=1e-11)
    assert np.isinf(distance_to_set(descriptors, reference[:0])).all()


def test_ties_go_to_the_lowest_index():
    descriptors = np.eye(4)[[0, 1, 2, 3, 1, 2]]
    assert [pick.index for pick in farthest_point(descriptors, np.eye(4)[:1], 6)] == [1, 2, 3]


def test_duplicates_are_never_picked():
    descriptors = np.repeat(pool(5, 4), 3, axis=0)
    picks = farthest_point(descriptors, None, 10)
    assert len(picks) == 4
    assert len({pick.index // 3 for pick in picks}) == 4
    assert farthest_point(descriptors, descriptors, 10) == []
    assert len(farthest_point(np.repeat(pool(6, 1), 5, axis=0), None, 3)) == 1
    near = descriptors[:1].copy()
    near[0, 0] += 1e-3
    near /= np.linalg.norm(near)
    assert farthest_point(near, descriptors, 1, tolerance=1e-4) == []
    assert len(farthest_point(near, descriptors, 1)) == 1


def test_separation_alone_ends_the_selection():
    picks = farthest_point(pool(7, 10), None, 10, trajectory=np.zeros(10), time=np.arange(10), separation=10)
    assert len(picks) == 1


def test_inputs_are_left_alone():
    descriptors, allowed = pool(8, 10), np.ones(10, dtype=bool)
    copy = descriptors.copy()
    farthest_point(descriptors, None, 5, allowed=allowed)
    assert allowed.all()
    assert np.array_equal(copy, descriptors)


def test_empty_cases():
    assert farthest_point(pool(1, 5), None, 0) == []
    assert farthest_point(np.empty((0, 6)), pool(1, 2), 3) == []
    assert farthest_point(pool(1, 5), np.empty((0, 6)), 2) == farthest_point(pool(1, 5), None, 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"descriptors": 2 * pool(1, 5)}, "unit length"),
        ({"descriptors": pool(1, 5) * np.nan}, "unit length"),
        ({"descriptors": pool(1, 5)[0]}, "one row for each frame"),
        ({"reference": pool(1, 5, 3)}, "3 columns"),
        ({"count": -1}, "`count` is -1"),
        ({"allowed": np.ones(4, dtype=bool)}, "`allowed`"),
        ({"allowed": np.arange(5)}, "`allowed`"),
        ({"separation": 2}, "`trajectory`"),
        ({"separation": 2, "trajectory": np.zeros(4), "time": np.zeros(5)}, "5 entries"),
    ],
)
def test_errors(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        farthest_point(**{"descriptors": pool(1, 5), "reference": None, "count": 2, **arguments})


def test_split_is_disjoint_seeded_and_complete():
    picks = list("abcdefghij")
    training, validation = split_training_validation(picks, 7, 3, seed=1)
    assert (len(training), len(validation)) == (7, 3)
    assert sorted(training + validation) == picks
    assert training == sorted(training)
    assert split_training_validation(picks, 7, 3, seed=1) == (training, validation)
    assert any(split_training_validation(picks, 7, 3, seed=seed) != (training, validation) for seed in range(2, 6))
    smaller = split_training_validation(picks, 2, 3, seed=1)
    assert not set(smaller[0]) & set(smaller[1])
    with pytest.raises(InputError, match="there are 10 picks"):
        split_training_validation(picks, 8, 3, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_split_keeps_groups_together(seed):
    picks, groups = list(range(20)), [index % 4 for index in range(20)]
    training, validation = split_training_validation(picks, 8, 6, seed, groups=groups)
    assert (len(training), len(validation)) == (8, 6)
    assert not {groups[index] for index in training} & {groups[index] for index in validation}
    with pytest.raises(InputError, match="use more groups"):
        split_training_validation(picks, 12, 6, seed, groups=groups)
    with pytest.raises(InputError, match="one for each"):
        split_training_validation(picks, 1, 1, seed, groups=groups[:3])
