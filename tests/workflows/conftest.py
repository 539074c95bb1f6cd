"""What a run needs before it is started: codes, a family of pseudopotentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CODES = {
    "lammps": ("sicmlip.exploration", "sicmlip-lmp"),
    "pw": ("quantumespresso.pw", "pw"),
    "potential": ("sicmlip.training", "sicmlip-potential"),
    "cv": ("sicmlip.collective_variables", "sicmlip-cv"),
    "descriptors": ("sicmlip.descriptors", "sicmlip-descriptors"),
}


@pytest.fixture
def ready(generate_code: Callable[..., Any], pseudo_family: Any) -> dict[str, str]:
    """A profile in which the protocols can run, and the labels of its codes for `codes`."""
    return {name: generate_code(plugin, label).full_label for name, (plugin, label) in CODES.items()}


@pytest.fixture
def write_settings(ready: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Writes a file of settings on top of the protocol `demo`, with codes that exist, and returns its path."""

    def write(settings: dict[str, Any] | str) -> str:
        path = tmp_path / "run.yaml"
        if isinstance(settings, dict):
            settings = yaml.safe_dump({"protocol": "demo", **settings, "codes": {**ready, **settings.get("codes", {})}})
        path.write_text(settings, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def inputs(write_settings: Callable[..., str]) -> dict[str, Any]:
    """Inputs of a run of the protocol `demo`."""
    from aiida_sicmlip.cli.cmd_run import checked_builder, read_settings

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
