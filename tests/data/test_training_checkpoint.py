"""The node of a training's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.data.training_checkpoint import TrainingCheckpointData


def test_both_states_and_the_number_of_steps_are_kept(generate_checkpoint: Callable[..., Any]) -> None:
    node = orm.load_node(generate_checkpoint(12).store().pk)
    assert node.steps == 12
    for name in ("last", "best"):
        assert node.base.repository.get_object_content(f"{name}.ckpt", mode="rb") == name.encode()


def test_a_state_that_is_not_whole_is_refused(generate_checkpoint: Callable[..., Any]) -> None:
    node = generate_checkpoint()
    node.base.repository.delete_object("best.ckpt")
    with pytest.raises(ValidationError, match=r"`best.ckpt` of the checkpoint is missing"):
        node.store()
    with pytest.raises(ValidationError, match="`steps` is missing"):
        TrainingCheckpointData().store()
