"""The parser of compilations, on real runs and on reports of other machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm

DEFAULT = Path(__file__).parent / "fixtures" / "compilation" / "default"


def changed_report(**changes: Any) -> dict[str, bytes]:
    """Return the report of the fixture as it would come from another machine."""
    report = json.loads((DEFAULT / "retrieved" / "compilation.json").read_text())
    return {"compilation.json": json.dumps({**report, **changes}).encode()}


def test_compiled_model_knows_its_machine(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT, changed_report(torch_version="2.13.0+cpu"))
    assert parsed.status == 0
    node = parsed.outputs["compiled_potential"]
    assert (node.species, node.cutoff, node.device, node.target) == (["Si", "C"], 3.5, "cpu", "pair_allegro")
    assert node.base.attributes.get("torch_version") == "2.13.0+cpu"
    assert node.base.attributes.get("gpu_architecture") is None
    assert node.get_content(mode="rb") == (DEFAULT / "temporary" / node.filename).read_bytes()


def test_gpu_is_kept(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(
        DEFAULT,
        changed_report(device="cuda", gpu_architecture="9.0"),
        {"parameters": orm.Dict({"device": "cuda", "gpu_architecture": "9.0"})},
    )
    assert parsed.status == 0
    node = parsed.outputs["compiled_potential"]
    assert (node.device, node.base.attributes.get("gpu_architecture")) == ("cuda", "9.0")


@pytest.mark.parametrize("asked", ["2.13.0", "2.13.0+cpu"])
def test_version_with_or_without_its_build(parse_folder: Callable[..., Any], asked: str) -> None:
    parameters = orm.Dict({"torch_version": asked})
    assert parse_folder(DEFAULT, changed_report(torch_version="2.13.0+cpu"), {"parameters": parameters}).status == 0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"torch_version": "2.12.1"}, "torch `2.12.1` was asked for, `2.13.0+cpu` was found"),
        ({"torch_version": "2.13.0+cu130"}, "torch `2.13.0+cu130` was asked for, `2.13.0+cpu` was found"),
        ({"gpu_architecture": "9.0"}, "GPU architecture `9.0` was asked for, `8.0` was found"),
    ],
)
def test_other_machine_is_refused(parse_folder: Callable[..., Any], parameters: dict[str, Any], expected: str) -> None:
    report = changed_report(torch_version="2.13.0+cpu", gpu_architecture="8.0")
    parsed = parse_folder(DEFAULT, report, {"parameters": orm.Dict(parameters)})
    assert parsed.status == 410
    assert expected in parsed.message
    assert "Correct `compilation.parameters`" in parsed.message
    assert not parsed.outputs


def test_machine_without_a_compiler(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT.parent / "failed_no_compiler")
    assert (parsed.status, parsed.outputs) == (420, {})
    assert "stopped with an error: Compilation needs a C++ compiler" in parsed.message


def test_compilation_without_a_report(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT, {"compilation.json": None, "compilation.err": b"bash: no such program\n"})
    assert parsed.status == 420
    assert parsed.message.endswith("stopped with an error: bash: no such program")


def test_compilation_without_a_word(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT, {"compilation.json": None})
    assert parsed.message.endswith("the program left no message")


def test_compilation_without_a_model(parse_folder: Callable[..., Any]) -> None:
    parsed = parse_folder(DEFAULT, {"potential.nequip.pt2": None})
    assert (parsed.status, parsed.message) == (302, "The compilation left no compiled model.")
