"""Levels of theory: what differs, and the message that keeps labels of two levels apart."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData, require_same_level


def level(functional: str = "PBE", **settings: Any) -> dict[str, Any]:
    return {"program": "quantumespresso.pw", "functional": functional, "settings": settings}


def test_differences_name_setting_and_values() -> None:
    node = LevelOfTheoryData(level(ecutwfc=30.0))
    assert node.differences(LevelOfTheoryData(level(ecutwfc=30.0))) == []
    assert node.differences(level(functional="PBESOL", ecutwfc=40.0)) == [
        ("functional", "PBE", "PBESOL"),
        ("ecutwfc", 30.0, 40.0),
    ]


def test_same_level_passes() -> None:
    require_same_level(level(ecutwfc=30.0), level(ecutwfc=30.0), "label")
    # Levels of before held what belongs to the configurations.
    require_same_level(level(ecutwfc=30.0, tot_charge=1.0, tot_magnetization=2.0), level(ecutwfc=30.0), "label")


def test_other_level_is_refused_with_setting_and_both_values() -> None:
    with pytest.raises(InputError) as caught:
        require_same_level(
            level(ecutwfc=30.0, degauss=0.005), level(ecutwfc=40.0, degauss=0.01), "label `label_000003`"
        )
    message = str(caught.value)
    assert message.startswith("label `label_000003` was computed at another level of theory: ")
    assert "`degauss` is 0.01 there and 0.005 here" in message
    assert "`ecutwfc` is 40.0 there and 30.0 here" in message
