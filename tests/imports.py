"""What the modules of a package import, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple


class Import(NamedTuple):
    """An import statement: in which module, of what, and whether it runs when the module is imported."""

    module: str
    target: str
    line: int
    at_import: bool


def module_name(root: Path, path: Path) -> str:
    """Return the dotted name of the module at ``path`` of the package in ``root``."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules(root: Path) -> dict[str, ast.Module]:
    """Return the syntax trees of all modules of the package in ``root``."""
    return {module_name(root, path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.py"))}


def statements(tree: ast.AST, at_import: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node below ``tree`` and whether it runs at import: not in functions, not for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        runs = at_import and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for part in node.body:
                yield part, False
                yield from statements(part, False)
            for part in node.orelse:
                yield part, runs
                yield from statements(part, runs)
            continue
        yield node, runs
        yield from statements(node, runs)


@cache
def imports(root: Path) -> list[Import]:
    """Return every import of the package in ``root``; of ``from a import b`` both ``a`` and ``a.b``."""
    trees = modules(root)
    packages = {module_name(root, path) for path in root.rglob("__init__.py")}
    found = []
    for module, tree in trees.items():
        for node, at_import in statements(tree):
            if isinstance(node, ast.Import):
                found += [Import(module, alias.name, node.lineno, at_import) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = node.module or ""
                if node.level:
                    parts = module.split(".")
                    keep = len(parts) - node.level + (module in packages)
                    source = ".".join([*parts[:keep], *([source] if source else [])])
                found.append(Import(module, source, node.lineno, at_import))
                inside = [f"{source}.{alias.name}" for alias in node.names]
                found += [Import(module, name, node.lineno, at_import) for name in inside if name in trees]
    return found


def circle(root: Path) -> list[str]:
    """Return modules that import each other in a circle, imports for type checkers and in functions too; or nothing.

    ``from package import module`` is an import of the module, not of what the package's ``__init__`` holds.
    """
    trees = modules(root)
    packages = {module_name(root, path) for path in root.rglob("__init__.py")}
    found = {(entry.module, entry.line, entry.target) for entry in imports(root) if entry.target in trees}
    graph: dict[str, set[str]] = {module: set() for module in trees}
    for module, line, target in found:
        stands_for_a_module = target in packages and any(
            (module, line) == other[:2] and other[2].startswith(f"{target}.") for other in found
        )
        if target != module and not stands_for_a_module:
            graph[module].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def reached_at_import(root: Path, start: str) -> set[str]:
    """Return what the import of module ``start`` imports, in the package and elsewhere, by way of other modules too."""
    direct: dict[str, set[str]] = {module: set() for module in modules(root)}
    for module, target, _, at_import in imports(root):
        if at_import:
            direct[module].add(target)
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        parents = module.split(".")
        waiting += [".".join(parents[:depth]) for depth in range(1, len(parents))] if module in direct else []
        waiting += direct.get(module, ())
    return reached
