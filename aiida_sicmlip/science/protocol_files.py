"""Protocols as data: their YAML files, which hold defaults, settings by protocol, and a description of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.yaml_files import load_yaml, read_yaml

TRAINING_PROTOCOLS = "training.yaml"
"""File of the protocols of trainings."""
Overrides = Mapping[str, Any] | str | Path | None
"""Settings that override a protocol: a mapping, or the path of a YAML file."""


def protocol_path(file: str) -> Path:
    """Return the path of a file of protocols of this package."""
    return Path(__file__).parents[1] / "workflows" / "protocols" / file


def read_protocols(file: str) -> dict[str, Any]:
    """Return the content of a file of protocols of this package."""
    return read_yaml(protocol_path(file), f"the file `{file}`")


def describe_protocols(file: str) -> dict[str, str]:
    """Return name and description of each protocol of a file."""
    return {name: content["description"] for name, content in read_protocols(file)["protocols"].items()}


def choose_protocol(content: Mapping[str, Any], name: Any, noun: str) -> dict[str, Any]:
    """Return the settings of the protocol ``name``, or of the default one.

    :param content: result of :func:`read_protocols`.
    :param noun: name of the kind of protocol in messages, such as "protocol of trainings".
    :raises InputError: if there is no such protocol; the message contains the nearest name.
    """
    protocols = content["protocols"]
    name = content["default_protocol"] if name is None else name
    if not isinstance(name, str) or name not in protocols:
        raise InputError(f"`{name}` is not a {noun}. {nearest_name(str(name), protocols)}")
    own = {key: value for key, value in protocols[name].items() if key != "description"}
    return merge(content["default_inputs"], own)


def read_overrides(overrides: Overrides, protocol: str | None = None) -> tuple[str | None, dict[str, Any]]:
    """Return the name of the protocol and the settings that override it.

    A file may contain the name of its protocol under `protocol`.

    :param protocol: requested protocol.
    :raises InputError: if the file cannot be read, has no settings, or contains the name of another protocol.
    """
    if overrides is None or isinstance(overrides, Mapping):
        return protocol, dict(overrides or {})
    content = read_yaml(Path(overrides), f"the file `{overrides}`")
    if not isinstance(content, dict):
        raise InputError(
            f"the file `{overrides}` contains no settings; give `protocol: moderate` and the settings that differ."
        )
    named = content.pop("protocol", None)
    if named is not None and protocol is not None and named != protocol:
        raise InputError(f"the file `{overrides}` names the protocol `{named}`, but `{protocol}` is requested.")
    return (protocol if named is None else named), content


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` recursively updated by ``top``; neither is changed."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def with_assignments(settings: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return settings with assignments such as ``model.cutoff=4.5`` on top; later ones override earlier ones.

    :raises InputError: if an assignment has no ``=``, or its value is not YAML.
    """
    changed = dict(settings)
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign:
            raise InputError(f"the assignment `{assignment}` has no `=`; write `key=value`.")
        nested = load_yaml(value, f"the value in `{assignment}`")
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        changed = merge(changed, nested)
    return changed
