"""Data sets made again without some labels: what they hold, what they descend from, and what cannot be removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from sqlalchemy import text

from aiida_sicmlip.calculations.functions.import_dataset import import_dataset
from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import COMPILATION, TRAINING
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.science.labels.exchange_formats import write_exchanged_frames
from aiida_sicmlip.tools.lineage import labels_of_dataset
from aiida_sicmlip.workflows.rerun.retraining import plan_removal, retrained_model, retraining_builder
from tests.graphs.datasets import Learned
from tests.graphs.explorations import Explored
from tests.graphs.processes import output, process
from tests.graphs.trainings import grown, trained


@pytest.fixture
def labels(aiida_profile_clean, generate_label, labelled_frames):
    return [generate_label(frame) for frame in labelled_frames(8)]


def labels_of(dataset) -> list[int | None]:
    return [source.label for source in labels_of_dataset(dataset)]


def descends_from(dataset, node) -> bool:
    query = orm.QueryBuilder().append(orm.Node, filters={"id": dataset.pk}, tag="set")
    return query.append(orm.Node, filters={"id": node.pk}, with_descendants="set").count() > 0


def test_grown_set_grows_again_without_a_label(tmp_path: Path, labels, level, training_code) -> None:
    """Of three steps the first stays as it is; the others are made again, and the removed label is no ancestor."""
    training, validation = grown(labels, level, 2, 2, 2), grown(labels[6:], level, 2)
    model = trained(tmp_path, training_code, training, validation)
    removal = plan_removal(model, [labels[3]])
    assert (removal.removed, removal.remaining) == (
        {"training_set": [3], "validation_set": []},
        {"training_set": 5, "validation_set": 2},
    )
    builder = retraining_builder(removal)
    made = builder.training_set
    assert labels_of(made) == [labels[place].pk for place in (0, 1, 2, 4, 5)]
    kept = [training.frames()[place] for place in (0, 1, 2, 4, 5)]
    assert [frame.get_potential_energy() for frame in made.frames()] == [f.get_potential_energy() for f in kept]
    assert not descends_from(made, labels[3]) and descends_from(training, labels[3])
    first = training.creator.inputs.previous.creator.inputs.previous
    assert made.creator.inputs.previous.creator.inputs.previous.pk == first.pk
    assert builder.validation_set.pk == validation.pk
    assert builder.seed.value == 1 and builder.parameters.get_dict() == model.creator.inputs.parameters.get_dict()


def test_step_of_which_nothing_stays_is_skipped(tmp_path: Path, labels, level, training_code) -> None:
    training = grown(labels, level, 2, 2)
    model = trained(tmp_path, training_code, training, grown(labels[6:], level, 2))
    made = retraining_builder(plan_removal(model, [labels[2].creator, labels[3].creator.inputs.structure])).training_set
    assert made.pk == training.creator.inputs.previous.pk


def test_parts_merges_and_imports(tmp_path: Path, labels, level, training_code, labelled_frames) -> None:
    """A merge of an import and a part, of which again a part is taken, goes through the same steps again."""
    write_exchanged_frames(tmp_path / "set.xyz", labelled_frames(2, seed=9), [{}] * 2, "extxyz")
    file = orm.SinglefileData(tmp_path / "set.xyz").store()
    imported = import_dataset(file, level)
    part = subset_dataset(grown(labels, level, 3, 2), orm.List([0, 1, 3, 4]))
    merged = merge_datasets(dataset_00=imported, dataset_01=part)
    last = subset_dataset(merged, orm.List([1, 2, 3, 5]))
    model = trained(tmp_path, training_code, last, grown(labels[6:], level, 2))
    assert labels_of(last) == [None, labels[0].pk, labels[1].pk, labels[4].pk]

    made = retraining_builder(plan_removal(model, [labels[1]])).training_set
    assert labels_of(made) == [None, labels[0].pk, labels[4].pk]
    assert [source.file_index for source in labels_of_dataset(made)] == [1, None, None]
    assert not descends_from(made, labels[1])
    assert [f.get_potential_energy() for f in made.frames()] == [
        last.frames()[place].get_potential_energy() for place in (0, 1, 3)
    ]

    without_file = retraining_builder(plan_removal(model, [file])).training_set
    assert labels_of(without_file) == [labels[0].pk, labels[1].pk, labels[4].pk]
    assert not descends_from(without_file, file)


def test_label_that_a_part_left_out_already_is_none_of_its_configurations(
    tmp_path: Path, labels, level, training_code
) -> None:
    part = subset_dataset(grown(labels, level, 3), orm.List([0, 2]))
    model = trained(tmp_path, training_code, part, grown(labels[6:], level, 2))
    with pytest.raises(InputError, match=f"depends on node <{labels[1].pk}>"):
        plan_removal(model, [labels[1]])


def test_work_chain_trains_again_where_one_did(tmp_path: Path, labels, level, training_code, generate_code) -> None:
    """Its further sets are made again too, and a fitted prior is left for it to fit anew."""
    training, validation = grown(labels, level, 4), grown(labels[6:], level, 2)
    fixed = grown([labels[0], labels[5]], level, 2)
    chain = process(
        orm.WorkChainNode,
        TRAINING,
        training_set=training,
        validation_set=validation,
        further_sets__fixed_validation=fixed,
        training__code=training_code,
        training__parameters=orm.Dict({"model": {"cutoff": 4.0}}),
        training__seed=orm.Int(5),
        compilation__code=generate_code("sicmlip.compilation"),
        evaluation__code=generate_code("sicmlip.evaluation"),
    )
    model = trained(tmp_path, training_code, training, validation, caller=chain)
    builder = retraining_builder(plan_removal(model, [labels[0]]))
    assert builder.process_class.__name__ == "TrainingWorkChain"
    assert labels_of(builder.training_set) == [label.pk for label in labels[1:4]]
    assert labels_of(builder.further_sets["fixed_validation"]) == [labels[5].pk]
    assert builder.training.seed.value == 5


def test_member_of_a_committee_is_compared_with_the_same_member(tmp_path: Path, labels, level, training_code) -> None:
    sets = grown(labels, level, 2), grown(labels[6:], level, 2)
    chains = [process(orm.WorkChainNode, TRAINING) for _ in range(2)]
    made = {}
    for chain in chains:
        for name in ("potential", "committee_potentials__member_01"):
            model = trained(tmp_path / f"{chain.pk}{name}", training_code, *sets, caller=chain)
            output(chain, name, model)
            made[chain.pk, name] = model
    first, second = chains
    for name in ("potential", "committee_potentials__member_01"):
        assert retrained_model(second, made[first.pk, name]).pk == made[second.pk, name].pk
    alone = trained(tmp_path / "alone", training_code, *sets)
    assert retrained_model(alone.creator, made[first.pk, "potential"]).pk == alone.pk


def test_what_cannot_be_left_out(tmp_path: Path, labels, level, training_code) -> None:
    training, validation = grown(labels, level, 2), grown(labels[6:], level, 2)
    model = trained(tmp_path, training_code, training, validation)
    with pytest.raises(InputError, match=f"depends on node <{labels[4].pk}>"):
        plan_removal(model, [labels[4]])
    with pytest.raises(InputError, match=r"no configuration of the training set <\d+> would remain"):
        plan_removal(model, labels[:2])
    later = trained(tmp_path / "later", training_code, grown(labels[:4], level, 4), validation, initial_potential=model)
    with pytest.raises(InputError, match=f"retrain that first: `aiida-sicmlip retrain {model.pk} --without"):
        retraining_builder(plan_removal(later, [labels[1]]))


@pytest.fixture
def learned(aiida_profile_clean, divacancy, variables, generate_label, labelled_frames) -> Learned:
    return Learned(Explored(divacancy, variables), generate_label, labelled_frames(8))


def test_frames_of_models_that_had_learned_from_it_are_counted(
    tmp_path: Path, learned: Learned, generate_label, labelled_frames, training_code
) -> None:
    """The second round was driven by a model of the first: without a label of that, its frames stay and are counted."""
    first, second = learned.datasets
    other = [generate_label(frame) for frame in labelled_frames(2, seed=30)]
    validation = grown(other, first.creator.inputs.level_of_theory, 2)
    before = trained(tmp_path / "before", training_code, first, validation)
    compilation = process(orm.CalcJobNode, COMPILATION, potential=before)
    (tmp_path / "c.pt2").write_bytes(b"compiled")
    compiled = CompiledPotentialData(str(tmp_path / "c.pt2"), "c.nequip.pt2", species=["C", "Si"], cutoff=4.0)
    output(compilation, "compiled_potential", compiled)
    model = trained(tmp_path / "after", training_code, second, validation)
    drive(second, compiled)
    removal = plan_removal(model, [learned.labels[0]])
    assert removal.removed["training_set"] == [0]
    assert removal.indirect == 2
    assert plan_removal(model, [learned.labels[3]]).indirect == 0
    assert plan_removal(model, [before]).removed["training_set"] == [2, 3]


def drive(dataset, compiled) -> None:
    """Let a compiled model have driven the trajectories of the last two configurations, behind AiiDA's back."""
    session = dataset.backend.get_session()
    sources = labels_of_dataset(dataset)
    insert = "INSERT INTO db_dblink (input_id, output_id, label, type) VALUES (:given, :run, 'potential', 'input_calc')"
    for trajectory in {source.trajectory for source in sources[2:]}:
        run = orm.load_node(trajectory).creator
        session.execute(text(insert), {"given": compiled.pk, "run": run.pk})
    session.commit()
