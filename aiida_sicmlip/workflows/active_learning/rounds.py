"""What a round hands from step to step, and what it reports of itself: functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_sicmlip.common.labels import frame_label, label_of_index, number_of_segment, segment_label
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.origins import composition_of_selection


def renumber_segments(structures: Mapping[str, Mapping[str, Any]], first: int) -> dict[str, dict[str, Any]]:
    """Return what there is of each segment under its number in the whole run, by start structure.

    :param structures: by start structure, under the numbers of one exploration, which begin at 0.
    :param first: number of that exploration's first segment among those of all rounds.
    """
    return {
        name: {segment_label(first + number_of_segment(label)): segments[label] for label in sorted(segments)}
        for name, segments in structures.items()
    }


def labels_in_order(picks: orm.ArrayData) -> dict[str, list[str]]:
    """Return the link labels of picked frames for each role, in the order in which they were picked."""
    places = zip(*(picks.get_array(name) for name in ("role", "segment", "frame")), strict=True)
    found: dict[str, list[str]] = {role: [] for role in ROLES}
    for role, segment, frame in places:
        found[ROLES[int(role)]].append(frame_label(int(segment), int(frame)))
    return found


def failed_labels(
    picks: orm.ArrayData, picked: Mapping[str, Mapping[str, Any]], labels: Mapping[str, Any]
) -> list[str]:
    """Return the frames whose labels have failed: training before validation, the first picked first.

    :param picks: of the round.
    :param picked: what was to be labelled of them, by role and frame.
    :param labels: those that are done, by frame.
    """
    in_order = labels_in_order(picks)
    return [frame for role in ROLES for frame in in_order[role] if frame in picked[role] and frame not in labels]


def labels_of_round(labelling: orm.WorkChainNode, replacements: orm.WorkChainNode | None) -> dict[str, Any]:
    """Return the labels that are done, by frame; replacements that failed are left out, as all others.

    :param labelling: of the frames that were picked.
    :param replacements: the labelling of what replaces failed ones; None where nothing does.
    """
    labels = dict(labelling.outputs.labels)
    if replacements is not None and "labels" in replacements.outputs:
        labels |= dict(replacements.outputs.labels)
    return labels


def extension(
    previous: LabelledDataSetData | None, labels: Mapping[str, Any], frames: Sequence[str]
) -> dict[str, orm.Data]:
    """Return the data set that is extended, if any, and the labels that extend it, each under its place in the set.

    :param labels: by frame.
    :param frames: those whose labels are added, in order.
    """
    start = 0 if previous is None else previous.n_frames
    extended = {} if previous is None else {"previous": previous}
    return {**extended, **{label_of_index(start + index): labels[frame] for index, frame in enumerate(frames)}}


def message_on_counts(summary: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """Return how many frames were picked of how many.

    :param summary: of the selection.
    :param described: results of the description that it picked from.
    """
    return (
        f"picked {summary['n_training']} of {summary['n_training_asked']} training and "
        f"{summary['n_validation']} of {summary['n_validation_asked']} validation configurations from "
        f"{described['n_frames']} frames, of which {described['n_overlapping']} had overlapping atoms and "
        f"{described['n_filtered']} did not pass the filter"
    )


def message_on_origins(selection: orm.ProcessNode, picks: orm.ArrayData) -> str:
    """Return how many frames a selection picked from which start structure, at which temperature."""
    roles = [ROLES[int(role)] for role in picks.get_array("role")]
    shares = composition_of_selection(selection, roles, picks.get_array("segment").tolist())
    parts = [
        f"{share.origin.structure}{f' at {share.origin.temperature:g} K' if share.origin.temperature else ''}: "
        f"{sum(share.picks.values())} of {share.n_frames} frames"
        for share in shares
    ]
    return f"by start structure, {'; '.join(parts)}"


def training_inputs(
    given: Mapping[str, Any],
    *,
    seed: orm.Int,
    start: PotentialData | None,
    fixed_validation_set: LabelledDataSetData | None,
    hosts: Mapping[str, orm.StructureData],
) -> dict[str, Any]:
    """Return the inputs of a round's training, but for the two sets.

    :param given: what all rounds are given for it.
    :param start: the model that it starts from; None for what is given.
    :param fixed_validation_set: which it is evaluated on, too.
    :param hosts: by which its evaluations tell errors near defects.
    """
    inputs = {**given, "training": {**given["training"], "seed": seed}}
    inputs["evaluation"] = {**given["evaluation"], "hosts": hosts}
    if start is not None:
        # An earlier model has its prior in it.
        inputs["training"].pop("prior", None)
        inputs.pop("prior_settings", None)
        inputs["training"]["initial_potential"] = start
    if fixed_validation_set is not None:
        inputs["further_sets"] = {"fixed_validation": fixed_validation_set}
    return inputs


def outputs_of_round(training: Mapping[str, Any], datasets: Mapping[str, LabelledDataSetData | None]) -> dict[str, Any]:
    """Return what a loop hands out that ends after a complete round.

    :param training: outputs of its training.
    :param datasets: by role, after the round.
    """
    made: dict[str, Any] = {name: training[name] for name in ("potential", "compiled_potential")}
    if "further_compilations" in training:
        made["further_compilations"] = dict(training["further_compilations"])
    return made | {f"{role}_set": dataset for role, dataset in datasets.items() if dataset is not None}
