"""Whether files and attributes are what was stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from aiida import orm

from aiida_sicmlip.tools.verification.graph import Graph

_LENGTH = 64
"""Digits of a SHA-256 sum, by which AiiDA's repository names the contents of files."""


def check_contents(graph: Graph) -> tuple[int, list[str]]:
    """Compare each file with the SHA-256 sum under which it is stored, and each datum with the hash that it got then.

    Nodes that were imported carry no such hash; their files are checked all the same.
    """
    problems = []
    seen: dict[str, str | None] = {}
    nodes = [*graph.nodes(orm.Data), *graph.nodes(orm.ProcessNode)]
    for node in nodes:
        name = getattr(node, "process_label", None) or type(node).__name__
        for path, key in _files(node):
            if key not in seen:
                seen[key] = _wrong(node, path, key)
            if (wrong := seen[key]) is not None:
                problems.append(f"file `{path}` of {name} <{node.pk}> {wrong}")
        if isinstance(node, orm.Data) and not isinstance(node, (orm.AbstractCode, orm.RemoteData)):
            stored = node.base.caching.get_hash()
            if stored is not None and stored != node.base.caching.compute_hash():
                problems.append(f"the attributes of {name} <{node.pk}> are not those that were stored")
    return len(nodes), problems


def _files(node: Any) -> Iterator[tuple[str, str]]:
    """Yield path and stored sum of each file of a node."""
    repository = node.base.repository
    for folder, _, names in repository.walk():
        for name in names:
            path = str(folder / name)
            key = repository.get_object(path).key
            if key is not None and len(key) == _LENGTH:
                yield path, key


def _wrong(node: Any, path: str, key: str) -> str | None:
    """Return what is wrong with a file, or None."""
    digest = hashlib.sha256()
    try:
        with node.base.repository.open(path, mode="rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        return f"cannot be read: {error}"
    return None if digest.hexdigest() == key else "was changed after it was stored: its SHA-256 sum is another one"
