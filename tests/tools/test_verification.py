"""Checks of graphs made by hand: what is in order passes, and each thing that is wrong is found by its check."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from sqlalchemy import text

from aiida_sicmlip.common.labels import label_of_index
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.verification import verify
from tests.graphs.datasets import Learned
from tests.graphs.explorations import Explored
from tests.graphs.processes import output, process
from tests.graphs.trainings import grown, trained


@pytest.fixture
def labels(aiida_profile_clean, generate_label, labelled_frames):
    return [generate_label(frame) for frame in labelled_frames(4)]


def problems_of(root) -> dict[str, list[str]]:
    """Return the problems by the first words of the check that found them; checks that found none are left out."""
    return {check.name: check.problems for check in verify(root) if not check.passed}


def extended(level, labels, frames, at_level=None, **inputs) -> LabelledDataSetData:
    """Return a data set of ``frames`` that a calcfunction says it made of ``labels``."""
    places = {label_of_index(place): label for place, label in enumerate(labels)}
    call = process(orm.CalcFunctionNode, "extend_dataset", level_of_theory=level, **places, **inputs)
    return output(call, "result", LabelledDataSetData.from_frames(frames, [at_level or level.get_dict()]))


def test_a_model_in_order(tmp_path: Path, labels, level, training_code) -> None:
    model = trained(tmp_path, training_code, grown(labels, level, 2, 1), grown(labels[3:], level, 1))
    checks = verify(model)
    assert [check.name for check in checks if not check.passed] == []
    examined = {check.name.split(",")[0]: check.examined for check in checks}
    assert examined["every configuration of every data set reaches a label"] == 2 + 3 + 1
    assert examined["data sets hold what their labels say"] == 2 + 3 + 1
    assert examined["no validation configuration is in the training set"] == 1


def test_missing_seed(tmp_path: Path, labels, level, training_code) -> None:
    model = trained(tmp_path, training_code, grown(labels, level, 2), grown(labels[2:], level, 2), seed=None)
    assert list(problems_of(model).values()) == [[f"sicmlip.training <{model.creator.pk}> has no input `seed`"]]


def test_swapped_labels(tmp_path: Path, labels, level, training_code, labelled_frames) -> None:
    """The data set holds the right frames, but its links name each other's labels."""
    dataset = extended(level, [labels[1], labels[0]], labelled_frames(4)[:2])
    found = problems_of(trained(tmp_path, training_code, dataset, grown(labels[2:], level, 2)))
    assert list(found) == ["data sets hold what their labels say, to the last digit"]
    (first, second) = next(iter(found.values()))
    assert first == (
        f"configuration 0 of data set <{dataset.pk}> is not its label <{labels[1].pk}>: positions and energy and "
        "forces differ"
    )
    assert f"configuration 1 of data set <{dataset.pk}> is not its label <{labels[0].pk}>" in second


def test_number_that_is_not_that_of_the_label(tmp_path: Path, labels, level, training_code, labelled_frames) -> None:
    """One force that is another in the last digit is seen."""
    import numpy as np

    frames = labelled_frames(4)[:2]
    forces = frames[1].calc.results["forces"]
    forces[3, 1] = np.nextafter(forces[3, 1], 10.0)
    dataset = extended(level, labels[:2], frames)
    found = problems_of(trained(tmp_path, training_code, dataset, grown(labels[2:], level, 2)))
    assert list(found.values()) == [
        [f"configuration 1 of data set <{dataset.pk}> is not its label <{labels[1].pk}>: forces differ"]
    ]


def test_label_at_another_level(tmp_path: Path, level, training_code, generate_label, labelled_frames) -> None:
    frames = labelled_frames(4)
    labels = [generate_label(frame, ecutwfc=40.0 if place == 1 else 30.0) for place, frame in enumerate(frames)]
    dataset = extended(level, labels[:2], frames[:2])
    found = problems_of(trained(tmp_path, training_code, dataset, grown(labels[2:], level, 2)))
    assert list(found) == ["labels were computed at the level of theory of their data set"]
    assert "`ecutwfc` is 40.0 there and 30.0 here" in next(iter(found.values()))[0]


def test_configuration_without_a_label(tmp_path: Path, labels, level, training_code, labelled_frames) -> None:
    """A calcfunction that took one label made a set of two configurations."""
    dataset = extended(level, labels[:1], labelled_frames(4)[:2])
    found = problems_of(trained(tmp_path, training_code, dataset, grown(labels[2:], level, 2)))
    assert found == {
        "every configuration of every data set reaches a label": [
            f"configuration 1 of data set <{dataset.pk}> leads to no label"
        ]
    }


def test_validation_frame_in_the_training_set(tmp_path: Path, labels, level, training_code) -> None:
    training, validation = grown(labels, level, 3), grown([labels[3], labels[1]], level, 2)
    model = trained(tmp_path, training_code, training, validation)
    assert list(problems_of(model).values()) == [
        [
            f"configuration 1 of the validation set <{validation.pk}> is configuration 1 of the training set "
            f"<{training.pk}>, both of <{model.creator.pk}>"
        ]
    ]


def test_data_from_nowhere_in_a_run(tmp_path: Path, labels, level, training_code) -> None:
    """What a called process took must be an input of the run, or have been made."""
    training, validation = grown(labels, level, 2), grown(labels[2:], level, 2)
    given, lost = (LabelledDataSetData.from_frames(training.frames(), [level.get_dict()]).store() for _ in range(2))
    run = process(orm.WorkChainNode, ACTIVE_LEARNING, start=given)
    for index, dataset in enumerate((given, lost)):
        trained(tmp_path / str(index), training_code, dataset, validation, caller=run)
    found = problems_of(run)
    assert found["what nothing made was given by the user"] == [
        f"LabelledDataSetData <{lost.pk}> was made by nothing and is no input of the user"
    ]
    assert found["no step was called twice"] == [f"<{run.pk}> called `training` 2 times, each to its end"]


def test_changed_attributes_and_files(tmp_path: Path, labels, level, training_code) -> None:
    model = trained(tmp_path, training_code, grown(labels, level, 2), grown(labels[2:], level, 2))
    session = model.backend.get_session()
    change = "UPDATE db_dbnode SET attributes = json_set(attributes, '$.cutoff', 5.5) WHERE id = :pk"
    session.execute(text(change), {"pk": model.pk})
    session.commit()
    session.expire_all()
    found = problems_of(orm.load_node(model.pk))
    assert found == {
        "files and attributes are as they were stored": [
            f"the attributes of PotentialData <{model.pk}> are not those that were stored"
        ]
    }


def test_picked_structure_that_is_another_frame(
    aiida_profile_clean, divacancy, variables, generate_label, labelled_frames
) -> None:
    """Structures of this graph are not the frames that their links name, which is found for each."""
    learned = Learned(Explored(divacancy, variables), generate_label, labelled_frames(6))
    run = learned.selections[0].caller
    found = problems_of(run)["picked structures are the frames that their links name"]
    assert len(found) == 4
    assert all("is not that frame of trajectory" in problem for problem in found)
