"""`aiida-sicmlip diff`, `reproduce`, `retrain`, `verify`, `export` and `import`: what they print, and their status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.cli import main
from tests.graphs.trainings import grown, trained

COMMANDS = ("diff", "reproduce", "retrain", "verify", "export", "import")


def command(*words: object, status: int = 0) -> str:
    """Return what `aiida-sicmlip` prints, after a look at its exit status."""
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == status, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture
def labels(aiida_profile_clean, generate_label, labelled_frames):
    return [generate_label(frame) for frame in labelled_frames(3)]


@pytest.fixture
def models(tmp_path: Path, labels, level, training_code):
    """Two models on the same sets, the second without a seed."""
    sets = grown(labels, level, 2), grown(labels[2:], level, 1)
    first = trained(tmp_path / "a", training_code, *sets)
    return first, trained(tmp_path / "b", training_code, *sets, seed=None, scale=0.2)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str) -> None:
    printed = " ".join(command(name, "--help").split())
    assert f"For example: `aiida-sicmlip {name} " in printed


def test_diff(models) -> None:
    first, second = models
    printed = command("diff", first.pk, second.uuid, status=1)
    assert f"seed: <{first.creator.inputs.seed.pk}> for the first model only" in printed
    assert "1 of 2 weights differ" in printed
    assert "identical weights" in command("diff", first.pk, first.pk)
    assert "is 987654, and no node is called that" in command("diff", first.pk, 987654, status=2)


def test_verify(models) -> None:
    first, second = models
    assert command("verify", first.pk).splitlines()[-1] == "everything is in order"
    report = json.loads(command("verify", second.pk, "--json", status=1))
    assert not report["passed"]
    (wrong,) = [check for check in report["checks"] if check["problems"]]
    assert wrong["problems"] == [f"sicmlip.training <{second.creator.pk}> has no input `seed`"]
    printed = command("verify", second.pk, status=1)
    assert "WRONG  calculations took all that decides their results" in printed
    assert "an Int; give" in command("verify", orm.Int(1).store().pk, status=2)


def test_reproduce(models) -> None:
    part = subset_dataset(models[0].creator.inputs.training_set, orm.List([1]))
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    printed = command("reproduce", part.pk, "--plan")
    assert f"to run: subset_dataset <{part.creator.pk}>, which took" in printed and "Nothing was run." in printed
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before
    assert command("reproduce", part.pk).splitlines()[-1] == "reproduced: what came out is identical"
    given = models[0].creator.inputs.seed
    assert "was not created by a process" in command("reproduce", given.pk, status=2)


def test_retrain_says_what_it_would_leave_out(models) -> None:
    model = models[0]
    places = model.creator.inputs.training_set.creator.inputs
    printed = command("retrain", model.pk, "--without", places.label_000001.pk, "--plan")
    assert printed.splitlines() == [
        "training set: without 1 of 2 configurations (indices 1)",
        "validation set: without 0 of 1 configurations",
        "Nothing was run.",
    ]
    both = f"{places.label_000000.pk},{places.label_000001.uuid}"
    assert "no configuration of the training set" in command("retrain", model.pk, "--without", both, status=1)


def test_export_and_import(models, tmp_path: Path) -> None:
    for process in orm.QueryBuilder().append(orm.ProcessNode).all(flat=True):
        if not process.is_sealed:
            process.seal()
    folder = tmp_path / "out"
    printed = command("export", models[0].pk, folder, "--purpose", "Tests.", "--authors", "Nobody", "--without-run")
    assert [Path(line.split()[0]).name for line in printed.splitlines()] == [
        *("potential.nequip.zip", "history.aiida", "model_card.json", "model_card.md")
    ]
    assert "Tests." in (folder / "model_card.md").read_text()
    assert f"Model <{models[0].pk}> ({models[0].uuid}) was here already." in command("import", folder)
    assert "is not an empty folder" in command("export", models[0].pk, folder, status=1)
    assert "holds no model card" in command("import", tmp_path, status=1)
