"""What depends on a node, in the graph of a whole run, against walks from node to node."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.lineage import RoundOfRun, affected_by, configurations_of_dataset, lineage_of_model
from benchmarks.lineage_graph import Graph, write_run
from tests.graphs.dependence import Dependence, label_behind, sources_of_label

ROUNDS, LABELS, VALIDATION, WALKERS = 3, 4, 2, 2


@pytest.fixture(scope="module")
def graph(aiida_profile) -> Graph:
    aiida_profile.reset_storage()
    return write_run(ROUNDS, LABELS, VALIDATION, WALKERS)


@pytest.fixture(scope="module")
def walked(graph: Graph) -> dict[int, list[tuple[set[int], set[int]]]]:
    """For each configuration of each data set, what its label and frame are from, and all that it depends on."""
    dependence, found = Dependence(), {}
    sources: dict[int, set[int]] = {}
    for dataset in orm.QueryBuilder().append(LabelledDataSetData).all(flat=True):
        found[dataset.pk] = []
        for place in range(dataset.n_frames):
            label, _ = label_behind(dataset, place)
            if label.pk not in sources:
                sources[label.pk] = set(sources_of_label(label).values())
            found[dataset.pk].append((sources[label.pk], dependence.of_configuration(dataset, place)))
    return found


def test_lineage_is_what_a_walk_finds(graph: Graph) -> None:
    for index, pk in enumerate(graph.models):
        model = orm.load_node(pk)
        lineage = lineage_of_model(model)
        assert lineage.model.round == RoundOfRun(graph.run, index)
        assert [earlier.potential for earlier in lineage.earlier] == graph.models[:index]
        assert {name: len(found) for name, found in lineage.sets.items()} == {
            "training": LABELS * (index + 1),
            "validation": VALIDATION,
        }
        for name, found in lineage.sets.items():
            dataset = model.creator.inputs[f"{name}_set"]
            for entry in found:
                label, call = label_behind(dataset, entry.index)
                sources = sources_of_label(label)
                named = {key: getattr(entry, key, None) for key in sources if not key.startswith("pseudos")}
                assert named == {key: pk for key, pk in sources.items() if key in named}
                assert entry.added_by == call.pk
                assert entry.level_of_theory == call.inputs.level_of_theory.pk
                assert (entry.step, entry.time) == (10 * entry.frame, pytest.approx(0.01 * entry.frame))


def test_a_label(graph: Graph) -> None:
    """A label of round 0 is in all training sets after it, and drove all later runs."""
    found = affected_by(orm.load_node(graph.labels[0][1]))
    assert found.kinds == ("label",)
    assert [one.model.potential for one in found.models] == graph.models
    for index, one in enumerate(found.models):
        training = one.sets["training"]
        size = LABELS * (index + 1)
        assert training.dataset == graph.training_sets[index]
        assert (training.n_frames, training.n_own, training.n_driven) == (size, 1, size - LABELS)
        assert training.share_own == pytest.approx(1 / size)
        assert np.flatnonzero(training.own).tolist() == [1]
    last = affected_by(orm.load_node(graph.labels[-1][0]))
    assert [one.model.potential for one in last.models] == graph.models[-1:]


def nodes_of(graph: Graph) -> dict[str, list[int]]:
    """Return nodes of every kind that is followed."""
    return {
        "labels": [graph.labels[0][0], graph.labels[1][LABELS], graph.labels[2][3]],
        "structures": [graph.structures[1][2]],
        "trajectories": [graph.trajectories[0][1], graph.trajectories[1][0]],
        "variables": graph.variables,
        "models": graph.models,
        "compiled": graph.compiled,
        "others": [graph.code, graph.pseudopotential, graph.bootstrap],
    }


@pytest.mark.parametrize("kind", ["labels", "structures", "trajectories", "variables", "models", "compiled", "others"])
def test_every_dependence_is_found(graph: Graph, walked, kind: str) -> None:
    """Configuration by configuration, and no more than there are."""
    for pk in nodes_of(graph)[kind]:
        found = affected_by(orm.load_node(pk))
        by_pk = {one.dataset: one for one in found.datasets}
        for dataset, configurations in walked.items():
            every = [pk in depends for _, depends in configurations]
            assert (dataset in by_pk) == any(every)
            if any(every):
                assert by_pk[dataset].own.tolist() == [pk in sources for sources, _ in configurations]
                assert (by_pk[dataset].own | by_pk[dataset].driven).tolist() == every
        affected = {
            dataset for dataset, configurations in walked.items() if any(pk in all_ for _, all_ in configurations)
        }
        trained = [
            model
            for model, *sets in zip(graph.models, graph.training_sets, graph.validation_sets, strict=True)
            if affected & set(sets) and model != pk
        ]
        assert [one.model.potential for one in found.models] == trained


def test_a_data_set(graph: Graph) -> None:
    """What was made of it holds all of it; runs that its model drove come on top."""
    found = affected_by(orm.load_node(graph.training_sets[0]))
    by_pk = {one.dataset: one for one in found.datasets}
    assert graph.training_sets[0] not in by_pk
    second = by_pk[graph.training_sets[1]]
    assert second.own.tolist() == [True] * LABELS + [False] * LABELS
    assert second.driven.tolist() == [False] * LABELS + [True] * LABELS
    assert [one.model.potential for one in found.models] == graph.models
    assert found.models[0].sets["training"].share_own == 1


def test_what_is_not_followed(graph: Graph) -> None:
    with pytest.raises(InputError, match="is a Int, which is not followed"):
        affected_by(orm.Int(1).store())
    calculation = orm.load_node(graph.labels[0][0]).creator
    assert affected_by(calculation).kinds == ("label",)


def test_sets_of_a_model_are_in_their_order(graph: Graph) -> None:
    found = configurations_of_dataset(orm.load_node(graph.training_sets[-1]))
    assert [entry.label for entry in found] == [pk for labels in graph.labels for pk in labels[:LABELS]]
