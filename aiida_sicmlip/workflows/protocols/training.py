"""Protocols of the training: settings from a protocol and overrides, and inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.calculations.training_checks import prior_is_wanted
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.protocol_files import (
    TRAINING_PROTOCOLS,
    Overrides,
    choose_protocol,
    merge,
    read_overrides,
    read_protocols,
)
from aiida_sicmlip.science.training.lennard_jones_fit import PriorParameters
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.tools.codes import torch_version
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.workflows.protocols.files import ProtocolFileMixin, load_code
from aiida_sicmlip.workflows.protocols.resources import scheduler_options
from aiida_sicmlip.workflows.protocols.settings import MachineSettings, TrainingProtocolSettings

PROTOCOL_FILE = TRAINING_PROTOCOLS
STEPS = ("training", "compilation", "evaluation")
"""Steps of a training, each with a code and options."""


class TrainingProtocolMixin(ProtocolFileMixin):
    """Mixin for work chains whose inputs are defined by the protocols of trainings."""

    PROTOCOL_FILE = PROTOCOL_FILE

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Overrides = None) -> dict[str, Any]:
        """Return the complete settings of a protocol; see :func:`load_training_protocol`."""
        return load_training_protocol(protocol, overrides)


def load_training_protocol(name: str | None = None, overrides: Overrides = None) -> dict[str, Any]:
    """Return the complete settings of the training protocol ``name`` with ``overrides`` on top.

    :param overrides: a mapping, or the path of a YAML file, which may name the protocol under `protocol`.
    :raises InputError: if the protocol or a key of the overrides is unknown (with the nearest known one), or the file
        cannot be read.
    """
    name, overrides = read_overrides(overrides, name)
    settings = choose_protocol(read_protocols(PROTOCOL_FILE), name, "protocol of trainings")
    if overrides:
        TrainingProtocolSettings.check_given(overrides)
        if overrides.get("training", {}).get("initial_potential") is not None:
            # An existing model replaces the model settings of the protocol.
            settings["training"].get("parameters", {}).pop("model", None)
        settings = merge(settings, overrides)
    settings = TrainingProtocolSettings.complete(settings)
    training = settings["training"]
    packaged = training["initial_potential"] is not None
    training["parameters"] = TrainingParameters.complete_parameters(training["parameters"], packaged)
    if prior_is_wanted(training["parameters"]) and not packaged:
        training["prior"] = PriorParameters.complete(training["prior"], "training.prior.")
    elif not overrides.get("training", {}).get("prior"):
        # The prior of the protocol is for the model that the overrides have replaced.
        training["prior"] = {}
    return settings


def with_options_of_scheduler(settings: dict[str, Any], code: orm.AbstractCode) -> dict[str, Any]:
    """Return settings of a training with options in the form of AiiDA, for the scheduler of the code."""
    for step in STEPS:
        options = scheduler_options(settings[step]["options"], code, f"{step}.options")
        settings = merge(settings, {step: {"options": options}})
    return settings


def fill_step(part: Any, settings: Mapping[str, Any], code: orm.AbstractCode) -> None:
    """Set code, options and, if there are any, parameters of a calculation."""
    part.code = code
    part.metadata.options = settings["options"]
    if "parameters" in settings:
        part.parameters = settings["parameters"]


def fill_initial_potential(part: Any, training: Mapping[str, Any]) -> None:
    """Set the model that a training starts from, if there is one."""
    potential = training["initial_potential"]
    if potential is None:
        return
    if not isinstance(potential, PotentialData):
        potential = load(potential, [PotentialData], "training.initial_potential")
    part.initial_potential = potential


def fill_training(namespace: Any, settings: Mapping[str, Any], codes: Mapping[str, orm.AbstractCode]) -> None:
    """Set the inputs of a ``TrainingWorkChain``, ``namespace``, from complete settings.

    :param settings: with the keys `training`, `compilation`, `further_compilations` and `evaluation`; options in the
        form of AiiDA, except for those of further machines.
    :param codes: codes of the :data:`STEPS`, except for the compilations of further machines.
    :raises InputError: if the settings of a further machine are invalid.
    """
    for step in STEPS:
        fill_step(namespace[step], settings[step], codes[step])
    training = settings["training"]
    namespace.committee_size = orm.Int(training["committee_size"])
    namespace.max_iterations = orm.Int(training["max_iterations"])
    namespace.max_prolongations = orm.Int(training["max_prolongations"])
    if training["asked_force_mae"] is not None:
        namespace.asked_force_mae = orm.Float(training["asked_force_mae"])
    if training["prior"]:
        namespace.prior_settings = training["prior"]
    fill_initial_potential(namespace.training, training)
    namespace.compilation.parameters = _with_torch_version(settings["compilation"]["parameters"], codes["compilation"])
    machines = {
        name: _machine(machine, f"further_compilations.{name}")
        for name, machine in settings["further_compilations"].items()
    }
    if machines:
        namespace.further_compilations = machines


def _with_torch_version(parameters: Mapping[str, Any], code: orm.AbstractCode) -> dict[str, Any]:
    """Return settings of a compilation with the version of torch of the code, if it is known.

    The compiled model depends on this version, which is therefore an input and part of the hash for caching.
    """
    return {**parameters, "torch_version": parameters.get("torch_version") or torch_version(code)}


def _machine(machine: Any, where: str) -> dict[str, orm.Node]:
    """Return code, settings and options of a further machine as nodes.

    :raises InputError: if one is missing, unknown or invalid.
    """
    machine = MachineSettings.complete(machine, f"{where}.")
    code = machine["code"]
    code = code if isinstance(code, orm.AbstractCode) else load_code(code, f"{where}.code")
    options = scheduler_options(machine["options"], code, f"{where}.options")
    parameters = _with_torch_version(machine["parameters"], code)
    return {"code": code, "parameters": orm.Dict(parameters), "options": orm.Dict(options)}
