"""Predictions beside labels, and where each configuration is from, read from graphs that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.evaluations import IMPORTED, read_evaluation
from tests.graphs.datasets import Learned
from tests.graphs.evaluations import evaluated
from tests.graphs.explorations import Explored


@pytest.fixture
def explored(aiida_profile, divacancy, variables) -> Explored:
    return Explored(divacancy, variables)


@pytest.fixture
def learned(explored: Explored, generate_label, labelled_frames) -> Learned:
    return Learned(explored, generate_label, labelled_frames(6))


def test_predictions_beside_labels_and_their_origin(learned: Learned, edip) -> None:
    """Two imported configurations, then two rounds of two each."""
    other = LabelledDataSetData.from_frames(learned.frames[4:], learned.datasets[1].levels_of_theory).store()
    merged = merge_datasets(dataset_00=other, dataset_01=learned.datasets[1])
    node = evaluated(learned.explored, merged, edip, energy_offsets={"Si": 2.0, "C": -0.5})
    found = read_evaluation(node)
    assert found.rounds == [None, None, 0, 0, 1, 1]
    assert found.defects == [IMPORTED, IMPORTED, "vv", "antisite_pair", "vv", "antisite_pair"]
    assert (found.potential, found.dataset) == (edip.pk, merged.pk)
    assert found.sources[5]["label_uuid"] == learned.labels[3].uuid
    assert found.sources[5]["structure_uuid"] == learned.labels[3].creator.inputs.structure.uuid
    frames = merged.frames()
    assert list(found.n_atoms) == [14] * 6
    assert list(found.symbols) == [symbol for frame in frames for symbol in frame.symbols]
    assert list(found.reference_energies) == [frame.get_potential_energy() for frame in frames]
    np.testing.assert_array_equal(found.reference_forces, np.concatenate([frame.get_forces() for frame in frames]))
    predictions = node.outputs.predictions
    np.testing.assert_array_equal(found.predicted_forces, predictions.get_array("forces"))
    # Energies are compared after the shift of each element: 7 atoms of each.
    np.testing.assert_allclose(found.predicted_energies, predictions.get_array("energies") + 7 * 2.0 - 7 * 0.5)
    np.testing.assert_allclose(found.energy_errors, (found.predicted_energies - found.reference_energies) / 14)
    assert found.force_mae_per_frame == pytest.approx(found.results["force_mae_per_frame"])
    errors = np.abs(found.predicted_forces - found.reference_forces).reshape(6, -1)
    np.testing.assert_allclose(found.force_max_per_frame, errors.max(axis=1))
    assert list(found.frame_of_atom) == [place for place in range(6) for _ in range(14)]


def test_evaluation_without_regions_of_a_set_that_nothing_made(explored: Explored, generate_dataset, edip) -> None:
    """As those that were made before there were any regions."""
    found = read_evaluation(evaluated(explored, generate_dataset(2), edip, regions=False))
    assert set(found.region) == {-1}
    assert np.isnan(found.distance_to_defect).all()
    assert (found.near_defect.any(), found.near_defect_distances) == (False, [])
    assert (found.energy_disagreement, found.force_disagreement, found.atomic_energies) == (None, None, None)
    assert (found.rounds, found.defects) == ([None, None], [IMPORTED, IMPORTED])


def test_evaluation_with_one_distance_for_all_hosts(explored: Explored, generate_dataset, edip) -> None:
    """As those that were made before the distance was one of the host."""
    node = evaluated(explored, generate_dataset(2), edip)
    distance = node.outputs.predictions.get_array("distance_to_defect")
    earlier = evaluated(explored, generate_dataset(2), edip, near_defect_distance=2.5)
    found = read_evaluation(earlier)
    assert found.near_defect_distances == [2.5]
    np.testing.assert_array_equal(found.near_defect, distance <= 2.5)
    assert read_evaluation(node).near_defect_distances == [3.37]


def test_an_evaluation_that_failed(explored: Explored, generate_dataset, edip) -> None:
    node = evaluated(explored, generate_dataset(2), edip)
    node.set_exit_status(420)
    node.set_exit_message("The evaluation stopped with an error")
    with pytest.raises(InputError, match="has no results: The evaluation stopped"):
        read_evaluation(node)


def test_labels_of_given_structures(explored: Explored, edip, labelled_frames, generate_label) -> None:
    frame = labelled_frames(1)[0]
    label = generate_label(frame, structure=orm.StructureData(ase=frame))
    level = orm.Dict({"settings": {}}).store()
    call = explored.process(orm.CalcFunctionNode, "", level_of_theory=level, label_000000=label)
    explored.output(call, "result", LabelledDataSetData.from_frames([frame], [{"settings": {}}]))
    assert read_evaluation(evaluated(explored, call.outputs.result, edip)).defects == ["given structures"]
