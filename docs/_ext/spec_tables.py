"""Markdown tables of what the code declares: settings, protocols, processes. Knows nothing of Sphinx."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from aiida_sicmlip.science.settings import SettingGroup
from aiida_sicmlip.science.value_tests import is_mapping
from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions
from aiida_sicmlip.workflows.protocols.settings import LoopSettings

ABSENT = object()
OF_AIIDA = ("metadata", "monitors", "remote_folder", "remote_stash", "retrieved")
"""Ports that AiiDA gives to every calculation."""


def load_object(path: str) -> Any:
    """Return what ``module:name`` names."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def settings_table(path: str, protocol_path: str | None) -> str:
    """Return the fields of a settings class with the values that the protocols give them."""
    return _with_protocols(list(_rows(load_object(path))), protocol_path)


def _rows(settings: Any, prefix: str = "") -> Iterator[list[Any]]:
    """Yield name, default and meaning of each setting of a class, those of groups with dots."""
    defaults = settings.defaults()
    for name, described in settings.described().items():
        if isinstance(described, SettingGroup) and not described.partial:
            yield from _rows(described.kind, f"{prefix}{name}.")
        else:
            yield [f"{prefix}{name}", defaults.get(name, ABSENT), meaning_of(described)]


def meaning_of(setting: Any) -> str:
    """Return what a setting means and accepts, in one cell of a table."""
    return f"{setting.meaning}; {setting.expected}"


def protocol_table(prefix: str) -> str:
    """Return the settings that stand at ``prefix`` itself in a settings file, with the values of all protocols."""
    settings: Any = LoopSettings
    for part in filter(None, prefix.split(".")):
        settings = settings.described()[part].kind
    start = f"{prefix}." if prefix else ""
    protocols = {name: load_protocol(name) for name in protocol_descriptions()}
    rows = [
        [f"`{start}{name}`", *(_code(_value(each, f"{start}{name}")) for each in protocols.values()), meaning_of(entry)]
        for name, entry in settings.described().items()
        if not isinstance(entry, SettingGroup) and entry.test is not is_mapping
    ]
    return table(["Setting", *(f"`{name}`" for name in protocols), "Meaning"], rows)


def process_tables(path: str, closed: Sequence[str]) -> str:
    """Return description, inputs, outputs and exit codes of a process.

    :param closed: namespaces of inputs that are shown as one row, as they belong to another process.
    """
    process = load_object(path)
    spec = process.spec()
    inputs = [
        [f"`{name}`", f"{_types(port)}, {'required' if _is_needed(port) else 'optional'}. {_text(port.help)}"]
        for name, port in _ports(spec.inputs, closed)
    ]
    outputs = [
        [f"`{name}`", f"{_types(port)}{'' if port.required else ', not always'}. {_text(port.help)}"]
        for name, port in _ports(spec.outputs, ())
    ]
    codes = sorted((code for code in spec.exit_codes.values() if code.status >= 200), key=lambda code: code.status)
    exits = [
        [str(code.status), f"`{label}`", _text(code.message)]
        for code in codes
        for label in [_label(spec.exit_codes, code)]
        if _is_own(process, label)
    ]
    parts = [
        inspect.getdoc(process) or "",
        table(["Input", "Type and meaning"], inputs),
        table(["Output", "Type and meaning"], outputs),
        table(["Exit status", "Name", "Message"], exits),
    ]
    return "\n\n".join(parts)


def _with_protocols(rows: Sequence[Sequence[Any]], path: str | None) -> str:
    """Return rows of name, default and meaning as a table, with a column for each protocol that sets something."""
    given = {name: _value(load_protocol(name), path) for name in protocol_descriptions()} if path else {}

    def own(values: Any, name: str, default: Any) -> Any:
        value = _value(values, name)
        return ABSENT if value == default else value

    given = {name: values for name, values in given.items() if any(own(values, *row[:2]) is not ABSENT for row in rows)}
    lines = [
        [f"`{name}`", _code(default), *(_code(own(values, name, default)) for values in given.values()), meaning]
        for name, default, meaning in rows
    ]
    return table(["Setting", "Default", *(f"`{name}`" for name in given), "Meaning"], lines)


def _value(values: Any, path: str) -> Any:
    """Return the value at the dotted ``path``, or ``ABSENT``."""
    for part in path.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return ABSENT
        values = values[part]
    return values


def _code(value: Any) -> str:
    """Return a value as one writes it in YAML."""
    return "" if value is ABSENT else f"`{yaml.safe_dump(value, default_flow_style=True, width=200).splitlines()[0]}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _ports(namespace: Any, closed: Sequence[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the ports below a namespace with their dotted names, required ones first, without metadata."""
    from plumpy.ports import PortNamespace

    for name, port in sorted(namespace.items(), key=lambda item: (not item[1].required, item[0])):
        where = f"{prefix}{name}"
        if name in OF_AIIDA:
            continue
        if isinstance(port, PortNamespace) and len(port) and where not in closed:
            yield from _ports(port, closed, f"{where}.")
        else:
            yield (f"{where}.*" if isinstance(port, PortNamespace) else where), port


def _types(port: Any) -> str:
    valid = port.valid_type
    if valid is None or not getattr(port, "dynamic", True) or getattr(port, "_ports", None):
        return "Namespace"
    kinds = valid if isinstance(valid, tuple) else (valid,)
    return " or ".join(f"`{kind.__name__}`" for kind in kinds if kind is not type(None))


def _is_needed(port: Any) -> bool:
    has_default = getattr(port, "has_default", lambda: False)()
    return bool(port.required) and not has_default


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("<", "&lt;")


def _label(codes: Mapping[str, Any], wanted: Any) -> str:
    return next(label for label, code in codes.items() if code is wanted)


def _is_own(process: type, label: str) -> bool:
    """Return whether the exit code is not one that AiiDA gives to every process."""
    from aiida.engine import CalcJob, WorkChain

    return all(label not in base.spec().exit_codes for base in (CalcJob, WorkChain) if issubclass(process, base))
