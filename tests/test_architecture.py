"""Who may import whom, what may be imported when a module is, and what may not stand in the sources at all."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_sicmlip
from tests.imports import circle, imports, modules, reached_at_import, statements

PACKAGE = "aiida_sicmlip"
ROOT = Path(aiida_sicmlip.__file__).parent

ALLOWED = {
    "common": set(),
    "science": {"common"},
    "engine": {"science", "common"},
    # Packed into models, which are loaded where this package is absent.
    "nequip_extension": set(),
    "plots": {"science", "common"},
    "data": {"science", "common"},
    "calculations": {"data", "science", "common"},
    # Settings of a step are a class of `science`, which checks them: parsers and work chains read their inputs with it.
    "parsers": {"calculations", "data", "science", "common"},
    "workflows": {"calculations", "data", "tools", "science", "common"},
    "tools": {"data", "science", "common"},
    "reports": {"tools", "plots", "data", "science", "common"},
    "cli": {"*"},
}
"""What each folder may import from the package besides itself."""

PLOTTING = {"matplotlib", "plotly", "seaborn"}
AIIDA = {"aiida", "aiida_lammps", "aiida_pseudo", "aiida_quantumespresso", "plumpy", "kiwipy"}
FORBIDDEN = {
    "common": AIIDA | PLOTTING | {"click"},
    "science": AIIDA | PLOTTING | {"click"},
    "engine": AIIDA | PLOTTING | {"click"},
    "nequip_extension": AIIDA | PLOTTING | {"click"},
    "plots": AIIDA | {"click"},
    "data": PLOTTING | {"click"},
    "calculations": PLOTTING | {"click"},
    "parsers": PLOTTING | {"click"},
    "workflows": PLOTTING | {"click"},
    "tools": PLOTTING | {"click"},
    "reports": {"click"},
    "cli": set(),
}
"""What each folder may not import from elsewhere, at whatever depth in the code."""

HEAVY = {"torch", "nequip", "allegro", "e3nn", "lightning", "lammps", "dscribe", "deeptime"}
"""Seconds to import, or many megabytes: not in the command line, and not in what every daemon worker loads."""

LOADED_BY_WORKERS = ("data", "calculations", "parsers", "workflows", "tools")


ROOMS: dict[str, dict[str, set[str]]] = {
    "science": {
        "bias": set(),
        "costs": {"training"},
        "defects": set(),
        "kinetics": set(),
        "labels": set(),
        "selection": set(),
        "free_energy": {"bias"},
        "pines": {"defects"},
        "dynamics": {"bias", "defects", "pines"},
        "evaluation": {"defects", "labels"},
        "training": {"evaluation", "labels"},
    },
    "workflows": {
        "base": set(),
        "protocols": set(),
        "exploration": {"base", "protocols"},
        "labelling": {"base", "protocols"},
        "training": {"base", "protocols"},
        "active_learning": {"base", "protocols", "exploration", "labelling", "training"},
        "rerun": {"base", "protocols", "exploration", "labelling", "training", "active_learning"},
    },
}
"""The folders inside a layer, and which of them each may import besides itself.

Files beside the folders are their common ground: every room may import them, and they import no room.
"""

LONGEST_FILE = 400
"""Lines; what is longer tells more than one story."""


def layer_of(module: str) -> str:
    """Return the folder of the package that ``module`` lies in; empty for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def wrong_directions(root: Path) -> list[str]:
    """Return a message for each import that the tables above do not allow."""
    wrong = []
    for module, target, line, _ in imports(root):
        layer, top = layer_of(module), target.split(".")[0]
        if top == root.name:
            inside = target.split(".", 1)[1] if "." in target else ""
            allowed = {layer, *ALLOWED.get(layer, set())} - {""}
            fits = any(inside == name or inside.startswith(f"{name}.") or name == "*" for name in allowed)
            # `from aiida_sicmlip.science import io` names the folder first and then what is wanted of it.
            is_prefix = any(name.startswith(f"{inside}.") for name in allowed)
            if not (fits or is_prefix or (inside == "" and layer)):
                wrong.append(f"{module}:{line} imports {target}")
        elif top in FORBIDDEN.get(layer, set()):
            wrong.append(f"{module}:{line} imports {target}")
    return wrong


def room_of(module: str, layer: str) -> str:
    """Return the room of ``module`` in ``layer``; empty for files beside the rooms, and for other layers."""
    parts = module.split(".")
    in_room = len(parts) > 2 and parts[1] == layer and parts[2] in ROOMS[layer]
    return parts[2] if in_room else ""


def wrong_rooms(root: Path) -> list[str]:
    """Return a message for each import between rooms of a layer that :data:`ROOMS` does not allow."""
    wrong = []
    for module, target, line, _ in imports(root):
        for layer, rooms in ROOMS.items():
            own, other = room_of(module, layer), room_of(target, layer)
            inside = layer_of(module) == layer and other not in ("", own)
            if inside and other not in rooms.get(own, set()):
                wrong.append(f"{module}:{line} imports {target}")
    return wrong


def heavy_imports(root: Path, start: str) -> set[str]:
    """Return the heavy libraries that the import of module ``start`` brings."""
    return {target.split(".")[0] for target in reached_at_import(root, start)} & HEAVY


def calls_at_import(root: Path, function: str) -> list[str]:
    """Return where ``function`` is called when a module is imported."""
    found = []
    for module, tree in modules(root).items():
        for node, at_import in statements(tree):
            if at_import and isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function:
                found.append(f"{module}:{node.lineno}")
    return found


def personal_paths(text: str) -> list[str]:
    """Return the paths in ``text`` that exist on one machine only: home folders and working folders of a developer."""
    # Written in pieces, so that this file does not hold what it looks for.
    start = "|".join(["/ho" + "me/[a-z]", "/Us" + "ers/[a-z]", "/ro" + "ot/", "/tm" + "p/[a-z]", "/wo" + "rk/"])
    return re.findall(rf"(?<![\w.~}}]){'(?:' + start + ')'}[^\s\"'`)]*", text)


def package_modules(*layers: str) -> list[str]:
    """Return the names of all modules in the folders ``layers``."""
    return [name for name in modules(ROOT) if layer_of(name) in layers]


def test_every_folder_has_its_rules() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ALLOWED) == set(FORBIDDEN)


def test_imports_follow_the_layers() -> None:
    assert wrong_directions(ROOT) == []


def test_every_room_has_its_rules() -> None:
    for layer, rooms in ROOMS.items():
        folders = {path.parent.name for path in (ROOT / layer).glob("*/__init__.py")}
        assert folders == set(rooms)
        assert all(allowed < set(rooms) for allowed in rooms.values())


def test_imports_follow_the_rooms() -> None:
    assert wrong_rooms(ROOT) == []


def test_what_is_imported_is_there() -> None:
    inside = [entry for entry in imports(ROOT) if f"{entry.target}.".startswith(f"{PACKAGE}.")]
    assert [entry for entry in inside if entry.target not in modules(ROOT)] == []


def test_programs_are_imported_by_nothing() -> None:
    programs = f"{PACKAGE}.engine.programs"
    reached = [entry for entry in imports(ROOT) if f"{entry.target}.".startswith(f"{programs}.")]
    assert [entry for entry in reached if not entry.module.startswith(programs)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(ROOT) == []


def test_no_file_is_too_long() -> None:
    project = ROOT.parent
    folders = [ROOT, *(project / name for name in ("tests", "benchmarks", "studies", "docs"))]
    lengths = {
        str(path.relative_to(project)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in folder.rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_what_is_packed_into_models_imports_what_every_model_has() -> None:
    packed = [entry for entry in imports(ROOT) if layer_of(entry.module) == "nequip_extension"]
    outside = {entry.target.split(".")[0] for entry in packed} - set(sys.stdlib_module_names)
    assert outside == {"nequip", "torch"}
    # NequIP imports the folder while it is being imported itself.
    assert [entry for entry in packed if entry.module == f"{PACKAGE}.nequip_extension"] == []


def test_package_imports_nothing() -> None:
    assert [entry for entry in imports(ROOT) if entry.module == PACKAGE] == []


def test_command_line_imports_only_click() -> None:
    outside = {target.split(".")[0] for target in reached_at_import(ROOT, f"{PACKAGE}.cli")}
    assert outside - set(sys.stdlib_module_names) == {PACKAGE, "click"}


@pytest.mark.parametrize("module", package_modules(*LOADED_BY_WORKERS))
def test_daemon_workers_load_nothing_heavy(module: str) -> None:
    assert heavy_imports(ROOT, module) == set()


def test_no_profile_is_loaded_at_import() -> None:
    assert calls_at_import(ROOT, "load_profile") == []


def test_no_path_of_one_machine() -> None:
    project = ROOT.parent
    folders = [ROOT, *(project / name for name in ("tests", "docs", "install", "benchmarks", "studies"))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += [path for path in project.iterdir() if path.is_file() and path.name != ".git"]
    found = []
    for path in files:
        if path.suffix in {".py", ".sh", ".md", ".rst", ".toml", ".yaml", ".yml", ".txt", ".cfg", ""}:
            found += [
                f"{path.relative_to(project)}: {hit}" for hit in personal_paths(path.read_text("utf-8", "ignore"))
            ]
    assert found == []


def test_science_and_engine_run_without_aiida() -> None:
    names = package_modules("common", "science", "engine")
    script = (
        "import importlib, sys\n"
        f"blocked = {sorted(AIIDA | {'click'})!r}\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in blocked:\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Block())\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def write_package(folder: Path, files: dict[str, str]) -> Path:
    """Write a small package that has the folders of the real one."""
    root = folder / PACKAGE
    for layer in ALLOWED:
        (root / layer).mkdir(parents=True)
        (root / layer / "__init__.py").write_text("")
    (root / "__init__.py").write_text("")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    return root


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("science/a.py", "from aiida_sicmlip.data import b"),
        ("science/a.py", "def f():\n    import aiida.orm"),
        ("science/a.py", "from ..engine import lmp"),
        ("engine/a.py", "import matplotlib.pyplot as plt"),
        ("common/a.py", "if True:\n    import click"),
        ("parsers/a.py", "from aiida_sicmlip.workflows.training.training import TrainingWorkChain"),
        ("data/a.py", "from aiida_sicmlip.calculations import training"),
        ("workflows/a.py", "from aiida_sicmlip.cli import main"),
        (
            "tools/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aiida_sicmlip.workflows import w",
        ),
    ],
)
def test_checker_finds_wrong_directions(tmp_path: Path, name: str, text: str) -> None:
    root = write_package(tmp_path, {name: text})
    assert len(wrong_directions(root)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("science/a.py", "import numpy\nfrom aiida_sicmlip.common import constants\nfrom . import b"),
        (
            "parsers/a.py",
            "from aiida_sicmlip.science.dynamics.dcd import read_dcd\nfrom aiida_sicmlip.science import io",
        ),
        ("cli/a.py", "import click\nfrom aiida_sicmlip.workflows import w"),
    ],
)
def test_checker_accepts_right_directions(tmp_path: Path, name: str, text: str) -> None:
    assert wrong_directions(write_package(tmp_path, {name: text})) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("science/labels/a.py", "from aiida_sicmlip.science.training import b"),
        ("science/a.py", "def f():\n    from aiida_sicmlip.science.bias.b import c"),
        ("workflows/exploration/a.py", "from ..active_learning.b import c"),
    ],
)
def test_checker_finds_wrong_rooms(tmp_path: Path, name: str, text: str) -> None:
    assert len(wrong_rooms(write_package(tmp_path, {name: text}))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("science/training/a.py", "from aiida_sicmlip.science.labels.b import c"),
        ("science/labels/a.py", "from aiida_sicmlip.science.settings import Settings\nfrom . import b"),
        ("data/a.py", "from aiida_sicmlip.science.bias.b import c"),
    ],
)
def test_checker_accepts_right_rooms(tmp_path: Path, name: str, text: str) -> None:
    assert wrong_rooms(write_package(tmp_path, {name: text})) == []


def test_checker_finds_circles(tmp_path: Path) -> None:
    files = {
        "science/a.py": "from aiida_sicmlip.science import b",
        "science/b.py": "def f():\n    from aiida_sicmlip.science.c import g",
        "science/c.py": (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aiida_sicmlip.science.a import h\n"
            "from aiida_sicmlip.science.d import i"
        ),
        "science/d.py": "",
        "data/x.py": "from aiida_sicmlip.science import a",
    }
    assert set(circle(write_package(tmp_path, files))) == {f"{PACKAGE}.science.{name}" for name in "abc"}


def test_checker_follows_imports_through_modules(tmp_path: Path) -> None:
    files = {
        "workflows/a.py": "from aiida_sicmlip.calculations import b",
        "calculations/b.py": "from aiida_sicmlip.science.c import g",
        "science/c.py": "import torch\ndef g():\n    import dscribe",
        "workflows/d.py": "def f():\n    from aiida_sicmlip.science.c import g",
    }
    root = write_package(tmp_path, files)
    assert heavy_imports(root, f"{PACKAGE}.workflows.a") == {"torch"}
    assert heavy_imports(root, f"{PACKAGE}.workflows.d") == set()


def test_checker_finds_calls_at_import(tmp_path: Path) -> None:
    files = {"tools/a.py": "import aiida\naiida.load_profile()", "tools/b.py": "def f():\n    load_profile()"}
    assert calls_at_import(write_package(tmp_path, files), "load_profile") == [f"{PACKAGE}.tools.a:2"]


def test_checker_finds_personal_paths() -> None:
    home = "/ho" + "me/someone/data"
    assert personal_paths(f"path = '{home}' # /usr/share/espresso/pseudo") == [home]
