"""Pure functions that prepare the inputs, outputs and report messages of the steps of a round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_sicmlip.common.labels import dataset_label, frame_label, label_of_index, number_of_segment, segment_label
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.science.evaluation.final_run import FinalRunSettings
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.tools.origins import composition_of_selection
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.training.training import TrainingWorkChain


def nodes_by_segment(exploration: orm.WorkChainNode, name: str) -> dict[str, dict[str, Any]]:
    """Return an output of an exploration by start structure and segment; nothing where it does not have it."""
    outputs = exploration.outputs
    return {structure: dict(nodes) for structure, nodes in outputs[name].items()} if name in outputs else {}


def renumber_segments(structures: Mapping[str, Mapping[str, Any]], first: int) -> dict[str, dict[str, Any]]:
    """Return the nodes of each segment under its number in the whole run, by start structure.

    :param structures: nodes by start structure and segment, where the segment numbers of an exploration start at 0.
    :param first: number, over all rounds, of the first segment of this exploration.
    """
    return {
        name: {segment_label(first + number_of_segment(label)): segments[label] for label in sorted(segments)}
        for name, segments in structures.items()
    }


def committee_inputs(committee: Mapping[str, CompiledPotentialData], evaluation: orm.Dict | None) -> dict[str, Any]:
    """Return the inputs of an exploration that let the committee of its potential stop walkers.

    :param committee: the other members; empty where there is none.
    :param evaluation: of a committee, with which the disagreement is calibrated; None where there is none.
    """
    if not committee:
        return {}
    return {"committee": committee, **({} if evaluation is None else {"evaluation": evaluation})}


def labels_in_order(picks: orm.ArrayData) -> dict[str, list[str]]:
    """Return the link labels of the picked frames for each role, in the order in which they were picked."""
    rows = zip(*(picks.get_array(name) for name in ("role", "segment", "frame")), strict=True)
    labels: dict[str, list[str]] = {role: [] for role in ROLES}
    for role, segment, frame in rows:
        labels[ROLES[int(role)]].append(frame_label(int(segment), int(frame)))
    return labels


def failed_labels(
    picks: orm.ArrayData, picked: Mapping[str, Mapping[str, Any]], labels: Mapping[str, Any]
) -> list[str]:
    """Return the frames whose labels have failed, by role and in the order in which they were picked.

    :param picks: of the round.
    :param picked: structures submitted for labelling, by role and frame.
    :param labels: finished labels by frame.
    """
    in_order = labels_in_order(picks)
    return [frame for role in ROLES for frame in in_order[role] if frame in picked[role] and frame not in labels]


def labels_of_round(labelling: orm.WorkChainNode, replacements: orm.WorkChainNode | None) -> dict[str, Any]:
    """Return the finished labels by frame, those of replacements included; failed labels are left out.

    :param labelling: labelling of the picked frames.
    :param replacements: labelling of the replacements for failed labels; None if there is none.
    """
    labels = dict(labelling.outputs.labels)
    if replacements is not None and "labels" in replacements.outputs:
        labels |= dict(replacements.outputs.labels)
    return labels


def extension(
    previous: LabelledDataSetData | None, labels: Mapping[str, Any], frames: Sequence[str]
) -> dict[str, orm.Data]:
    """Return the inputs that extend a data set: the previous set, if any, and the labels under their indices.

    :param labels: labels by frame.
    :param frames: frames whose labels are added, in order.
    """
    start = 0 if previous is None else previous.n_frames
    extended = {} if previous is None else {"previous": previous}
    return {**extended, **{label_of_index(start + index): labels[frame] for index, frame in enumerate(frames)}}


def known_sets(datasets: Mapping[str, LabelledDataSetData | None]) -> dict[str, Any]:
    """Return the inputs of the description that tell what is labelled.

    :param datasets: by role; None for those that do not exist (yet).
    """
    others = {role: node for role, node in datasets.items() if node is not None and role != "training"}
    training = datasets.get("training")
    return {"other_sets": others, **({} if training is None else {"training_set": training})}


def predicting_potentials(
    settings: SelectionSettings, potential: Any, committee: Mapping[str, CompiledPotentialData]
) -> dict[str, Any]:
    """Return the inputs of the description by which candidates are predicted; none if nothing depends on it.

    :param potential: that explored; a classical one, which explores the first round, has no committee and no doubts.
    :param committee: its other members.
    """
    if not isinstance(potential, CompiledPotentialData) or not (settings.has_window or committee):
        return {}
    return {"potential": potential, **({"committee": committee} if committee else {})}


def selection_inputs(parameters: orm.Dict, exploration: orm.WorkChainNode) -> dict[str, orm.Dict]:
    """Return the settings of the selection, and the bounds of its window that the exploration calibrated.

    Frames may be picked up to the disagreement at which walkers are stopped. Without a calibration, or with one of too
    few labels, the window of the settings holds.
    """
    calibrated = {"thresholds": exploration.outputs.calibration} if "calibration" in exploration.outputs else {}
    return {"parameters": parameters, **calibrated}


def sets_to_extend(
    settings: SelectionSettings,
    datasets: Mapping[str, LabelledDataSetData | None],
    new: Mapping[str, Sequence[str]],
) -> tuple[dict[str, LabelledDataSetData | None], dict[str, LabelledDataSetData]]:
    """Return the set that the new labels of each role extend, and the sets to merge for the training set before that.

    Where validation configurations are replaced, none is extended for them. Replaced ones that become training
    configurations stand behind the earlier training set in the sets to merge, which are named as `merge_datasets` takes
    them; there are none otherwise, nor where no validation label of the round is there to replace any.

    :param datasets: of all earlier rounds, by role.
    :param new: frames of the round that have a label, by role.
    """
    earlier = dict(datasets)
    if settings.validation_update == "extend" or not new["validation"]:
        return earlier, {}
    training, replaced = earlier["training"], earlier["validation"]
    earlier["validation"] = None
    if not settings.trains_on_replaced or training is None or replaced is None:
        return earlier, {}
    return earlier, {dataset_label(0): training, dataset_label(1): replaced}


def message_on_counts(summary: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """Return the report message on the number of picked frames.

    :param summary: summary of the selection.
    :param described: results of the ``DescriptorsCalculation`` that provided the candidates.
    """
    found = described.get("n_with_migrating_atoms", 0)
    picked = summary.get("n_with_migrating_atoms", {})
    hops = f"; {found} have migrating atoms, of which {sum(picked.values())} were picked" if found else ""
    return (
        f"picked {summary['n_training']} of {summary['n_training_asked']} training and "
        f"{summary['n_validation']} of {summary['n_validation_asked']} validation configurations from "
        f"{described['n_frames']} frames, of which {described['n_overlapping']} had overlapping atoms and "
        f"{described['n_filtered']} did not pass the filter{hops}{message_on_window(summary, described)}"
    )


def message_on_window(summary: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """Return what the window of the selection has left out; nothing where it has no bound."""
    if "not_predicted" in described:
        return f"; the window of the selection is not applied, since {described['not_predicted']}"
    window = summary.get("window", {})
    words = {
        "max_disagreement": "n_above_disagreement",
        "max_force": "n_above_force",
        "min_disagreement": "n_below_disagreement",
    }
    parts = [
        f"{window[count]} for `{bound}` {window[bound]:.3g} eV/A"
        for bound, count in words.items()
        if window.get(bound) is not None
    ]
    if not parts:
        return ""
    before = described.get("n_outside_window", 0)
    return f"; outside the window were {before + window['n_outside']} frames: of the candidates {', '.join(parts)}"


def message_on_origins(selection: orm.ProcessNode, picks: orm.ArrayData) -> str:
    """Return the report message on the number of picked frames by start structure and temperature."""
    roles = [ROLES[int(role)] for role in picks.get_array("role")]
    shares = composition_of_selection(selection, roles, picks.get_array("segment").tolist())
    parts = [
        f"{share.origin.structure}{f' at {share.origin.temperature:g} K' if share.origin.temperature else ''}: "
        f"{share.in_words}"
        for share in shares
    ]
    return f"by start structure, {'; '.join(parts)}"


def training_inputs(
    inputs: Mapping[str, Any],
    *,
    seed: orm.Int,
    start: PotentialData | None,
    fixed_validation_set: LabelledDataSetData | None,
    hosts: Mapping[str, orm.StructureData],
    hours_left: float | None,
) -> dict[str, Any]:
    """Return the inputs of the training of a round, except for the training and validation sets.

    :param inputs: inputs of the training that all rounds share.
    :param start: model that the training starts from; None for the one of ``inputs``, if any.
    :param fixed_validation_set: additional set on which the potential is evaluated.
    :param hosts: host crystals that the evaluations use to locate defects.
    :param hours_left: budget of the training and its prolongations; None without a limit.
    """
    of_round = {**inputs, "training": {**inputs["training"], "seed": seed}}
    of_round["evaluation"] = {**inputs["evaluation"], "hosts": hosts}
    if hours_left is not None:
        of_round["prolongation_hours"] = orm.Float(hours_left)
    if start is not None:
        # An earlier model contains its prior.
        of_round["training"].pop("prior", None)
        of_round.pop("prior_settings", None)
        of_round["training"]["initial_potential"] = start
    if fixed_validation_set is not None:
        of_round["further_sets"] = {"fixed_validation": fixed_validation_set}
    return of_round


def labels_of_final_run(inputs: Mapping[str, Any]) -> int:
    """Return the number of labels along the free runs of a final run.

    :param inputs: of the loop.
    """
    settings = FinalRunSettings.from_mapping(inputs["final_run"]["parameters"].get_dict())
    return settings.n_labels * settings.walkers * len(inputs["structures"])


def final_run_inputs(inputs: Mapping[str, Any], exposed: Callable[..., Mapping[str, Any]]) -> dict[str, Any]:
    """Return the inputs of a final run that all rounds share.

    :param inputs: of the loop.
    :param exposed: returns the inputs of the loop that a child takes from a namespace: class, namespace.
    """
    exploration = exposed(ExplorationWorkChain, namespace="exploration")
    walker = dict(exploration["walker"])
    walker["exploration"] = {name: node for name, node in walker["exploration"].items() if name != "bias"}
    return {
        **inputs["final_run"],
        "structures": inputs["structures"],
        "hosts": inputs.get("hosts", {}),
        "max_concurrent": exploration["max_concurrent"],
        "walker": walker,
        "labelling": exposed(LabellingWorkChain, namespace="labelling"),
        "evaluation": exposed(TrainingWorkChain, namespace="training")["evaluation"],
    }


def outputs_of_round(training: Mapping[str, Any], datasets: Mapping[str, LabelledDataSetData | None]) -> dict[str, Any]:
    """Return the outputs of a loop that finishes after a complete round.

    :param training: outputs of the training of the round.
    :param datasets: data sets by role, after the round.
    """
    outputs: dict[str, Any] = {name: training[name] for name in ("potential", "compiled_potential")}
    if "further_compilations" in training:
        outputs["further_compilations"] = dict(training["further_compilations"])
    return outputs | {f"{role}_set": dataset for role, dataset in datasets.items() if dataset is not None}
