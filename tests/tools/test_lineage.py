"""Sources of configurations through growth, parts, merges and imports."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from sqlalchemy import event

from aiida_sicmlip.calculations.functions.derive_reference_level import derive_reference_level
from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.import_dataset import import_dataset
from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
from aiida_sicmlip.common.labels import label_of_index
from aiida_sicmlip.common.process_types import TRAINING_CALCULATION
from aiida_sicmlip.science.labels.exchange_formats import write_exchanged_frames
from aiida_sicmlip.tools.lineage import SourceOfLabel, labels_of_dataset, path_to_calculation
from tests.graphs.reference_labels import reference_label


@pytest.fixture
def frames(labelled_frames):
    return labelled_frames(8)


@pytest.fixture
def labels(generate_label, frames):
    return [generate_label(frame) for frame in frames[:5]]


@pytest.fixture
def grown(labels, level):
    """Three labels, and two more in a second call."""
    first = extend_dataset(level, **{label_of_index(place): labels[place] for place in range(3)})
    return extend_dataset(level, previous=first, **{label_of_index(place): labels[place] for place in (3, 4)})


@pytest.fixture
def imported(frames, level, tmp_path: Path):
    """The last three configurations, out of a file."""
    write_exchanged_frames(tmp_path / "set.xyz", frames[5:], [{}] * 3, "extxyz")
    return import_dataset(orm.SinglefileData(tmp_path / "set.xyz").store(), level)


def source_of(label: orm.TrajectoryData, place: int, added_by: int) -> SourceOfLabel:
    calculation = label.creator
    return SourceOfLabel(place, label.pk, calculation.pk, calculation.inputs.structure.pk, added_by=added_by)


def test_growth(grown, labels) -> None:
    calls = [grown.creator.inputs.previous.creator.pk] * 3 + [grown.creator.pk] * 2
    expected = [source_of(label, place, call) for place, (label, call) in enumerate(zip(labels, calls, strict=True))]
    assert labels_of_dataset(grown) == expected


def test_part(grown, labels) -> None:
    part = subset_dataset(grown, orm.List([1, 2, 4]))
    assert [(source.index, source.label) for source in labels_of_dataset(part)] == [
        (0, labels[1].pk),
        (1, labels[2].pk),
        (2, labels[4].pk),
    ]


def test_import(imported) -> None:
    file, call = imported.creator.inputs.file.pk, imported.creator.pk
    assert labels_of_dataset(imported) == [SourceOfLabel(n, file=file, file_index=n, added_by=call) for n in range(3)]


def test_all_of_them_together(grown, imported, labels, level, frames) -> None:
    """A merge of an import and a part, extended, of which again a part is taken; each source fits its content."""
    merged = merge_datasets(dataset_00=imported, dataset_01=subset_dataset(grown, orm.List([0, 3, 4])))
    extended = extend_dataset(level, previous=merged, label_000006=labels[1])
    last = subset_dataset(extended, orm.List([1, 2, 3, 5, 6]))
    sources = labels_of_dataset(last)
    assert [source.index for source in sources] == list(range(5))
    assert [source.file_index for source in sources] == [1, 2, None, None, None]
    assert [source.label for source in sources] == [None, None, labels[0].pk, labels[4].pk, labels[1].pk]
    for source, frame in zip(sources, last.frames(), strict=True):
        if source.label is not None:
            label = orm.load_node(source.label)
            assert float(label.get_array("energy")[-1]) == frame.get_potential_energy()
        else:
            assert frames[5 + source.file_index].get_potential_energy() == frame.get_potential_energy()


def test_given_as_it_is(generate_dataset) -> None:
    part = subset_dataset(generate_dataset(3), orm.List([0, 2]))
    assert labels_of_dataset(part) == [SourceOfLabel(0), SourceOfLabel(1)]


def count_statements(action) -> int:
    """Return how many statements the database is asked while ``action`` runs."""
    from aiida.manage import get_manager

    engine = get_manager().get_profile_storage().get_session().get_bind()
    statements = []

    def note(_connection, _cursor, statement, *_others) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        action()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(statements)


def test_queries_do_not_grow_with_the_labels(grown, labels, level) -> None:
    one = extend_dataset(level, label_000000=labels[0])
    many = extend_dataset(level, **{label_of_index(place): label for place, label in enumerate(labels)})
    asked = [count_statements(lambda dataset=dataset: labels_of_dataset(dataset)) for dataset in (one, many, grown)]
    assert asked[0] == asked[1] > 0
    assert asked[2] <= 2 * asked[0] + 2


def test_path_to_a_file(imported, portable_potential, generate_code) -> None:
    potential = trained_on(imported, portable_potential)
    steps = path_to_calculation(potential, index=2)
    file = imported.creator.inputs.file.pk
    assert [(step.pk, step.what, step.detail) for step in steps[2:]] == [
        (imported.pk, "on the training set", "3 configurations"),
        (file, "whose configuration 2 is from the file", "frame 2 of set.xyz"),
    ]


def test_path_to_a_calculation(grown, labels, portable_potential) -> None:
    steps = path_to_calculation(trained_on(grown, portable_potential), index=4)
    calculation = labels[4].creator
    assert [step.pk for step in steps[3:]] == [labels[4].pk, calculation.pk, calculation.inputs.structure.pk]


def test_path_names_the_reference_potential(frames, edip, generate_code, portable_potential) -> None:
    label = reference_label(frames[0], edip, generate_code(None, "sicmlip"))
    dataset = extend_dataset(derive_reference_level(edip), label_000000=label)
    (source,) = labels_of_dataset(dataset)
    assert (source.label, source.calculation) == (label.pk, label.creator.pk)
    steps = path_to_calculation(trained_on(dataset, portable_potential))
    assert [(step.pk, step.what, step.detail) for step in steps[4:6]] == [
        (label.creator.pk, "computed by", "ReferenceLabelCalculation with sicmlip@localhost"),
        (edip.pk, "by the reference potential", "edip/multi (SiC.edip)"),
    ]


def trained_on(dataset, potential):
    """Return a portable potential that a training on ``dataset`` has made."""
    from aiida.common.links import LinkType

    training = orm.CalcJobNode(process_type=TRAINING_CALCULATION)
    training.base.links.add_incoming(dataset, LinkType.INPUT_CALC, "training_set")
    training.store()
    made = potential.clone()
    made.base.links.add_incoming(training, LinkType.CREATE, "potential")
    return made.store()
