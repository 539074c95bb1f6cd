"""The lineage of the models that a real run has trained."""

from __future__ import annotations

import json

import pytest

from tests.graphs.dependence import Dependence, label_behind, sources_of_label

pytestmark = pytest.mark.program


def test_every_model_was_trained_on_what_a_walk_finds(finished_loop, switched) -> None:
    """Training, validation and fixed sets of each model, node by node; the model that drove each frame."""
    from aiida import orm

    from aiida_sicmlip.data.potential import PotentialData
    from aiida_sicmlip.tools.lineage import lineage_of_model

    folder, pk = finished_loop
    with switched(folder):
        run = orm.load_node(pk)
        models = orm.QueryBuilder().append(PotentialData).all(flat=True)
        assert len(models) == len(run.outputs.assessments)
        sources: dict[int, dict[str, int]] = {}
        for model in models:
            lineage = lineage_of_model(model)
            sets = {name: model.creator.inputs[f"{name}_set"] for name in ("training", "validation")}
            sets["fixed_validation"] = run.outputs.fixed_validation_set
            assert lineage.model.sets == {name: dataset.pk for name, dataset in sets.items()}
            assert lineage.model.round.run == pk
            for name, dataset in sets.items():
                assert len(lineage.sets[name]) == dataset.n_frames
                for entry, frame in zip(lineage.sets[name], dataset.frames(), strict=True):
                    label, call = label_behind(dataset, entry.index)
                    assert frame.get_potential_energy() == float(label.get_array("energy")[-1])
                    found = sources.setdefault(label.pk, sources_of_label(label))
                    named = {key: getattr(entry, key, None) for key in found if not key.startswith("pseudos")}
                    assert named == {key: found[key] for key in named}
                    assert entry.level_of_theory == call.inputs.level_of_theory.pk
                    trajectory = orm.load_node(entry.trajectory)
                    assert (entry.step, entry.time) == (
                        trajectory.steps()[entry.frame],
                        pytest.approx(trajectory.times()[entry.frame]),
                    )
        last = max(models, key=lambda model: lineage_of_model(model).model.round)
        earlier = [one.potential for one in lineage_of_model(last).earlier]
        assert earlier == [model.pk for model in models if model.pk != last.pk][: len(earlier)]


def test_a_spoiled_label_is_in_all_models_after_it(finished_loop, switched) -> None:
    from aiida import orm

    from aiida_sicmlip.tools.lineage import affected_by, lineage_of_model

    folder, pk = finished_loop
    with switched(folder):
        run = orm.load_node(pk)
        last = run.outputs.potential
        models = [one.potential for one in (*lineage_of_model(last).earlier, lineage_of_model(last).model)]
        spoiled = lineage_of_model(last).sets["training"][0]
        assert spoiled.round == 0
        found = affected_by(orm.load_node(spoiled.label))
        assert [one.model.potential for one in found.models] == models
        for one in found.models:
            training = one.sets["training"]
            assert training.own.tolist() == [True] + [False] * (training.n_frames - 1)
            walk = Dependence()
            dataset = orm.load_node(training.dataset)
            depends = [spoiled.label in walk.of_configuration(dataset, place) for place in range(dataset.n_frames)]
            assert (training.own | training.driven).tolist() == depends
        code = affected_by(orm.load_node(spoiled.code))
        assert all(part.share_own == 1 for one in code.models for part in one.sets.values())


def test_the_commands(finished_loop, ask) -> None:
    folder, pk = finished_loop
    printed = ask(folder, "results", str(pk))
    model = printed.split("potential  <")[1].split(">")[0]
    tree = ask(folder, "lineage", model, "--picture", "lineage.svg")
    assert "labelled with pw@localhost, at PBE 20 Ry <" in tree
    assert "driven by edip/multi potential <" in tree and "started from " in tree
    assert "round 0" in (folder.path / "lineage.svg").read_text()
    entry = json.loads(ask(folder, "lineage", model, "--frame", "0", "--json"))
    affected = ask(folder, "affected-by", entry["label_uuid"])
    assert f"<{model}>" in affected
