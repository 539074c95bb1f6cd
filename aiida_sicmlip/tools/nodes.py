"""Nodes by what a user calls them, and by their links to a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.common.links import LinkType
from aiida.plugins.entry_point import get_entry_point_from_string

from aiida_sicmlip.common.exceptions import InputError

LARGEST_PK = 2**31 - 1
"""PKs are such integers in PostgreSQL, which refuses to compare them with larger ones, as SQLite does from 2**63 on."""


def load(identifier: Any, kinds: Sequence[type[orm.Node] | str], what: str) -> Any:
    """Return the stored node ``identifier``, which is a PK, a UUID or the node itself.

    :param kinds: classes of nodes and process types that fit; any node does where there are none.
    :param what: the setting or argument that named the node, for messages.
    :raises InputError: if there is no such node, or it is of another kind.
    """
    wanted = " or ".join(_kind_in_words(kind) for kind in kinds) or "a node"
    try:
        node = identifier if isinstance(identifier, orm.Node) else _load(identifier)
    except (NotExistent, MultipleObjectsError, ValueError, TypeError) as error:
        shown = str(identifier) if len(str(identifier)) < 60 else f"{str(identifier)[:40]}..."
        message = f"`{what}` is {shown}, and no node is called that; give the PK or UUID of {wanted}."
        raise InputError(message) from error
    if kinds and not any(
        getattr(node, "process_type", None) == kind if isinstance(kind, str) else isinstance(node, kind)
        for kind in kinds
    ):
        name = _with_article(getattr(node, "process_label", None) or type(node).__name__)
        raise InputError(f"`{what}` is node <{node.pk}>, {name}; give the PK or UUID of {wanted}.")
    return node


def _load(identifier: Any) -> orm.Node:
    digits = str(identifier)
    if digits.isdigit() and (len(digits) > 10 or int(digits) > LARGEST_PK):
        raise NotExistent(digits)
    return orm.load_node(identifier)


def input_of(process: orm.ProcessNode, label: str) -> Any:
    """Return one input of a process by its link label, or None; the others are not loaded."""
    links = process.base.links.get_incoming(
        link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK), link_label_filter=_literal(label)
    )
    link = links.first()
    return link.node if link is not None else None


def output_of(process: orm.ProcessNode | None, label: str) -> Any:
    """Return one output of a process, if there is one, by its link label, or None; the others are not loaded."""
    if process is None:
        return None
    links = process.base.links.get_outgoing(
        link_type=(LinkType.CREATE, LinkType.RETURN), link_label_filter=_literal(label)
    )
    link = links.first()
    return link.node if link is not None else None


def _literal(label: str) -> str:
    """Return the pattern of SQL that a link label alone matches."""
    return label.replace("_", "\\_")


def _kind_in_words(kind: type[orm.Node] | str) -> str:
    """Return the name of a class, or that of the class behind a process type."""
    name = str(get_entry_point_from_string(kind).attr) if isinstance(kind, str) else kind.__name__
    return _with_article(name)


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
