"""What all protocols share: reading their files, choosing one, settings on top of settings, codes by their labels."""

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
"""Settings on top of a protocol: a mapping, or the path of a YAML file that holds one."""


class ProtocolFileMixin(ProtocolMixin):
    """A work chain whose inputs a protocol of the file ``PROTOCOL_FILE`` gives.

    `get_available_protocols`, `get_default_protocol` and `get_protocol_filepath` are as in aiida-quantumespresso;
    `get_protocol_inputs`, which takes misspelt names there, checks them here.
    """

    PROTOCOL_FILE: ClassVar[str]

    @classmethod
    def get_protocol_filepath(cls) -> Path:
        """Return the path of the file that holds the protocols."""
        return protocol_path(cls.PROTOCOL_FILE)


def protocol_path(file: str) -> Path:
    """Return the path of a file of protocols of this package."""
    return Path(str(resources.files("aiida_sicmlip.workflows.protocols"))) / file


def read_protocols(file: str) -> dict[str, Any]:
    """Return what a file of protocols of this package holds."""
    return yaml.safe_load(protocol_path(file).read_text(encoding="utf-8"))


def describe_protocols(file: str) -> dict[str, str]:
    """Return name and description of each protocol of a file."""
    return {name: content["description"] for name, content in read_protocols(file)["protocols"].items()}


def choose_protocol(content: Mapping[str, Any], name: Any, noun: str) -> dict[str, Any]:
    """Return the settings of the protocol ``name``, or of the default one, of what :func:`read_protocols` gives.

    :param noun: what the protocols are called in a sentence, such as "protocol of trainings".
    :raises InputError: if there is no such protocol (with the nearest one).
    """
    protocols = content["protocols"]
    name = content["default_protocol"] if name is None else name
    if not isinstance(name, str) or name not in protocols:
        raise InputError(f"`{name}` is not a {noun}. {nearest_name(str(name), protocols)}")
    own = {key: value for key, value in protocols[name].items() if key != "description"}
    return merge(content["default_inputs"], own)


def read_overrides(overrides: Overrides, protocol: str | None = None) -> tuple[str | None, dict[str, Any]]:
    """Return the protocol and the settings on top of it, where those may stand in a file.

    A file may name its protocol under `protocol`, as one for `aiida-sicmlip run` does.

    :param protocol: asked for beside the settings.
    :raises InputError: if the file cannot be read, holds no settings, or names another protocol than is asked for.
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
            f"the file `{overrides}` holds no settings; give `protocol: moderate` and what differs from it."
        )
    named = content.pop("protocol", None)
    if named is not None and protocol is not None and named != protocol:
        raise InputError(f"the file `{overrides}` names the protocol `{named}`, but `{protocol}` is asked for.")
    return (protocol if named is None else named), content


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``top`` over it, mapping by mapping; neither is changed."""
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def load_code(label: Any, field: str) -> orm.AbstractCode:
    """Return the code ``label``.

    :raises InputError: if there is none, with those that there are.
    """
    try:
        return orm.load_code(str(label))
    except MultipleObjectsError as error:
        raise InputError(f"`{field}` is `{label}`, and several codes are called that; give its PK or UUID.") from error
    except NotExistent as error:
        query = orm.QueryBuilder().append(orm.AbstractCode, project="label", tag="code")
        query.append(orm.Computer, with_node="code", project="label")
        known = [f"{name}@{computer}" for name, computer in query.all()]
        hint = nearest_name(str(label), known) if known else "No code is set up yet: run `aiida-sicmlip setup`."
        raise InputError(f"`{field}` is `{label}`, which does not exist. {hint}") from error
