"""What the readers of protocols share: settings on top of settings, and codes by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent

from aiida_sicmlip.common.exceptions import InputError, nearest_name


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
