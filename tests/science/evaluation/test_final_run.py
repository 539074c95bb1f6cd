"""Labels along free runs and the verdict on them, for made-up runs and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings, Segment, assess_labels_of_run, plan_labels

SETTINGS = FinalRunSettings(production=10.0, n_labels=5)


def segment(label: str, first: float, last: float, continues: bool = False) -> Segment:
    """Return a segment with a frame each 0.5 ps."""
    return Segment(label, continues, np.arange(first, last + 1e-9, 0.5), 0.5)


def test_labels_are_evenly_in_time_to_the_end() -> None:
    (run,) = plan_labels(SETTINGS, {"vv": [segment("s03", 0.0, 10.0)]})
    assert [frame["time"] for frame in run["frames"]] == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert [frame["index"] for frame in run["frames"]] == [4, 8, 12, 16, 20]
    assert run["reached"] == 10.0 and run["ended_early"] is False and run["structure"] == "vv"


def test_continued_segments_are_one_run_and_others_are_not() -> None:
    """Two walkers, the second of two segments; times count from the start of the run."""
    settings = FinalRunSettings(production=10.0, n_labels=2, walkers=2)
    parts = [segment("s00", 0, 10), segment("s01", 0, 6), segment("s02", 6.5, 10, continues=True)]
    runs = plan_labels(settings, {"vv": parts})
    assert [[(frame["segment"], frame["index"]) for frame in run["frames"]] for run in runs] == [
        [("s00", 10), ("s00", 20)],
        [("s01", 10), ("s02", 7)],
    ]
    assert [run["ended_early"] for run in runs] == [False, False]


def test_run_that_ends_early_is_labelled_as_far_as_it_went() -> None:
    runs = plan_labels(SETTINGS, {"a": [segment("s00", 0, 5)], "b": []})
    assert [frame["time"] for frame in runs[0]["frames"]] == [2.0, 4.0]
    assert (runs[0]["reached"], runs[0]["ended_early"]) == (5.0, True)
    # A walker that left no frames has failed at once.
    assert (runs[1]["structure"], runs[1]["reached"], runs[1]["ended_early"], runs[1]["frames"]) == ("b", 0.0, True, [])
    (first,) = plan_labels(SETTINGS, {"a": [segment("s00", 0, 0)]})
    assert first["ended_early"] is True and first["frames"] == []


def test_the_last_frame_may_be_one_interval_before_the_end() -> None:
    """A run writes its frames up to its last step, give or take one; nothing is asked for twice."""
    (run,) = plan_labels(SETTINGS, {"vv": [segment("s00", 0, 9.5)]})
    assert run["ended_early"] is False
    assert [frame["time"] for frame in run["frames"]] == [2.0, 4.0, 6.0, 8.0]
    (run,) = plan_labels(SETTINGS, {"vv": [segment("s00", 0, 9.0)]})
    assert run["ended_early"] is True


def assessed(errors: list[float | None], reached: float = 10.0, **changes: Any) -> dict[str, Any]:
    """Assess one run with a force MAE for each label; None for a label that failed."""
    runs = plan_labels(SETTINGS, {"vv": [segment("s00", 0, reached)]})
    known = [(frame, error) for frame, error in zip(runs[0]["frames"], errors, strict=True) if error is not None]
    places = {(frame["segment"], frame["index"]): place for place, (frame, _) in enumerate(known)}
    evaluation = {
        "force_mae_per_frame": [error for _, error in known],
        "energy_error_per_frame": [0.001 * place for place in range(len(known))],
        **changes,
    }
    return assess_labels_of_run(SETTINGS, runs, places, evaluation if known else None)


def test_error_that_stays_below_passes() -> None:
    found = assessed([0.05, 0.07, 0.06, 0.12, 0.09])
    assert found["met"] is True and found["fit"] is True
    assert found["runs"][0]["halves"] == pytest.approx([0.06, 0.09])
    assert found["force_mae"] == pytest.approx(0.078)
    assert found["message"] == "its force MAE stayed below 0.1 eV/A: 0.078 eV/A on 5 labels"
    assert [entry["time"] for entry in found["runs"][0]["labels"]] == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert [entry["energy_error"] for entry in found["runs"][0]["labels"]] == pytest.approx([0, 1e-3, 2e-3, 3e-3, 4e-3])


def test_error_that_grows_does_not_pass_however_small_the_mean() -> None:
    found = assessed([0.01, 0.01, 0.1, 0.1, 0.13])
    assert found["force_mae"] < 0.1 and found["met"] is False and found["fit"] is True
    assert found["message"] == (
        "the force MAE along the free run from `vv` did not stay below 0.1 eV/A: 0.01 in its first half, 0.11 in its "
        "second"
    )
    assert assessed([0.2, 0.2, 0.01, 0.01, 0.01])["met"] is False


def test_run_that_ends_early_does_not_pass_and_is_not_fit() -> None:
    found = assessed([0.01, 0.01], reached=5.0)
    assert found["met"] is False and found["fit"] is False
    assert found["message"] == "a free run from `vv` ended after 5 of 10 ps"
    nothing = assessed([], reached=1.0)
    assert nothing["met"] is False and nothing["force_mae"] is None and nothing["runs"][0]["labels"] == []


def test_labels_that_failed_are_left_out_and_too_few_are_not_enough() -> None:
    found = assessed([0.05, None, None, 0.15, 0.03])
    assert found["runs"][0]["halves"] == pytest.approx([0.05, 0.09]) and found["met"] is True
    # The errors stand in the order of the labels there are.
    assert [entry["time"] for entry in found["runs"][0]["labels"]] == [2.0, 8.0, 10.0]
    few = assessed([0.05, 0.05, None, None, None])
    assert few["met"] is False and few["message"] == "too few labels along the free run from `vv` are known"


def test_every_run_has_to_pass() -> None:
    runs = plan_labels(SETTINGS, {"a": [segment("s00", 0, 10)], "b": [segment("s01", 0, 10)]})
    places = {
        (frame["segment"], frame["index"]): place for place, frame in enumerate(runs[0]["frames"] + runs[1]["frames"])
    }
    found = assess_labels_of_run(SETTINGS, runs, places, {"force_mae_per_frame": [0.01] * 5 + [0.5] * 5})
    assert found["met"] is False and "from `b`" in found["message"] and "from `a`" not in found["message"]
    rare = {"migrating": {"n_atoms": 2, "force_mae": 0.3, "score": 0.4, "delta_f": {}}, "all": {}}
    kept = assess_labels_of_run(SETTINGS, runs, places, {"force_mae_per_frame": [0.01] * 10, "rare_events": rare})
    assert kept["met"] is True and kept["migrating"] == {"n_atoms": 2, "force_mae": 0.3, "score": 0.4}


def test_one_label_has_no_halves() -> None:
    with pytest.raises(InputError, match=r"`final_run\.n_labels` is 1; give a whole number of at least 2"):
        FinalRunSettings.from_mapping({"n_labels": 1})
