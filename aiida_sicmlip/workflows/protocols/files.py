"""Functions for all protocols: reading files, choosing a protocol, merging settings, loading codes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import yaml
from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida_quantumespresso.workflows.protocols.utils import ProtocolMixin

from aiida_sicmlip.common.exceptions import InputError, nearest_name

Overrides = Mapping[str, Any] | str | Path | None
"""Settings that override a protocol: a mapping, or the path of a YAML file."""


class ProtocolFileMixin(ProtocolMixin):
    """Mixin for work chains whose inputs are defined by the protocols of the file ``PROTOCOL_FILE``.

    `get_available_protocols`, `get_default_protocol` and `get_protocol_filepath` are as in aiida-quantumespresso;
    `get_protocol_inputs` also rejects unknown settings.
    """

    PROTOCOL_FILE: ClassVar[str]

    @classmethod
    def get_protocol_filepath(cls) -> Path:
        """Return the path of the file of the protocols."""
        return protocol_path(cls.PROTOCOL_FILE)


def protocol_path(file: str) -> Path:
    """Return the path of a file of protocols of this package."""
    return Path(str(resources.files("aiida_sicmlip.workflows.protocols"))) / file


def read_protocols(file: str) -> dict[str, Any]:
    """Return the content of a file of protocols of this package."""
    return yaml.safe_load(protocol_path(file).read_text(encoding="utf-8"))


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
    try:
        content = yaml.safe_load(Path(overrides).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"the file `{overrides}` does not exist.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"the file `{overrides}` is not YAML: {error}") from error
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


def load_code(label: Any, field: str) -> orm.AbstractCode:
    """Return the code ``label``.

    :raises InputError: if there is no such code; the message contains the nearest label.
    """
    try:
        return orm.load_code(str(label))
    except MultipleObjectsError as error:
        raise InputError(f"`{field}` is `{label}`, which is the label of several codes; give a PK or UUID.") from error
    except NotExistent as error:
        query = orm.QueryBuilder().append(orm.AbstractCode, project="label", tag="code")
        query.append(orm.Computer, with_node="code", project="label")
        labels = [f"{name}@{computer}" for name, computer in query.all()]
        hint = nearest_name(str(label), labels) if labels else "No code is set up yet: run `aiida-sicmlip setup`."
        raise InputError(f"`{field}` is `{label}`, which does not exist. {hint}") from error
