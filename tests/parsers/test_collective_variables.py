"""The parser of trainings of collective variables, on real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FIXTURES = Path(__file__).parent / "fixtures" / "collective_variables"


def kept(case: str, name: str) -> Any:
    """Return the content of a JSON file that a run left."""
    return json.loads(next((FIXTURES / case).glob(f"*/{name}")).read_text())


def test_complete_training(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default")
    assert parsed.status == 0
    assert set(parsed.outputs) == {"collective_variables", "results", "training_curve"}
    assert parsed.outputs["results"].get_dict() == {**kept("default", "cv_report.json"), "remarks": []}
    node = parsed.outputs["collective_variables"].store()
    assert node.details() == kept("default", "cv.json")
    assert node.n_variables == 2
    for name in ("model.ptc", "autoencoder.npz"):
        content = node.base.repository.get_object_content(name, mode="rb")
        assert content == (FIXTURES / "default" / "temporary" / name).read_bytes()


def test_frames_and_trajectories_are_those_that_were_asked_for(parse_folder: Callable[..., Any]) -> None:
    """Twenty frames of one segment, thirty of the one that continues it, thirty of another run: 45 at most."""
    results = parse_folder(FIXTURES / "default").outputs["results"].get_dict()
    assert results["settings"]["every"] == 2
    assert results["n_frames"] == [10 + 15, 15]
    assert results["held_out_trajectories"] in ([0], [1])


def test_curve_has_an_array_a_column_and_units(parse_folder: Callable[..., Any]) -> None:
    curve = parse_folder(FIXTURES / "default").outputs["training_curve"]
    rows = kept("default", "cv.json")["training_curve"]
    assert len(rows) > 4
    for name in ("epoch", "training_loss", "held_out_loss"):
        assert curve.get_array(name).tolist() == [row[name] for row in rows]
    assert set(curve.base.attributes.get("units")) == set(curve.get_arraynames())


def test_a_single_trajectory_is_no_error_but_said(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "one_trajectory")
    assert parsed.status == 0
    assert "one trajectory, so none was held out" in parsed.outputs["results"]["remarks"][0]
    assert parsed.outputs["results"]["held_out_trajectories"] == []
    assert np.isnan(parsed.outputs["training_curve"].get_array("held_out_loss")).all()
    assert parsed.outputs["collective_variables"].variance_explained["held_out"] is None


def test_a_model_that_learnt_nothing_is_said(parse_folder: Callable[..., Any]) -> None:
    """So ends a training whose held-out trajectories get worse from the first epoch on."""
    report = kept("default", "cv_report.json")
    report["variance_explained"]["training"] = 0.01
    report["best_epoch"] = 1
    parsed = parse_folder(FIXTURES / "default", files={"cv_report.json": json.dumps(report).encode()})
    assert parsed.status == 0
    (remark,) = parsed.outputs["results"]["remarks"]
    assert "explains 0.010 of the variance" in remark
    assert "up to epoch 1, whose weights it has" in remark


@pytest.mark.parametrize(
    ("case", "status", "expected"),
    [
        ("failed_not_a_number", 410, "The loss became not-a-number: lower `autoencoder.learning_rate`"),
        ("failed_segment", 420, "stopped with an error: `n_frames` says 31 for the trajectory `s00.dcd`, which has 30"),
    ],
)
def test_failure(parse_folder: Callable[..., Any], case: str, status: int, expected: str) -> None:
    parsed = parse_folder(FIXTURES / case)
    assert parsed.status == status
    assert expected in parsed.message
    assert set(parsed.outputs) == {"results"}


@pytest.mark.parametrize("name", ["model.ptc", "cv.json", "autoencoder.npz"])
@pytest.mark.parametrize("content", [None, b""])
def test_missing_model(parse_folder: Callable[..., Any], name: str, content: bytes | None) -> None:
    files = {name: content, "collective_variables.err": b"first\nsicmlip cv: no space left\n"}
    parsed = parse_folder(FIXTURES / "default", files=files)
    assert parsed.status == 302
    assert "sicmlip cv: no space left" in parsed.message
    assert "collective_variables" not in parsed.outputs


@pytest.mark.parametrize("content", [None, b'{"error": nul'])
def test_missing_report(parse_folder: Callable[..., Any], content: bytes | None) -> None:
    parsed = parse_folder(FIXTURES / "default", files={"cv_report.json": content})
    assert parsed.status == 301
    assert parsed.outputs == {}
