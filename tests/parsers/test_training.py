"""The parser of trainings, on real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiida_sicmlip.common.exit_status import NO_MODEL

FIXTURES = Path(__file__).parent / "fixtures" / "training"


def test_complete_training(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default")
    assert parsed.status == 0
    assert set(parsed.outputs) == {"potential", "training_curve", "results", "configuration"}
    report = json.loads((FIXTURES / "default" / "retrieved" / "training_report.json").read_text())
    potential = parsed.outputs["potential"]
    assert (potential.species, potential.cutoff) == (["C", "Si"], 3.5)
    assert potential.metrics == report["best"]
    assert potential.get_content(mode="rb") == (FIXTURES / "default" / "temporary" / potential.filename).read_bytes()
    assert parsed.outputs["results"].get_dict() == report
    assert (
        parsed.outputs["configuration"]
        .get_content()
        .startswith((FIXTURES / "default" / "retrieved" / "nequip.yaml").read_text()[:200])
    )


def test_curve_has_an_array_a_column_and_units(parse_folder: Callable[..., Any]) -> None:
    curve = parse_folder(FIXTURES / "default").outputs["training_curve"]
    kept = json.loads((FIXTURES / "default" / "retrieved" / "training_curve.json").read_text())
    assert set(curve.get_arraynames()) == set(kept["columns"])
    for name, values in kept["columns"].items():
        assert curve.get_array(name).tolist() == pytest.approx(values)
    assert curve.get_array("step").size == 3
    assert curve.base.attributes.get("units") == kept["units"]


@pytest.mark.parametrize(
    ("case", "status", "sentences"),
    [
        ("failed_not_a_number", 410, ["The loss became not-a-number: lower the learning rate", "in step"]),
        ("failed_device", 420, ["stopped with an error: `device` is cuda, but torch sees no GPU"]),
    ],
)
def test_failure(parse_folder: Callable[..., Any], case: str, status: int, sentences: list[str]) -> None:
    parsed = parse_folder(FIXTURES / case)
    assert parsed.status == status
    for expected in sentences:
        assert expected in parsed.message
    assert "potential" not in parsed.outputs
    assert parsed.outputs["results"]["error"]["message"]


def test_training_that_ended_before_its_first_validation(parse_folder: Callable[..., Any]) -> None:
    report = json.loads((FIXTURES / "failed_device" / "retrieved" / "training_report.json").read_text())
    report["error"] = {"status": NO_MODEL, "message": "The training ended before its first validation."}
    parsed = parse_folder(FIXTURES / "failed_device", {"training_report.json": json.dumps(report).encode()})
    assert (parsed.status, set(parsed.outputs)) == (402, {"results"})
    assert "before its first validation" in parsed.message and "`max_wallclock_seconds`" in parsed.message


@pytest.mark.parametrize("content", [None, b'{"error": nu'])
def test_training_without_a_report(parse_folder: Callable[..., Any], content: bytes | None) -> None:
    parsed = parse_folder(FIXTURES / "default", {"training_report.json": content})
    # What it wrote on the way is kept.
    assert (parsed.status, set(parsed.outputs)) == (301, {"training_curve", "configuration"})
    assert "left no report" in parsed.message


def test_training_without_a_model(parse_folder: Callable[..., Any]) -> None:
    files = {"potential.nequip.zip": None, "training.err": b"Traceback\nOSError: no space left on device\n"}
    parsed = parse_folder(FIXTURES / "default", files)
    assert parsed.status == 302
    assert parsed.message == "The training left no packaged model: OSError: no space left on device"
    assert set(parsed.outputs) == {"training_curve", "results", "configuration"}


def test_training_without_a_curve(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default", {"training_curve.json": None, "nequip.yaml": None})
    assert parsed.status == 0
    assert set(parsed.outputs) == {"potential", "results"}
