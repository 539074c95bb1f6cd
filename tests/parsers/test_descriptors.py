"""What a description leaves becomes nodes, whatever way it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FIXTURES = Path(__file__).parent / "fixtures" / "descriptors"


def test_complete(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(FIXTURES / "default")
    assert parsed.status == 0
    node = parsed.outputs["candidates"]
    candidates = node.candidates()
    assert node.n_candidates == len(candidates) == parsed.outputs["results"]["n_candidates"]
    assert parsed.outputs["results"]["n_frames"] == 80
    assert np.allclose(np.linalg.norm(candidates.descriptors, axis=1), 1.0, atol=1e-6)
    assert candidates.structure(len(candidates) - 1).get_chemical_formula() == "C7Si7"
    assert set(candidates.segment) == {0, 1, 2} and set(candidates.trajectory) == {0, 2}
    assert candidates.represents.sum() == 80


@pytest.mark.parametrize(
    ("case", "status", "expected"),
    [
        ("failed_nothing_new", 410, "Of 30 frames 0 have no overlapping atoms and pass the filter"),
        ("failed_host", 420, "fits none of the 1 perfect crystals given"),
    ],
)
def test_failures(parse_folder: Callable[..., Any], case: str, status: int, expected: str) -> None:
    parsed = parse_folder(FIXTURES / case)
    assert parsed.status == status
    assert expected in parsed.message
    assert set(parsed.outputs) == {"results"}


@pytest.mark.parametrize(
    ("files", "status", "expected"),
    [
        ({"descriptors_report.json": None}, 301, "no report"),
        ({"candidates.npz": None, "descriptors.err": b"first\nno space left\n"}, 302, "no space left"),
        ({"candidates.npz": b"something else"}, 302, "cannot be read"),
    ],
)
def test_missing_files(
    parse_folder: Callable[..., Any], files: dict[str, bytes | None], status: int, expected: str
) -> None:
    parsed = parse_folder(FIXTURES / "default", files)
    assert parsed.status == status and expected in parsed.message


def test_report_is_kept_whole(parse_folder: Callable[..., Any]) -> None:
    folder = FIXTURES / "default"
    parsed = parse_folder(folder)
    report = json.loads((folder / "retrieved" / "descriptors_report.json").read_text())
    assert parsed.outputs["results"].get_dict() == report
    assert {"n_overlapping", "n_filtered", "covering_distance", "peak_memory_gb", "versions"} <= set(report)
