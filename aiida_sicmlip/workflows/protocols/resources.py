"""Translation of the options of a settings file to those of AiiDA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import CalcJob

from aiida_sicmlip.calculations.switches import checked_switches
from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.settings import require_known_names

SHORT_OPTIONS = ("account", "gpus_per_node", "memory_gb", "queue")
"""Options of this package, in addition to those of AiiDA."""
RENAMED = {"queue": "queue_name", "memory_gb": "max_memory_kb"}
"""Options of this package and the corresponding ones of AiiDA."""
KB_PER_GB = 1024**2
"""AiiDA's kB and GB are powers of two: for Slurm, 16 GB become `--mem=16384` (in MB)."""
DEFAULT_RESOURCES = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
"""Default resources of the calculations of this package."""
IGNORED = {
    "core.direct": ("account", "max_memory_kb", "priority", "qos", "queue_name"),
    "core.lsf": ("qos",),
    "core.pbspro": ("qos",),
    "core.sge": ("max_memory_kb", "qos"),
    "core.torque": ("qos",),
}
"""Options that AiiDA ignores for these schedulers without a warning."""
GPU_REQUESTS = {
    "core.direct": "jobs there see all GPUs of the machine; to choose one, set `environment_variables: "
    '{CUDA_VISIBLE_DEVICES: "0"}`',
    "core.lsf": "write `custom_scheduler_commands: '#BSUB -gpu \"num=1\"'`",
    "core.pbspro": "PBS takes GPUs in its line `select` alone, which AiiDA writes without them; name a `queue` whose "
    "jobs get a GPU",
    "core.sge": "write the request of your cluster, often `custom_scheduler_commands: '#$ -l gpu=1'`",
    "core.torque": "Torque takes GPUs in its line `nodes` alone, which AiiDA writes without them; name a `queue` whose "
    "jobs get a GPU",
}
"""How to request a GPU from schedulers for which `gpus_per_node` is not supported."""
KINDS: dict[Any, str] = {bool: "true or false", int: "a whole number", str: "text", dict: "a mapping"}
"""Names of the types of options, for messages."""


def scheduler_options(options: Mapping[str, Any], code: orm.AbstractCode, field: str) -> dict[str, Any]:
    """Return the ``metadata.options`` of a calculation that runs ``code``.

    `queue`, `memory_gb` and `gpus_per_node` become what AiiDA calls them for the scheduler of the code's computer;
    options of AiiDA are not changed. A value of ``None`` removes an option of a protocol.

    :param field: path of the options in the settings, such as ``exploration.options``.
    :raises InputError: for an option or a resource that is unknown or ignored, a value of the wrong type, and two
        options with the same meaning.
    """
    ports = CalcJob.spec().inputs["metadata"]["options"]
    given = {key: value for key, value in options.items() if value is not None}
    require_known_names(given, [*ports, *SHORT_OPTIONS], f"{field}.")
    computer = code.computer
    if computer is None:
        raise InputError(
            f"`{field}` cannot be checked: code `{code.full_label}` has no computer. Set up an installed or a "
            "containerized code."
        )
    _check_scheduler(given, computer, field)
    translated = {key: value for key, value in given.items() if key not in SHORT_OPTIONS or key == "account"}
    for short, name in RENAMED.items():
        if short not in given:
            continue
        if name in given:
            raise InputError(
                f"`{field}` has both `{short}` and `{name}`, which have the same meaning; remove one of them."
            )
        value = given[short]
        translated[name] = value if short == "queue" else round(_positive(value, f"{field}.{short}") * KB_PER_GB)
    if "gpus_per_node" in given:
        translated["custom_scheduler_commands"] = _with_gpus(given, computer.scheduler_type, field)
    for key, value in translated.items():
        _check_value(ports[key], value, f"{field}.{_user_name(key, given)}")
    resources = translated.get("resources", DEFAULT_RESOURCES)
    resources = {key: value for key, value in resources.items() if value is not None}
    _check_resources(resources, computer, f"{field}.resources")
    return {**translated, "resources": resources} if "resources" in translated else translated


def code_and_switches(value: Any, field: str) -> tuple[str, list[str]]:
    """Return the label of a LAMMPS code and its command-line switches.

    :param value: label, or mapping with `code` and `switches`. `on` and `off`, which YAML reads as booleans, are
        converted to text.
    :param field: path in the settings, such as ``codes.lammps``.
    :raises InputError: for a switch that the calculation sets itself, or that is not supported.
    """
    if isinstance(value, Mapping):
        require_known_names(value, ("code", "switches"), f"{field}.")
        if "code" not in value:
            raise InputError(f"`{field}` lacks `code`; give the label of a code, such as `lammps@cluster`.")
        return str(value["code"]), checked_switches(value.get("switches") or [], f"{field}.switches")
    return str(value), []


def _check_scheduler(given: Mapping[str, Any], computer: orm.Computer, field: str) -> None:
    """Raise InputError for options that AiiDA ignores for the scheduler."""
    for key in given:
        if RENAMED.get(key, key) in IGNORED.get(computer.scheduler_type, ()):
            raise InputError(
                f"`{field}.{key}` has no effect on computer `{computer.label}`, whose scheduler is "
                f"`{computer.scheduler_type}`; remove it."
            )


def _with_gpus(given: Mapping[str, Any], scheduler: str, field: str) -> str:
    """Return the scheduler commands of the user, followed by the request of GPUs from Slurm."""
    count = _positive(given["gpus_per_node"], f"{field}.gpus_per_node")
    if count != int(count):
        raise InputError(f"`{field}.gpus_per_node` is {count!r}; give a whole number from 1.")
    if scheduler != "core.slurm":
        hint = GPU_REQUESTS.get(scheduler, "write the scheduler's own line under `custom_scheduler_commands`")
        raise InputError(f"`{field}.gpus_per_node` is for Slurm, but the scheduler is `{scheduler}`: {hint}.")
    lines = str(given.get("custom_scheduler_commands", "")).rstrip()
    if "--gpus" in lines or "--gres=gpu" in lines:
        raise InputError(
            f"`{field}` requests GPUs in `gpus_per_node` and in `custom_scheduler_commands`; remove one of them."
        )
    return "\n".join(line for line in (lines, f"#SBATCH --gpus-per-node={int(count)}") if line)


def _positive(value: Any, where: str) -> float:
    """Return ``value`` if it is a number above zero, and raise InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InputError(f"`{where}` is {value!r}; give a number above zero.")
    return value


def _user_name(key: str, given: Mapping[str, Any]) -> str:
    """Return the name of an option of AiiDA in the settings file."""
    return next((short for short, name in RENAMED.items() if name == key and short in given), key)


def _check_value(port: Any, value: Any, where: str) -> None:
    """Raise InputError if AiiDA would reject ``value`` at submission."""
    kinds = port.valid_type if isinstance(port.valid_type, tuple) else (port.valid_type,)
    words = KINDS.get(kinds[0])
    if words is not None and (not isinstance(value, kinds[0]) or isinstance(value, bool) is not (kinds[0] is bool)):
        raise InputError(f"`{where}` is {value!r}; give {words}.")
    error = port.validate(value)
    if error is not None:
        raise InputError(f"`{where}` is {value!r}, which AiiDA rejects: {error.message}")


def _check_resources(resources: Mapping[str, Any], computer: orm.Computer, where: str) -> None:
    """Raise InputError if the scheduler does not support the resources, or they are inconsistent."""
    scheduler = computer.get_scheduler()
    valid = scheduler.job_resource_class.get_valid_keys()
    for key in resources:
        if key not in valid:
            raise InputError(
                f"`{where}.{key}` is not a resource of `{computer.scheduler_type}`. {nearest_name(str(key), valid)} "
                "Null removes a resource of the protocol."
            )
    asked = dict(resources)
    scheduler.preprocess_resources(asked, computer.get_default_mpiprocs_per_machine())
    try:
        scheduler.validate_resources(**asked)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{where}` does not fit the scheduler `{computer.scheduler_type}`: {error}") from error
