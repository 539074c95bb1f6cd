"""The loader of all YAML files of users: what YAML 1.1 reads as something else than is written is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from aiida_sicmlip.common.exceptions import InputError

_BASIC = ("null", "bool", "int", "float", "str", "seq", "map", "merge")
_LARGEST_FILE = 10_000_000
_MOST_NODES = 1_000_000
_DEEPEST = 100
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+")


def load_yaml(text: str, what: str) -> Any:
    """Return the content of YAML.

    :param what: the text, for messages, such as "the file `run.yaml`".
    :raises InputError: with the line, for text that is no YAML, a key that is there twice, numbers to base 60 (`1:30`)
        or 8 (`010`), numbers that are not finite, dates and other types than those of JSON.
    """
    try:
        _check_depth(text, what)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None
        _check(node, what)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{what} is not YAML: {error}") from error
    except ValueError as error:
        # Python refuses to convert numbers of thousands of digits.
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what} holds a number that cannot be read ({error}).") from error


def read_yaml(path: Path, what: str) -> Any:
    """Return the content of a YAML file.

    :param what: as in :func:`load_yaml`.
    :raises InputError: if it cannot be read, and as :func:`load_yaml`.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{what} has more than {_LARGEST_FILE // 1_000_000} MB; is it a settings file?")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{what} does not exist.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} cannot be read as YAML: {error}") from error
    return load_yaml(text, what)


def _check_depth(text: str, what: str) -> None:
    """Raise where lists and mappings are nested too deeply; the parser alone is not recursive."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise InputError(f"{what} is nested in more than {_DEEPEST} levels; write it flatter.")


def _check(root: yaml.Node, what: str) -> None:
    """Raise for the first node that is refused; `sizes` counts what aliases stand for, which is copied later."""
    sizes: dict[int, int] = {}
    _check_node(root, what, sizes, ())


def _check_node(node: yaml.Node, what: str, sizes: dict[int, int], parents: tuple[int, ...]) -> int:
    where = f"line {node.start_mark.line + 1} of {what}"
    if id(node) in parents:
        raise InputError(f"{where} refers to itself by an alias; write the value there.")
    if id(node) in sizes:
        return sizes[id(node)]
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in _BASIC:
        hint = "write dates in quotes" if kind == "timestamp" else "give text, numbers, lists and mappings"
        raise InputError(f"{where} is read as `{kind}`; {hint}.")
    size, below = 1, (*parents, id(node))
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(node, kind, where)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check_node(entry, what, sizes, below) for entry in node.value)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"line {line} of {what} has a key that is no word; write a word before the colon.")
            if key.value in lines and not key.tag.endswith(":merge"):
                raise InputError(
                    f"line {line} of {what} has the key `{key.value}` again, which is in line {lines[key.value]} "
                    "already, and YAML would forget the first; write all of it under one."
                )
            lines[key.value] = line
            size += _check_node(key, what, sizes, below) + _check_node(value, what, sizes, below)
    if size > _MOST_NODES:
        raise InputError(f"{where} stands for more than {_MOST_NODES} values by its aliases; write fewer.")
    sizes[id(node)] = size
    return size


def _check_scalar(node: yaml.ScalarNode, kind: str, where: str) -> None:
    """Raise for a number that is not the one that is written, or is not finite."""
    value = node.value
    if kind not in ("int", "float"):
        return
    if ":" in value:
        raise InputError(f"{where} has `{value}`, which YAML reads to base 60; write it in quotes, or as a number.")
    if kind == "int" and not _DECIMAL.fullmatch(value):
        raise InputError(f"{where} has `{value}`, which YAML reads to base 8; write it without zeros, or in quotes.")
    if kind == "int" and len(value) > 40:
        raise InputError(f"{where} has a whole number of {len(value)} digits; write a smaller one.")
    if kind == "float":
        try:
            is_finite = math.isfinite(yaml.SafeLoader.construct_yaml_float(yaml.SafeLoader(""), node))
        except ValueError:
            is_finite = False
        if not is_finite:
            raise InputError(f"{where} has `{value}`, which is not a finite number; write one, or leave the key out.")
