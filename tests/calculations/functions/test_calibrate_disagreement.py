"""The node that turns the accepted error into a bound of the disagreement."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.calibrate_disagreement import calibrate_disagreement


def test_calibration_of_an_evaluation(aiida_profile) -> None:
    disagreement = [0.1 * (1 + index) for index in range(12)]
    frames = {"disagreement": disagreement, "error": [4.0 * value for value in disagreement]}
    evaluation = orm.Dict({"force_mae": 0.2, "committee": {"n_members": 2, "frames": frames}})
    result = calibrate_disagreement(evaluation, orm.Dict({"max_error": 6.0, "multiple_of_median": 1.0}))
    assert result.creator.process_label == "calibrate_disagreement"
    assert result["slope"] == pytest.approx(4.0)
    assert result["max_disagreement"] == pytest.approx(1.5)
