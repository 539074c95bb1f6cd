"""Protocols of the active-learning loop: settings from a protocol and overrides, codes and options."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.pw_settings import canonical_namelists
from aiida_sicmlip.science.protocol_files import (
    Overrides,
    choose_protocol,
    describe_protocols,
    merge,
    read_overrides,
    read_protocols,
)
from aiida_sicmlip.workflows.protocols.exploration import exploration_settings
from aiida_sicmlip.workflows.protocols.files import ProtocolFileMixin, load_code
from aiida_sicmlip.workflows.protocols.labelling import labelling_settings
from aiida_sicmlip.workflows.protocols.resources import code_and_switches, scheduler_options
from aiida_sicmlip.workflows.protocols.settings import LoopSettings, TrainingProtocolSettings, TrainingStep
from aiida_sicmlip.workflows.protocols.training import load_training_protocol

PROTOCOL_FILE = "active_learning.yaml"
STEPS_OF_SICMLIP = (
    *("training", "compilation", "evaluation"),
    *("collective_variables", "descriptors", "reference_label"),
)
"""Calculations that `codes.sicmlip` runs by default."""
OPTIONS_OF_STEPS = {
    "exploration": "lammps",
    "exploration.collective_variables": "collective_variables",
    "descriptors": "descriptors",
    "labelling": "pw",
    "training": "training",
    "compilation": "compilation",
    "evaluation": "evaluation",
}
"""Steps with options, and their codes."""


class LoopProtocolMixin(ProtocolFileMixin):
    """Mixin for work chains whose inputs are defined by the protocols of the loop."""

    PROTOCOL_FILE = PROTOCOL_FILE

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Overrides = None) -> dict[str, Any]:
        """Return the complete settings of a protocol; see :func:`load_protocol`."""
        return load_protocol(protocol, overrides)


def protocol_descriptions() -> dict[str, str]:
    """Return name and description of each protocol."""
    return describe_protocols(PROTOCOL_FILE)


def load_protocol(name: str | None = None, overrides: Overrides = None) -> dict[str, Any]:
    """Return the complete settings of protocol ``name`` with ``overrides`` on top.

    :param overrides: a mapping, or the path of a YAML file, which may name the protocol under `protocol`.
    :raises InputError: if the protocol or a key of the overrides is unknown (with the nearest known one), or the file
        cannot be read.
    """
    name, overrides = read_overrides(overrides, name)
    settings = choose_protocol(read_protocols(PROTOCOL_FILE), name, "protocol")
    if overrides:
        LoopSettings.check_given(overrides)
        overrides = _with_canonical_namelists(overrides)
        settings = merge(settings, overrides)
        if "structures" in overrides:
            # Given structures replace those of the protocol.
            settings["structures"] = {name: settings["structures"][name] for name in overrides["structures"]}
    # These settings override those of the training protocol.
    of_training = {key: settings[key] for key in TrainingProtocolSettings.names() if key in settings}
    of_loop = {key: value for key, value in of_training["training"].items() if key not in TrainingStep.names()}
    of_child = {key: value for key, value in of_training["training"].items() if key in TrainingStep.names()}
    complete = load_training_protocol(of_loop["protocol"], {**of_training, "training": of_child})
    settings = LoopSettings.complete({**settings, **complete, "training": {**complete["training"], **of_loop}})
    settings["exploration"] = exploration_settings(settings["exploration"], overrides.get("exploration", {}))
    settings["labelling"] = labelling_settings(
        settings["labelling"], overrides.get("labelling", {}), load_training_protocol()["evaluation"]["options"]
    )
    return settings


def _with_canonical_namelists(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which namelists and keywords of pw.x have the case of the protocol, to be merged with it."""
    labelling = overrides.get("labelling")
    if not isinstance(labelling, Mapping) or not isinstance(labelling.get("parameters"), Mapping):
        return dict(overrides)
    return {**overrides, "labelling": {**labelling, "parameters": canonical_namelists(labelling["parameters"])}}


def check_mpi(code: orm.AbstractCode, options: Mapping[str, Any], field: str) -> None:
    """Raise :class:`InputError` if ``withmpi`` of the code and of the options are inconsistent."""
    asked = options.get("withmpi")
    if asked is not None and code.with_mpi is not None and code.with_mpi != asked:
        raise InputError(
            f"`{field}.options.withmpi` is {str(asked).lower()}, but code `{code.full_label}` is set up to run "
            f"{'with' if code.with_mpi else 'without'} MPI; change the setting, or set up another code."
        )


def check_gpu(settings: Mapping[str, Any], path: str, options: Mapping[str, Any], code: orm.AbstractCode) -> None:
    """Raise :class:`InputError` if a step needs a GPU, and its jobs do not ask a scheduler for one.

    A queue and lines for the scheduler may stand for one; without a scheduler, jobs see all GPUs.
    """
    field = {"training": "training", "compilation": "compilation", "exploration": "compilation"}.get(path)
    if field is None or settings[field]["parameters"].get("device") != "cuda":
        return
    asks = ("gpus_per_node", "queue", "queue_name", "custom_scheduler_commands", "environment_variables")
    if code.computer.scheduler_type != "core.direct" and not any(options.get(name) for name in asks):
        raise InputError(
            f"`{field}.parameters.device` is cuda, but `{path}.options` asks the scheduler of `{code.full_label}` for "
            "no GPU; set `gpus_per_node: 1` there, or a `queue` whose jobs get one."
        )


def with_options_of_schedulers(settings: Mapping[str, Any], codes: Mapping[str, orm.AbstractCode]) -> dict[str, Any]:
    """Return ``settings`` with the options of each step in the form of AiiDA, for the scheduler of its computer.

    :raises InputError: if an option is invalid for the scheduler, or code and options disagree on MPI.
    """
    translated = copy.deepcopy(dict(settings))
    steps = dict(OPTIONS_OF_STEPS)
    if settings["labelling"]["reference"] is not None:
        steps["labelling"] = "reference_label"
    for path, which in steps.items():
        if which not in codes:
            continue
        step: Any = translated
        for key in path.split("."):
            step = step[key]
        given = step["options"]
        check_mpi(codes[which], given, path)
        step["options"] = scheduler_options(given, codes[which], f"{path}.options")
        check_gpu(settings, path, given, codes[which])
    return translated


def load_codes(
    settings: Mapping[str, Any], wanted: Collection[str] | None = None
) -> tuple[dict[str, Any], dict[str, orm.AbstractCode], list[str]]:
    """Return settings with options in the form of AiiDA, the codes of the settings, and the switches of `lammps`.

    The codes are `lammps`, `pw` and one for each of :data:`STEPS_OF_SICMLIP`. Codes that do not run are not required:
    `collective_variables` without a bias, `pw` with a reference potential.

    :param wanted: names of the required codes; all by default.
    :raises InputError: if a code is missing, or options do not fit its computer.
    """
    lammps, switches = code_and_switches(settings["codes"]["lammps"], "codes.lammps")
    named = {**settings["codes"], "lammps": lammps}
    keys = {"lammps": "lammps", "pw": "pw"}
    keys |= {step: step if named.get(step) is not None else "sicmlip" for step in STEPS_OF_SICMLIP}
    if settings["exploration"]["bias"] is None:
        keys.pop("collective_variables")
    keys.pop("reference_label" if settings["labelling"]["reference"] is None else "pw")
    codes = {
        step: load_code(named[key], f"codes.{key}") for step, key in keys.items() if wanted is None or step in wanted
    }
    return with_options_of_schedulers(settings, codes), codes, switches
