"""A model that an earlier state of the package trained and exported: imported, verified, traced and made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loop.folder import PROFILE, LoopFolder

pytestmark = pytest.mark.program

FOLDER = Path(__file__).parents[1] / "fixtures" / "earlier-archive"


COMPARED = ("round", "segment", "frame", "step", "time", "start", "label_uuid", "calculation_uuid", "structure_uuid")
"""What a configuration of a lineage is told by, with the UUIDs of :data:`SOURCES`."""
SOURCES = ("trajectory_uuid", "exploration_uuid", "potential_uuid", "model_uuid", "collective_variables_uuid")


def configurations(lineage: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what is compared of the configurations of each set."""
    return {
        name: [{key: entry[key] for key in (*COMPARED, *SOURCES)} for entry in content["configurations"]]
        for name, content in lineage["sets"].items()
    }


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    """The model card that was written with the archive."""
    return json.loads((FOLDER / "model_card.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def profile(tmp_path_factory, card, ask) -> Iterator[LoopFolder]:
    """A profile that never ran anything, into which the archive was imported."""
    folder = LoopFolder(Path(tmp_path_factory.mktemp("earlier")))
    folder.set_up()
    assert card["model"]["uuid"] in ask(folder, "import", str(FOLDER))
    yield folder
    folder.kill_daemon()


def test_history_is_in_order(profile, card, ask) -> None:
    run = json.loads((FOLDER / "run.json").read_text(encoding="utf-8"))
    for uuid in (card["model"]["uuid"], run["uuid"]):
        report = json.loads(ask(profile, "verify", uuid, "--json"))
        assert report["passed"]
        assert all(check["examined"] > 0 for check in report["checks"])


def test_lineage_names_the_same_configurations(profile, card, ask) -> None:
    """Label, round, trajectory and frame of each configuration, as the package said when it exported them."""
    expected = json.loads((FOLDER / "lineage.json").read_text(encoding="utf-8"))
    printed = ask(profile, "lineage", card["model"]["uuid"], "--json")
    assert configurations(json.loads(printed)) == configurations(expected)


@pytest.mark.parametrize("command", ["results", "status", "selection"])
def test_run_can_be_asked(profile, command, ask) -> None:
    run = json.loads((FOLDER / "run.json").read_text(encoding="utf-8"))
    assert "round" in ask(profile, command, run["uuid"])


def test_report_of_the_run(profile, ask) -> None:
    run = json.loads((FOLDER / "run.json").read_text(encoding="utf-8"))
    ask(profile, "report", run["uuid"], "--output", "run.html")
    assert "<html" in (profile.path / "run.html").read_text(encoding="utf-8")


def test_training_gives_identical_weights(profile, card) -> None:
    printed = profile.command("aiida-sicmlip", "reproduce", card["model"]["uuid"], "-p", PROFILE)
    assert "potential: identical weights, all " in printed
