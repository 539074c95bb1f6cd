"""Portable and compiled potentials: what they know of themselves, and what is not stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData


def test_portable_potential_comes_back() -> None:
    metrics = {"validation": {"force_mae": 0.05}}
    given = PotentialData(
        io.BytesIO(b"model"), "potential.nequip.zip", species=["Si", "C"], cutoff=4.5, metrics=metrics
    )
    node = orm.load_node(given.store().pk)
    assert (node.species, node.cutoff, node.metrics) == (["Si", "C"], 4.5, metrics)
    assert node.get_content(mode="rb") == b"model"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": 5.0}, "`species` is missing"),
        ({"species": ["C"]}, "`cutoff` is None: give a positive radius"),
        ({"species": ["C"], "cutoff": 0.0}, "`cutoff` is 0.0: give a positive radius"),
        ({"species": ["C"], "cutoff": "5"}, "`cutoff` is '5': give a positive radius"),
    ],
)
def test_portable_potential_without_its_facts_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PotentialData(io.BytesIO(b"model"), "potential.nequip.zip", **arguments).store()


def test_compiled_potential_comes_back(generate_compiled_potential: Callable[..., Any]) -> None:
    made = generate_compiled_potential(device="cuda", torch_version="2.13.0", gpu_architecture="9.0")
    node = orm.load_node(made.pk)
    assert (node.species, node.cutoff, node.device, node.target) == (["C", "Si"], 5.0, "cuda", "pair_allegro")
    assert node.base.attributes.get("torch_version") == "2.13.0"
    assert node.base.attributes.get("gpu_architecture") == "9.0"


@pytest.mark.parametrize("missing", ["species", "cutoff", "device", "target"])
def test_compiled_potential_without_its_facts_is_refused(missing: str) -> None:
    arguments: dict[str, Any] = {"species": ["C"], "cutoff": 5.0, missing: None}
    with pytest.raises(ValidationError, match=f"`{missing}` is (missing|None)"):
        CompiledPotentialData(io.BytesIO(b"compiled"), "potential.nequip.pt2", **arguments).store()
