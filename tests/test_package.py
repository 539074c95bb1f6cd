"""What the package declares about itself."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

import aiida_sicmlip

DISTRIBUTION = distribution("aiida-sicmlip")
PROJECT = Path(aiida_sicmlip.__file__).parent.parent
EXTENSIONS = "nequip.extension"
"""Group of entry points that name folders of modules; all others name something to call."""
ENTRY_POINTS = sorted(
    (entry for entry in DISTRIBUTION.entry_points if entry.group != EXTENSIONS),
    key=lambda entry: (entry.group, entry.name),
)
PREFIX = "sicmlip."


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda entry: f"{entry.group}:{entry.name}")
def test_entry_point_loads(entry_point: EntryPoint) -> None:
    assert callable(entry_point.load())


def test_aiida_entry_points_carry_the_prefix() -> None:
    names = [entry.name for entry in ENTRY_POINTS if entry.group.startswith("aiida.")]
    assert names
    assert [name for name in names if not name.startswith(PREFIX)] == []


def test_modules_of_models_are_announced_to_nequip() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    announced = project["entry-points"][EXTENSIONS]
    assert len(announced) == 1
    for name, value in announced.items():
        # NequIP loads what is called `init_always` whenever it is imported itself.
        assert name != "init_always"
        extension = EntryPoint(name, value, EXTENSIONS).load()
        assert Path(extension.__path__[0]) == Path(aiida_sicmlip.__file__).parent / "nequip_extension"


def test_parsers_are_named_like_their_calculations() -> None:
    named = {
        group: {entry.name for entry in ENTRY_POINTS if entry.group == group}
        for group in DISTRIBUTION.entry_points.groups
    }
    assert named["aiida.parsers"] <= named["aiida.calculations"]


def test_metadata_is_what_the_plugin_registry_reads() -> None:
    metadata = DISTRIBUTION.metadata
    classifiers = metadata.get_all("Classifier") or []
    assert "Framework :: AiiDA" in classifiers
    assert any(classifier.startswith("Development Status ::") for classifier in classifiers)
    assert metadata["Summary"]
    assert "aiida" in metadata["Keywords"].split(",")


def test_version_is_the_newest_of_the_changelog() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == aiida_sicmlip.__version__ == DISTRIBUTION.version


def test_constraints_lie_in_the_ranges_of_the_project() -> None:
    packaging = pytest.importorskip("packaging.requirements")
    pinned: dict[str, list[str]] = {}
    for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            requirement = packaging.Requirement(line)
            (version,) = (specifier.version for specifier in requirement.specifier)
            pinned.setdefault(requirement.name.lower().replace("_", "-"), []).append(version)
    for text in DISTRIBUTION.requires or []:
        requirement = packaging.Requirement(text)
        versions = pinned[requirement.name.lower().replace("_", "-")]
        assert all(requirement.specifier.contains(version) for version in versions), f"{text} is pinned to {versions}"
