"""Farthest-point selection and other selections against independent brute-force references."""

import itertools

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.selection.farthest_point import Eligibility, Pick, UnitRows, choose_frames, distance_to_set


def pool(seed: int, count: int, dimension: int = 6) -> np.ndarray:
    """Random unit vectors of positive components, as descriptors are."""
    rows = np.abs(np.random.default_rng(seed).normal(size=(count, dimension)))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def farthest_points(descriptors, reference, count, **eligibility) -> list[Pick]:
    """Pick by distance from the reference and from earlier picks; what is not named of the eligibility has defaults."""
    rows = UnitRows("descriptors", descriptors)
    known = UnitRows("reference", np.empty((0, rows.dimension)) if reference is None else reference)
    return choose_frames("farthest-point", rows, distance_to_set(rows, known), count, Eligibility(**eligibility))


def brute_force(descriptors, reference, count, *, allowed, trajectory, time, separation):
    """The definition, frame by frame: no running minima, all distances again for every pick."""
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
    picks = farthest_points(
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
    picks = farthest_points(descriptors, reference, 8)
    known = list(reference)
    for pick in picks:
        assert pick.distance == pytest.approx(min(1 - descriptors[pick.index] @ other for other in known), abs=1e-11)
        known.append(descriptors[pick.index])
    distances = [pick.distance for pick in picks]
    assert distances == sorted(distances, reverse=True)


def test_distance_to_set_in_blocks(monkeypatch):
    descriptors, reference = pool(3, 50), pool(4, 23)
    expected = [min(1 - a @ b for b in reference) for a in descriptors]
    monkeypatch.setattr("aiida_sicmlip.science.selection.farthest_point._BLOCK", 7)
    assert np.allclose(distance_to_set(descriptors, reference), expected, atol=1e-11)
    assert np.isinf(distance_to_set(descriptors, reference[:0])).all()


def test_ties_go_to_the_lowest_index():
    descriptors = np.eye(4)[[0, 1, 2, 3, 1, 2]]
    assert [pick.index for pick in farthest_points(descriptors, np.eye(4)[:1], 6)] == [1, 2, 3]


def test_duplicates_are_never_picked():
    descriptors = np.repeat(pool(5, 4), 3, axis=0)
    picks = farthest_points(descriptors, None, 10)
    assert len(picks) == 4
    assert len({pick.index // 3 for pick in picks}) == 4
    assert farthest_points(descriptors, descriptors, 10) == []
    assert len(farthest_points(np.repeat(pool(6, 1), 5, axis=0), None, 3)) == 1
    near = descriptors[:1].copy()
    near[0, 0] += 1e-3
    near /= np.linalg.norm(near)
    assert farthest_points(near, descriptors, 1, tolerance=1e-4) == []
    assert len(farthest_points(near, descriptors, 1)) == 1


def test_separation_alone_ends_the_selection():
    picks = farthest_points(pool(7, 10), None, 10, trajectory=np.zeros(10), time=np.arange(10), separation=10)
    assert len(picks) == 1


def test_inputs_are_left_alone():
    descriptors, allowed = pool(8, 10), np.ones(10, dtype=bool)
    copy = descriptors.copy()
    farthest_points(descriptors, None, 5, allowed=allowed)
    assert allowed.all()
    assert np.array_equal(copy, descriptors)


def test_empty_cases():
    assert farthest_points(pool(1, 5), None, 0) == []
    assert farthest_points(np.empty((0, 6)), pool(1, 2), 3) == []
    assert farthest_points(pool(1, 5), np.empty((0, 6)), 2) == farthest_points(pool(1, 5), None, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        farthest_points(**{"descriptors": pool(1, 5), "reference": None, "count": 2, **arguments})


@pytest.mark.parametrize("seed", range(3))
def test_large_pools_of_single_precision_are_exact(seed, tmp_path):
    """Distances are updated only where they matter: the picks are those of the plain greedy loop."""
    rows = pool(seed, 3000, 20).astype(np.float32)
    reference = pool(seed + 1, 40, 20).astype(np.float32)
    (tmp_path / "rows").write_bytes(rows.tobytes())
    in_file = np.memmap(tmp_path / "rows", dtype=np.float32, mode="r", shape=rows.shape)
    picks = farthest_points(in_file, reference, 60)
    unit, known = (
        each.astype(float) / np.linalg.norm(each.astype(float), axis=1)[:, None] for each in (rows, reference)
    )
    nearest = (1 - unit @ known.T).min(axis=1)
    for pick in picks:
        assert pick.index == int(np.argmax(np.round(nearest, 12)))
        assert pick.distance == pytest.approx(nearest[pick.index], abs=1e-11)
        nearest = np.minimum(nearest, 1 - unit @ unit[pick.index])


def test_nearly_equal_frames_keep_their_distances():
    """In single precision 1 - a b of unit vectors is rounded to 1e-7; distances a thousand times smaller are told."""
    first = pool(9, 1, 50)[0]
    rows = np.array([first, *(first + 1e-5 * np.random.default_rng(k).normal(size=50) for k in range(6))])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found = distance_to_set(rows[1:], rows[:1])
    unit = rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1)[:, None]
    assert found == pytest.approx(0.5 * np.square(unit[1:] - unit[0]).sum(axis=1), abs=2e-12)
    assert 0 < found.max() < 1e-7


def test_top_k_takes_the_farthest_from_the_reference_alone():
    rows, reference = pool(11, 30), pool(12, 4)
    nearest = distance_to_set(rows, reference)
    picks = choose_frames("top-k", rows, nearest, 5)
    assert [pick.index for pick in picks] == sorted(range(30), key=lambda row: (-nearest[row], row))[:5]
    assert [pick.distance for pick in picks] == [nearest[pick.index] for pick in picks]
    # A copy of the farthest frame is as far from the reference, and a duplicate of a pick.
    twice = np.concatenate([rows, rows[picks[0].index][None]])
    again = choose_frames("top-k", twice, distance_to_set(twice, reference), 5)
    assert [pick.index for pick in again] == [pick.index for pick in picks]


def test_top_k_without_a_reference_goes_by_the_mean():
    rows = pool(13, 20)
    picks = choose_frames("top-k", rows, np.full(20, np.inf), 4)
    mean = rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0))
    assert [pick.index for pick in picks] == np.argsort(rows @ mean)[:4].tolist()


def test_random_takes_the_lowest_keys_that_are_no_duplicates():
    rows = np.repeat(pool(14, 6), 2, axis=0)
    keys = np.random.default_rng(1).random(12)
    picks = choose_frames("random", rows, np.full(12, np.inf), 12, keys=keys)
    order = np.argsort(keys)
    firsts = [int(row) for place, row in enumerate(order) if row // 2 not in {other // 2 for other in order[:place]}]
    assert [pick.index for pick in picks] == firsts and len(firsts) == 6
    with pytest.raises(InputError, match="needs `keys`"):
        choose_frames("random", rows, np.full(12, np.inf), 2)


def test_unknown_method_and_wrong_distances_are_refused():
    with pytest.raises(InputError, match="Did you mean `top-k`"):
        choose_frames("top", pool(1, 3), np.ones(3), 1)
    with pytest.raises(InputError, match="`nearest` has the shape"):
        choose_frames("top-k", pool(1, 3), np.ones(2), 1)
