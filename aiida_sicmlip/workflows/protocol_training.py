"""From a protocol and overrides to the inputs of a training."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml
from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.tools.codes import torch_version
from aiida_sicmlip.workflows.protocol_parts import load_code, merge
from aiida_sicmlip.workflows.protocol_structures import check_type, load_data
from aiida_sicmlip.workflows.resources import scheduler_options

PROTOCOL_FILE = "training.yaml"
FREE = (
    "training.parameters",
    "training.prior",
    "training.options",
    "compilation.parameters",
    "compilation.options",
    "evaluation.options",
    "further_compilations",
)
"""Settings whose keys are checked by those who read them."""


def _read() -> dict[str, Any]:
    text = (resources.files("aiida_sicmlip.workflows") / "protocols" / PROTOCOL_FILE).read_text(encoding="utf-8")
    return yaml.safe_load(text)


def training_protocols() -> dict[str, str]:
    """Return name and description of each protocol of a training."""
    return {name: content["description"] for name, content in _read()["protocols"].items()}


def load_training_protocol(name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the complete settings of the training protocol ``name`` with ``overrides`` on top.

    :raises InputError: if the protocol or a key of the overrides is unknown (with the nearest known one).
    """
    content = _read()
    name = content["default_protocol"] if name is None else name
    if not isinstance(name, str) or name not in content["protocols"]:
        raise InputError(f"`{name}` is not a protocol of trainings. {nearest_name(str(name), content['protocols'])}")
    own = {key: value for key, value in content["protocols"][name].items() if key != "description"}
    settings = merge(content["default_inputs"], own)
    if overrides:
        _check_keys(overrides, settings)
        if overrides.get("training", {}).get("initial_potential") is not None:
            # The model is there already: what the protocol says of one does not count.
            settings["training"]["parameters"].pop("model", None)
        settings = merge(settings, overrides)
    return settings


def _check_keys(given: Mapping[str, Any], known: Mapping[str, Any], path: str = "") -> None:
    """Raise :class:`InputError` for the first key of ``given`` that is not known, or whose value is of another kind."""
    for key, value in given.items():
        where = f"{path}{key}"
        if key not in known:
            raise InputError(f"`{where}` is not a known setting of a training. {nearest_name(str(key), known)}")
        if isinstance(known[key], Mapping):
            if not isinstance(value, Mapping):
                raise InputError(f"`{where}` is {value!r}; give settings under it.")
            if where not in FREE:
                _check_keys(value, known[key], f"{where}.")
        elif known[key] is not None:
            check_type(value, known[key], where)


def training_builder(
    process: Any,
    code: orm.AbstractCode,
    training_set: LabelledDataSetData,
    validation_set: LabelledDataSetData,
    *,
    protocol: str | None,
    overrides: Mapping[str, Any] | None,
) -> ProcessBuilder:
    """Return the builder of ``process`` (the ``TrainingWorkChain``); see its ``get_builder_from_protocol``.

    The seed of the training is 1 until another one is set.
    """
    settings = load_training_protocol(protocol, overrides)
    for step in ("training", "compilation", "evaluation"):
        options = scheduler_options(settings[step]["options"], code, f"{step}.options")
        settings = merge(settings, {step: {"options": options}})
    builder = process.get_builder()
    builder.training_set = training_set
    builder.validation_set = validation_set
    fill_training(builder, settings, code)
    builder.training.seed = orm.Int(1)
    machines = {
        name: _machine(machine, f"further_compilations.{name}")
        for name, machine in settings["further_compilations"].items()
    }
    if machines:
        builder.further_compilations = machines
    return builder


def fill_training(namespace: Any, settings: Mapping[str, Any], code: orm.AbstractCode) -> None:
    """Fill the inputs of a ``TrainingWorkChain``, ``namespace``, from complete settings.

    :param settings: with the keys `training`, `compilation` and `evaluation`; options as AiiDA takes them.
    :param code: runs all steps.
    """
    for step in ("training", "compilation", "evaluation"):
        part = namespace[step]
        part.code = code
        part.metadata.options = settings[step]["options"]
        if "parameters" in settings[step]:
            part.parameters = settings[step]["parameters"]
    training = settings["training"]
    namespace.committee_size = orm.Int(training["committee_size"])
    namespace.max_iterations = orm.Int(training["max_iterations"])
    if training["prior"]:
        namespace.prior_settings = training["prior"]
    if training["initial_potential"] is not None:
        given = training["initial_potential"]
        node = given if isinstance(given, PotentialData) else None
        namespace.training.initial_potential = node or load_data(given, "training.initial_potential", PotentialData)
    namespace.compilation.parameters = _with_torch_version(settings["compilation"]["parameters"], code)


def _with_torch_version(parameters: Mapping[str, Any], code: orm.AbstractCode) -> dict[str, Any]:
    """Return settings of a compilation with the version of torch of the code, where it is known.

    What a compiled model depends on is an input, so that another torch does not take it from the cache.
    """
    version = None if "torch_version" in parameters else torch_version(code)
    return dict(parameters) if version is None else {**parameters, "torch_version": version}


def _machine(machine: Mapping[str, Any], where: str) -> dict[str, orm.Node]:
    """Return code, settings and options of a further machine as nodes."""
    if not isinstance(machine, Mapping) or "code" not in machine:
        raise InputError(f"`{where}` lacks `code`; give the label of `sicmlip-potential` on that machine.")
    code = machine["code"]
    code = code if isinstance(code, orm.AbstractCode) else load_code(code, f"{where}.code")
    options = scheduler_options(machine.get("options", {}), code, f"{where}.options")
    parameters = _with_torch_version(machine.get("parameters", {}), code)
    unknown = {key: value for key, value in machine.items() if key not in ("code", "parameters", "options")}
    return {"code": code, "parameters": orm.Dict(parameters), "options": orm.Dict(options), **unknown}
