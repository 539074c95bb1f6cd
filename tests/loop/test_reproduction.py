"""A real model, exported and imported into another profile: checked, made again, and trained without a label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.loop.folder import PROFILE, LoopFolder

pytestmark = pytest.mark.program


@pytest.fixture(scope="module")
def exported(finished_loop, switched, ask) -> dict[str, Any]:
    """Two folders with the last model of the run, with and without the run, and what is known of it."""
    from aiida import orm

    from aiida_sicmlip.tools.lineage import labels_of_dataset

    folder, pk = finished_loop
    for name, options in (("model-and-run", ()), ("model", ("--without-run", "--licence", "CC-BY-4.0"))):
        ask(folder, "export", str(pk), name, *options)
    with switched(folder):
        model = orm.load_node(pk).outputs.potential
        sources = labels_of_dataset(model.creator.inputs.training_set)
        labels = [orm.load_node(source.label).uuid for source in sources]
        return {"model": model.uuid, "run": orm.load_node(pk).uuid, "labels": labels}


@pytest.fixture(scope="module")
def other(finished_loop, exported, tmp_path_factory, ask) -> Iterator[LoopFolder]:
    """Another profile, whose daemon does not run, into which the model was imported without its run."""
    other = LoopFolder(Path(tmp_path_factory.mktemp("other")))
    other.set_up()
    printed = ask(other, "import", str(finished_loop[0].path / "model"))
    assert f"({exported['model']})" in printed and "Imported model" in printed
    yield other
    other.kill_daemon()


def test_model_card(finished_loop, exported) -> None:
    """The card names what the graph holds of the model."""
    folder, _ = finished_loop
    card = json.loads((folder.path / "model" / "model_card.json").read_text())
    assert card["model"]["uuid"] == exported["model"]
    assert card["trained_on"]["training"]["n_configurations"] == len(exported["labels"])
    assert set(card["trained_on"]["training"]["by_start_structure"]) <= {"vacancy", "divacancy"}
    # The ramp begins at 60 % of the temperature.
    assert card["valid_range"]["temperature"] == {"least": 300.0, "greatest": 500.0}
    assert card["levels_of_theory"][0]["settings"]["ecutwfc"] == 20.0
    assert [entry["round"] for entry in card["errors"]["by_round"]] == list(range(len(exported["labels"]) // 4))
    text = (folder.path / "model" / "model_card.md").read_text()
    assert "- licence: CC-BY-4.0" in text and "force MAE (eV/A)" in text and "Quantum ESPRESSO" in text
    last = card["errors"]["by_round"][-1]["training"]["force_mae"]
    assert f"| {last:.4f} |" in text


def test_run_is_in_order(finished_loop, ask) -> None:
    folder, pk = finished_loop
    report = json.loads(ask(folder, "verify", str(pk), "--json"))
    assert report["passed"]
    assert all(check["examined"] > 0 for check in report["checks"])


def test_imported_model_is_in_order_and_gives_identical_weights(other, exported, ask) -> None:
    """In a profile that never ran anything, with its own code, the training gives the same to the last bit."""
    assert "everything is in order" in ask(other, "verify", exported["model"])
    printed = other.command("aiida-sicmlip", "reproduce", exported["model"], "-p", PROFILE)
    assert "The daemon is not running: running in this process" in printed
    assert "potential: identical weights, all " in printed
    assert printed.splitlines()[-1].startswith("reproduced: what came out is identical")


def test_training_without_a_label(other, exported, switched) -> None:
    """The new model descends from all labels but one of the last round, and from that one in no way."""
    from aiida import orm

    from aiida_sicmlip.data.potential import PotentialData
    from aiida_sicmlip.tools.lineage import labels_of_dataset

    spoiled = exported["labels"][-1]
    printed = other.command("aiida-sicmlip", "retrain", exported["model"], "--without", spoiled, "-p", PROFILE)
    assert (
        f"training set: without 1 of {len(exported['labels'])} configurations (indices {len(exported['labels']) - 1})"
        in printed
    )
    assert f"configurations in both: {len(exported['labels']) - 1}" in printed
    with switched(other):
        model = orm.load_node(int(printed.split("Made model <")[1].split(">")[0]))
        assert isinstance(model, PotentialData)
        training_set = model.creator.inputs.training_set
        sources = labels_of_dataset(training_set)
        assert [orm.load_node(source.label).uuid for source in sources] == exported["labels"][:-1]
        query = orm.QueryBuilder().append(orm.Node, filters={"id": model.pk}, tag="model")
        ancestors = query.append(orm.TrajectoryData, with_descendants="model", project="uuid").all(flat=True)
        assert spoiled not in ancestors and set(exported["labels"][:-1]) <= set(ancestors)


def test_history_with_the_run_is_in_order(other, finished_loop, exported, ask) -> None:
    """Imported on top of the model alone, it adds the work chains; rounds are known then."""
    folder, _ = finished_loop
    printed = ask(other, "import", str(folder.path / "model-and-run"))
    assert "was here already" in printed
    assert "everything is in order" in ask(other, "verify", exported["run"])


def test_what_was_tampered_with_is_found(other, exported, switched) -> None:
    """A changed file of a data set, a swapped label and a removed seed, each behind AiiDA's back."""
    from aiida import orm
    from sqlalchemy import text

    from aiida_sicmlip.tools.verification import verify

    with switched(other):
        model = orm.load_node(exported["model"])
        training = model.creator
        dataset = training.inputs.validation_set
        storage = model.backend
        key = dataset.base.repository.get_object(dataset.filename).key
        loose = next(path for path in other.path.rglob(f"{key[:2]}/{key[2:]}"))
        content = bytearray(loose.read_bytes())
        content[len(content) // 2] ^= 1
        loose.chmod(0o644)
        loose.write_bytes(bytes(content))
        session = storage.get_session()
        first = training.inputs.training_set.creator
        labels = {link.link_label: link.node.pk for link in first.base.links.get_incoming().all()}
        places = sorted(name for name in labels if name.startswith("label_"))[:2]
        swap = "UPDATE db_dblink SET input_id = :given WHERE output_id = :call AND label = :place"
        for place, other_place in (places, reversed(places)):
            session.execute(text(swap), {"given": labels[other_place], "call": first.pk, "place": place})
        session.execute(text("DELETE FROM db_dblink WHERE output_id = :call AND label = 'seed'"), {"call": training.pk})
        session.commit()
        problems = [problem for check in verify(model) for problem in check.problems]
        assert f"TrainingCalcJob <{training.pk}> has no input `seed`" in problems
        changed = f"file `{dataset.filename}` of LabelledDataSetData <{dataset.pk}> was changed after it was stored"
        assert any(problem.startswith(changed) for problem in problems)
        unlike = f"of data set <{training.inputs.training_set.pk}> is not its label"
        assert sum(unlike in problem for problem in problems) == 2
