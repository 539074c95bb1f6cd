"""What running something again has shown: versions and machines that changed, and whether the same came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.reports.text import duration
from aiida_sicmlip.tools.comparison import Reproduction, compare_outputs
from aiida_sicmlip.tools.foreign_shell import foreign_shell
from aiida_sicmlip.tools.nodes import input_of, output_of
from aiida_sicmlip.tools.runs import Run, step_seconds
from aiida_sicmlip.tools.versions import changes, present_versions, recorded_versions, surroundings


def preview_lines(process: orm.ProcessNode, code: orm.AbstractCode | None = None) -> list[str]:
    """Return what is known before a process is run again: what differs in versions, and how long it took."""
    lines = [
        f"version of {name}: {then} then, {now} now"
        for name, then, now in changes(recorded_versions(process), present_versions(process, code))
    ]
    if not lines:
        lines = ["versions: none that are known beforehand differ"]
    if code is not None and (original := input_of(process, "code")) is not None and original.pk != code.pk:
        lines.append(f"code: {original.full_label} <{original.pk}> then, {code.full_label} <{code.pk}> now")
    lines += [f"shell of its author, run only with `--trust-shell`: {text}" for text in foreign_shell(process, code)]
    took = (process.mtime - process.ctime).total_seconds()
    return [*lines, f"to run: {process.process_label} <{process.pk}>, which took {duration(took)}"]


def plan_lines(run: Run) -> list[str]:
    """Return what a run would do again, round by round, with the times that it took."""
    lines = []
    for entry in run.rounds:
        times = [f"{name} {duration(seconds)}" for name, seconds in step_seconds(entry).items()]
        lines.append(
            f"round {entry.index}: {entry.labels_asked} DFT calculations; {', '.join(times)}; in all "
            f"{duration(entry.seconds)}"
        )
    labels = sum(entry.labels_asked for entry in run.rounds)
    return [*lines, f"in all: {labels} DFT calculations, {len(run.rounds)} trainings, {duration(run.seconds)}"]


def verdict_lines(comparison: Reproduction) -> list[str]:
    """Return what came out, one line a fact; the last one is the verdict."""
    lines = [f"version of {name}: {then} then, {now} now" for name, then, now in comparison.versions]
    lines += [f"{name}: {then} then, {now} now" for name, then, now in comparison.machine]
    if not comparison.again.is_finished or comparison.again.exit_status != comparison.original.exit_status:
        message = comparison.again.exit_message or comparison.again.process_state.value
        return [
            *lines,
            f"not reproduced: {comparison.again.process_label} <{comparison.again.pk}> ended otherwise: {message}",
        ]
    lines += [f"{output.name}: {output.text}" for output in comparison.outputs]
    lines += _metrics(comparison)
    if comparison.identical:
        besides = "" if all(output.identical for output in comparison.outputs) else ", besides what is reported of it"
        return [*lines, f"reproduced: what came out is identical{besides}"]
    return [*lines, *(f"possible reason: {reason}" for reason in reasons(comparison)), "not identical"]


def reasons(comparison: Reproduction) -> list[str]:
    """Return why a result may differ from an earlier one, as far as the graph says it."""
    causes = []
    if comparison.versions:
        causes.append(f"other versions of {', '.join(name for name, _, _ in comparison.versions)}")
    causes += [f"another {name.replace('_', ' ')}" for name, _, _ in comparison.machine if name != "code"]
    devices = {surroundings(node).get("device", "cpu") for node in (comparison.original, comparison.again)}
    if any("cuda" in device for device in devices):
        causes.append("sums on a GPU, whose order is not fixed in all operations")
    results = [output_of(node, "results") for node in (comparison.original, comparison.again)]
    if any(node is not None and node.get_dict().get("stop_reason") == "wall_time_limit" for node in results):
        causes.append("a training that was ended by its walltime, after as many steps as the machine managed")
    if not causes:
        causes.append("another processor or library of linear algebra, which the graph does not know")
    return causes


def run_lines(original: orm.WorkChainNode, again: orm.WorkChainNode) -> tuple[list[str], bool]:
    """Return how two runs compare, one line a step, and whether all steps gave the same."""
    steps = [_steps(original), _steps(again)]
    lines, identical = [], True
    for label in sorted(set(steps[0]) | set(steps[1])):
        one, other = steps[0].get(label), steps[1].get(label)
        if one is None or other is None:
            lines.append(f"{label}: in <{(original if one is not None else again).pk}> only")
            identical = False
            continue
        different = [output for output in compare_outputs(one, other) if output.decisive and not output.identical]
        identical &= not different
        told = "; ".join(f"{output.name}: {output.text}" for output in different[:3])
        told += f"; {len(different) - 3} more outputs" if len(different) > 3 else ""
        lines.append(f"{label}: {told or 'the same'}")
    return [*lines, "reproduced: every step gave the same" if identical else "not identical"], identical


def removal_lines(removed: Mapping[str, Sequence[int]], remaining: Mapping[str, int], indirect: int) -> list[str]:
    """Return which configurations a training without some data removes, and the indirect dependence that remains.

    :param removed: indices of removed configurations, by name of the set.
    :param remaining: number of remaining configurations, by name of the set.
    :param indirect: number of those that are from trajectories of models trained on removed configurations.
    """
    lines = [
        f"{name.replace('_', ' ')}: without {len(indices)} of {len(indices) + remaining[name]} configurations"
        + (f" (indices {', '.join(map(str, indices[:20]))}{', ...' if len(indices) > 20 else ''})" if indices else "")
        for name, indices in removed.items()
    ]
    if indirect:
        lines.append(
            f"not removed: {indirect} of the remaining configurations are from trajectories of models that were "
            "trained on removed configurations; their labels do not depend on these, but their selection does"
        )
    return lines


def _metrics(comparison: Reproduction) -> list[str]:
    """Return the errors of two models side by side, where models were made."""
    models = [output_of(node, "potential") for node in (comparison.original, comparison.again)]
    if None in models:
        return []
    lines = []
    for name in sorted(set(models[0].metrics) & set(models[1].metrics)):
        one, other = models[0].metrics[name], models[1].metrics[name]
        lines.append(
            f"{name} set: force MAE {one['force_mae']:.6f} and {other['force_mae']:.6f} eV/A, "
            f"energy MAE {1000 * one['energy_mae']:.4f} and {1000 * other['energy_mae']:.4f} meV/atom"
        )
    return lines


def _steps(run: orm.WorkChainNode) -> dict[str, orm.ProcessNode]:
    """Return the latest process that a run called under each label."""
    links: Sequence[Any] = run.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    return {link.link_label: link.node for link in sorted(links, key=lambda link: link.node.pk)}
