"""Defaults: each stands once, in a class or in one file of protocols, and complete in what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from aiida import orm

from aiida_sicmlip.science.costs.budgets import Budget
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.pines.settings import CollectiveVariableSettings
from aiida_sicmlip.science.protocol_files import merge, read_protocols
from aiida_sicmlip.science.selection.frame_filter import FrameFilterSettings
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.settings import SettingGroup, Settings
from aiida_sicmlip.science.training.lennard_jones_fit import PriorParameters
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions
from aiida_sicmlip.workflows.protocols.settings import LoopSettings, TrainingProtocolSettings

FILES = {"active_learning.yaml": LoopSettings, "training.yaml": TrainingProtocolSettings}


def leaves(mapping: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of all that is no mapping, and of empty ones."""
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def class_defaults(settings: type[Settings], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and default of all settings of a class and of those below it."""
    defaults = settings.defaults()
    for name, described in settings.described().items():
        if isinstance(described, SettingGroup):
            yield from class_defaults(described.kind, f"{path}{name}.")
        elif name in defaults:
            yield f"{path}{name}", defaults[name]


@pytest.mark.parametrize("file", FILES)
def test_no_default_of_a_class_stands_in_a_file(file: str) -> None:
    """A protocol of a paper names all its numbers, those that are defaults here too."""
    content = read_protocols(file)
    known = dict(class_defaults(FILES[file]))
    # What runs without bias has the settings of the walkers below it, not those of the class.
    parts = {name: part for name, part in content["protocols"].items() if name != "paper"}
    for name, part in {"default_inputs": content["default_inputs"], **parts}.items():
        twice = [
            path
            for path, value in leaves(part)
            if path in known and known[path] == value and not path.startswith("exploration.unbiased")
        ]
        below = dict(leaves(content["default_inputs"])) if name != "default_inputs" else {}
        # A value of a class may have to be named again where the default of a file is another one.
        assert [path for path in twice if path not in below] == [], name


def test_no_default_stands_in_two_files() -> None:
    loop, training = (read_protocols(file)["default_inputs"] for file in FILES)
    assert dict(leaves(loop)).keys() & dict(leaves(training)).keys() == set()


@pytest.mark.parametrize("name", protocol_descriptions())
def test_complete_settings_say_the_same_again(name: str) -> None:
    settings = load_protocol(name)
    assert load_protocol(name, settings) == settings
    assert LoopSettings.complete(merge(settings, {"seed": 5}))["seed"] == 5


def test_what_is_stored_says_what_ran(ready: dict[str, str]) -> None:
    """Every node of settings holds them all; one of fewer keys is read with the defaults."""
    model = {"training": {"parameters": {"model": {"pair_potential": "lennard-jones"}}}}
    builder = ActiveLearningWorkChain.get_builder_from_protocol("demo", {"codes": ready, **model})
    exploration, run = builder.exploration, builder.exploration.walker.exploration
    nodes: list[tuple[Any, type[Settings]]] = [
        (builder.budget, Budget),
        (builder.convergence, ConvergenceCriteria),
        (builder.selection.parameters, SelectionSettings),
        (run.parameters, ExplorationSettings),
        (run.bias, BiasSettings),
        (exploration.filter, FrameFilterSettings),
        (exploration.unbiased.parameters, ExplorationSettings),
        (exploration.variables.parameters, CollectiveVariableSettings),
        (builder.training.training.parameters, TrainingParameters),
        (builder.training.prior_settings, PriorParameters),
    ]
    for node, kind in nodes:
        content = node.get_dict()
        assert set(content) == set(kind.names())
        assert kind.complete(content) == content


def test_a_mapping_given_to_a_port_is_completed_and_a_node_is_taken_as_it_is() -> None:
    builder = ActiveLearningWorkChain.get_builder()
    builder.budget = {"labels": 5}
    assert builder.budget.get_dict() == Budget(labels=5).to_dict()
    builder.budget = orm.Dict({"labels": 5})
    assert builder.budget.get_dict() == {"labels": 5}
    with pytest.raises(ValueError, match=r"`budget\.labels` is 0; give a whole number of at least 1"):
        builder.budget = {"labels": 0}
