"""Inputs of a run, and work chains inside one of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def inputs(write_settings: Callable[..., str]) -> dict[str, Any]:
    """Inputs of a run of the protocol `demo`."""
    from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings

    return checked_builder(read_settings(write_settings({})))._inputs(prune=True)


@pytest.fixture
def chain(aiida_profile: Any) -> Iterator[Callable[..., Any]]:
    """Makes a work chain inside one of its steps: class, inputs."""
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    scopes: list[Any] = []

    def make(process: Any, given: dict[str, Any]) -> Any:
        instance = instantiate_process(get_manager().get_runner(), process, **given)
        scope = instance._process_scope()
        scope.__enter__()
        scopes.append(scope)
        return instance

    yield make
    for scope in reversed(scopes):
        scope.__exit__(None, None, None)
