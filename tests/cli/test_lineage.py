"""`aiida-sicmlip lineage` and `affected-by`: what they print, and one message for invalid input."""

from __future__ import annotations

import csv
import html
import io
import json
from pathlib import Path

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_sicmlip.cli import main
from benchmarks.lineage_graph import Graph, write_run


def command(*words: object, status: int = 0) -> str:
    """Return what a command prints, after a look at its exit status."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(scope="module")
def graph(aiida_profile) -> Graph:
    """Two rounds with three new labels for training and two for validation each."""
    aiida_profile.reset_storage()
    return write_run(2, 3, 2, walkers=2)


def test_tree(graph: Graph) -> None:
    lines = command("lineage", graph.models[1]).splitlines()
    assert lines[0] == f"model <{graph.models[1]}>, round 1 of run <{graph.run}>: C, Si, cutoff 5 A,"
    assert f"├─ training set <{graph.training_sets[1]}>: 6 configurations" in lines
    first = lines.index(f"│  ├─ round 0 of run <{graph.run}>: 3 configurations, indices 0-2")
    assert lines[first + 1].startswith("│  │  ├─ labelled with pw@machine, at PBE 30 Ry <")
    several = ", ".join(f"<{pk}>" for pk in graph.trajectories[0])
    assert lines[first + 2] == f"│  │  ├─ frames of 2 trajectories {several}, started from divacancy"
    assert lines[first + 3] == f"│  │  ├─ driven by edip/multi potential <{graph.bootstrap}>"
    assert lines[first + 4] == f"│  │  └─ biased along collective variables <{graph.variables[0]}>"
    driven = f"driven by model <{graph.models[0]}> of round 0, compiled as <{graph.compiled[0]}>"
    assert f"│     ├─ {driven}" in lines
    assert f"├─ validation set <{graph.validation_sets[1]}>: 2 configurations" in lines
    assert lines[-1].endswith(
        f"model <{graph.models[0]}>, round 0 of run <{graph.run}>, trained on data set <{graph.training_sets[0]}>"
    )


def test_the_compiled_model_has_the_lineage_of_the_portable_one(graph: Graph) -> None:
    assert command("lineage", graph.compiled[0]) == command("lineage", orm.load_node(graph.models[0]).uuid)


def test_one_frame(graph: Graph) -> None:
    printed = command("lineage", graph.models[1], "--frame", 3)
    for words in (
        f"training set <{graph.training_sets[1]}>, index 3",
        f"round  1 of run <{graph.run}>",
        f"label  <{graph.labels[1][0]}>",
        "computed by  PwCalculation <",
        f"structure  Si <{graph.structures[1][0]}>",
        f"trajectory  <{graph.trajectories[1][0]}>, frame 0, step 0, 0 ps",
        f"driven by  model <{graph.models[0]}> of round 0",
        f"biased along  collective variables <{graph.variables[1]}>",
    ):
        assert words in printed
    values = json.loads(command("lineage", graph.models[1], "--frame", 3, "--json"))
    assert values["label_uuid"] == orm.load_node(graph.labels[1][0]).uuid
    assert (values["index"], values["model"], values["file_uuid"]) == (3, graph.models[0], None)


def test_all_frames(graph: Graph) -> None:
    table = command("lineage", graph.models[1], "--table").splitlines()
    assert len(table) == 6 + 3
    rows = list(csv.DictReader(io.StringIO(command("lineage", graph.models[1], "--csv", "--set", "validation"))))
    assert [row["label"] for row in rows] == [str(pk) for pk in graph.labels[1][3:]]
    assert rows[0]["trajectory_uuid"] == orm.load_node(int(rows[0]["trajectory"])).uuid
    values = json.loads(command("lineage", graph.models[1], "--json"))
    labels = [entry["label"] for entry in values["sets"]["training"]["configurations"]]
    assert labels == [*graph.labels[0][:3], *graph.labels[1][:3]]
    assert values["model"]["round"] == {"run": graph.run, "index": 1}
    assert [one["potential"] for one in values["earlier"]] == graph.models[:1]


def test_picture(graph: Graph, tmp_path: Path) -> None:
    printed = command("lineage", graph.models[1], "--picture", tmp_path / "rounds.svg")
    assert printed.endswith(f"The rounds are drawn in {tmp_path / 'rounds.svg'}.\n")
    # Letters are drawn as paths, with the words in a comment.
    text = html.unescape((tmp_path / "rounds.svg").read_text())
    for words in ("edip/multi", "2 trajectories", "3 labels", "6 in all", f"of run <{graph.run}>"):
        assert words in text
    assert "names no picture format" in command("lineage", graph.models[1], "--picture", "rounds.txt", status=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("987654",), "is 987654, and no node is called that"),
        (("MODEL", "--frame", "6"), "has no configuration 6; its indices are 0 to 5"),
        (("MODEL", "--frame", "-1"), "has no configuration -1"),
        (("MODEL", "--set", "valdation"), "has no set `valdation`. Did you mean `validation`"),
        (("LABEL",), "a TrajectoryData; give the PK or UUID of a PotentialData or a Compiled"),
    ],
)
def test_what_is_wrong(graph: Graph, words: tuple[str, ...], message: str) -> None:
    named = {"MODEL": str(graph.models[1]), "LABEL": str(graph.labels[0][0])}
    assert message in command("lineage", *(named.get(word, word) for word in words), status=1)


def test_affected(graph: Graph) -> None:
    spoiled = graph.labels[0][1]
    printed = command("affected-by", spoiled)
    assert f"On <{spoiled}> (label) depend 2 models and" in printed
    rows = {line.split()[0]: line for line in printed.splitlines() if line.startswith("<")}
    assert "1 of 3 (33.3%)" in rows[f"<{graph.models[0]}>"]
    assert "1 of 6 (16.7%)" in rows[f"<{graph.models[1]}>"] and "3 (50.0%)" in rows[f"<{graph.models[1]}>"]
    values = json.loads(command("affected-by", spoiled, "--json"))
    assert [one["model"] for one in values["models"]] == graph.models
    indices = {one["dataset"]: (one["own"], one["driven"]) for one in values["datasets"]}
    assert indices[graph.training_sets[1]] == ([1], [3, 4, 5])
    assert values["models"][1]["sets"]["training"]["share_own"] == pytest.approx(1 / 6)


def test_nothing_is_affected(graph: Graph) -> None:
    printed = command("affected-by", orm.StructureData(cell=[[3, 0, 0], [0, 3, 0], [0, 0, 3]]).store().pk)
    assert printed.startswith("No data set and no model depends on <")
    assert "which is not followed; give the PK of one of these" in command(
        "affected-by", orm.Int(1).store().pk, status=1
    )
    assert "is 987654, and no node is called that" in command("affected-by", 987654, status=1)
