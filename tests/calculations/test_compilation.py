"""What a compilation writes and asks back, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ENTRY_POINT = "sicmlip.compilation"


@pytest.fixture
def inputs(generate_code: Callable[..., Any], portable_potential: Any) -> dict[str, Any]:
    """Inputs of a complete compilation; one port is changed by each test."""
    return {"code": generate_code("sicmlip.training"), "potential": portable_potential}


def test_command(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert list(folder.iterdir()) == []
    words = calcinfo.codes_info[0].cmdline_params
    assert words[:2] == ["compile", "potential.nequip.zip"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options == {
        "--device": "cpu",
        "--target": "pair_allegro",
        "--output": "potential.nequip.pt2",
        "--report": "compilation.json",
    }
    potential = inputs["potential"]
    assert calcinfo.local_copy_list == [(potential.uuid, "potential.nequip.zip", "potential.nequip.zip")]
    assert set(calcinfo.retrieve_list) == {"compilation.out", "compilation.err", "compilation.json"}
    assert calcinfo.retrieve_temporary_list == ["potential.nequip.pt2"]


def test_device_and_target(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    parameters = {"device": "cuda", "target": "ase", "gpu_architecture": "9.0"}
    _, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "parameters": parameters})
    words = calcinfo.codes_info[0].cmdline_params
    assert words[words.index("--device") + 1] == "cuda"
    assert words[words.index("--target") + 1] == "ase"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"device": "gpu"}, "`compilation.parameters.device` is 'gpu'; give `cpu` or `cuda`"),
        ({"target": "lammps"}, "`compilation.parameters.target` is 'lammps'; give `pair_allegro` or `ase`"),
        ({"devise": "cpu"}, "`compilation.parameters.devise` is not a known setting. Did you mean `device`"),
        ({"torch_version": 2.13}, "`compilation.parameters.torch_version` is 2.13; give text"),
        ({"gpu_architecture": 9.0}, "`compilation.parameters.gpu_architecture` is 9.0; give text"),
    ],
)
def test_wrong_parameters(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="parameters") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "parameters": parameters})
    assert message in str(caught.value)


def test_other_codes_are_refused(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_code: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=r"is set up for `quantumespresso.pw`, which is the wrong kind here"):
        generate_calc_job(ENTRY_POINT, {**inputs, "code": generate_code("quantumespresso.pw")})
