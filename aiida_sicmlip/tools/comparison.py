"""Whether two nodes hold the same, or two processes gave it, and by how much they differ where they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.training_checkpoint import TrainingCheckpointData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.labels.comparison import compare_datasets
from aiida_sicmlip.science.training.weight_comparison import WeightComparison, compare_weights
from aiida_sicmlip.tools.versions import changes, recorded_versions, surroundings

NOT_COMPARED = (orm.RemoteData, CompiledPotentialData, ContinuationData, TrainingCheckpointData)
"""Places on a machine, machine code, and states that hold more than the numbers of a run."""
LEFT_OUT_LABELS = ("retrieved",)
"""Output files with times and host names in them; what counts in them has nodes of its own."""
PASSING = ("second", "time", "date", "version", "host", "path", "folder", "creator", "device", "threads", "walltime")
"""A key that holds one of these says when, where or with what something ran, not what came out."""


@dataclass(frozen=True)
class Difference:
    """What the comparison of two nodes found.

    name: link label of the nodes.
    identical: whether they hold the same, to the last bit.
    text: by how much they differ, in words.
    decisive: whether it decides that two processes gave the same; what is only reported beside a result does not.
    """

    name: str
    identical: bool
    text: str
    decisive: bool = True


@dataclass(frozen=True)
class Reproduction:
    """A process and the one that ran with its inputs again.

    original: the earlier process.
    again: the later one.
    versions: name, then and now, of each version that differs.
    machine: name, then and now, of what differs in where they ran.
    outputs: what they made, compared.
    """

    original: orm.ProcessNode
    again: orm.ProcessNode
    versions: list[tuple[str, str, str]]
    machine: list[tuple[str, str, str]]
    outputs: list[Difference]

    @property
    def identical(self) -> bool:
        """Whether the same came out, to the last bit; what is only reported of it does not count."""
        results = [output for output in self.outputs if output.decisive]
        return bool(results) and all(output.identical for output in results)


def reproduction(original: orm.ProcessNode, again: orm.ProcessNode) -> Reproduction:
    """Return the comparison of two processes that have ended."""
    return Reproduction(
        original,
        again,
        changes(recorded_versions(original), recorded_versions(again)),
        changes(surroundings(original), surroundings(again)),
        compare_outputs(original, again),
    )


def compare_outputs(first: orm.ProcessNode, second: orm.ProcessNode) -> list[Difference]:
    """Return the comparison of what two processes made, by link label; what says when and where is left out."""
    one, other = _outputs(first), _outputs(second)
    decisive = _decisive(one)
    differences = []
    for name in sorted(set(one) | set(other)):
        if name not in one or name not in other:
            has, lacks = (first, second) if name in one else (second, first)
            text = f"made by <{has.pk}> only, not by <{lacks.pk}>"
            differences.append(Difference(name, False, text, name in decisive))
        elif not isinstance(one[name], NOT_COMPARED):
            differences.append(replace(compare_contents(name, one[name], other[name]), decisive=name in decisive))
    return differences


def _decisive(outputs: Mapping[str, orm.Data]) -> set[str]:
    """Return which outputs are the result: a model, else all but dictionaries, which report, else all there is."""
    compared = {name: node for name, node in outputs.items() if not isinstance(node, NOT_COMPARED)}
    models = {name for name, node in compared.items() if isinstance(node, PotentialData)}
    results = {name for name, node in compared.items() if not isinstance(node, orm.Dict)}
    return models or results or set(compared)


def compare_contents(name: str, first: orm.Data, second: orm.Data) -> Difference:
    """Return the comparison of two nodes under the name of their link."""
    if type(first) is not type(second):
        return Difference(name, False, f"a {type(first).__name__} and a {type(second).__name__}")
    parts = [part for part in _parts(first, second) if part is not None]
    return Difference(name, not parts, "; ".join(parts) if parts else _same(first))


def weights_text(weights: WeightComparison) -> str:
    """Return the comparison of the weights of two models in words."""
    if weights.identical:
        return f"identical weights, all {weights.count} numbers"
    parts = []
    if weights.different:
        parts.append(
            f"{weights.different} of {weights.count} weights differ, by up to {weights.largest:.2g} (in "
            f"`{weights.where}`), root mean square {weights.relative:.2g} of the weights'"
        )
    if weights.unmatched:
        parts.append(
            f"other tensors: {', '.join(weights.unmatched[:4])}{', ...' if len(weights.unmatched) > 4 else ''}"
        )
    return "; ".join(parts)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested dictionaries under dotted names."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from flat(entry, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _outputs(process: orm.ProcessNode) -> dict[str, Any]:
    """Return what a process made, by link label."""
    links = process.base.links.get_outgoing(link_type=(LinkType.CREATE, LinkType.RETURN)).all()
    return {link.link_label: link.node for link in links if link.link_label not in LEFT_OUT_LABELS}


def _same(node: orm.Data) -> str:
    """Return that two nodes are the same, with what they are."""
    if isinstance(node, PotentialData):
        return f"identical weights, all {sum(array.size for array in node.weights().values())} numbers"
    if isinstance(node, orm.Dict):
        return "the same to the last bit, besides what says when and where"
    return "the same to the last bit"


def _parts(first: Any, second: Any) -> Iterator[str | None]:
    """Yield in words in what two nodes of one type differ."""
    if isinstance(first, PotentialData):
        weights = compare_weights(first.weights(), second.weights())
        yield None if weights.identical else weights_text(weights)
    elif isinstance(first, LabelledDataSetData):
        yield from _datasets(first, second)
    elif isinstance(first, SegmentTrajectoryData):
        yield _trajectories(first, second)
    elif isinstance(first, orm.ArrayData):
        one, other = ({name: node.get_array(name) for name in node.get_arraynames()} for node in (first, second))
        yield from _mappings(one, other)
    elif isinstance(first, orm.StructureData):
        yield _structures(first, second)
    elif isinstance(first, orm.Dict):
        yield from _mappings(dict(flat(first.get_dict())), dict(flat(second.get_dict())))
    elif isinstance(first, orm.List):
        yield None if first.get_list() == second.get_list() else "other entries"
    elif hasattr(first, "value"):
        yield None if first.value == second.value else f"{first.value!r} and {second.value!r}"
    elif first.base.repository.hash() != second.base.repository.hash():
        yield "other content of the file"


def _datasets(first: LabelledDataSetData, second: LabelledDataSetData) -> Iterator[str]:
    """Yield in what two data sets differ."""
    comparison = compare_datasets(first.frames(), second.frames())
    if comparison.only_first or comparison.only_second:
        yield (f"{len(comparison.only_first)} and {len(comparison.only_second)} configurations are not in the other")
    if comparison.labels:
        energy, forces = (
            max(label.energy for label in comparison.labels),
            max(label.forces for label in comparison.labels),
        )
        yield f"{len(comparison.labels)} labels differ, by up to {energy:.2g} eV and {forces:.2g} eV/A"
    if not comparison.same_order:
        yield "another order"


def _trajectories(first: SegmentTrajectoryData, second: SegmentTrajectoryData) -> str | None:
    """Return in what two trajectories differ; chaos makes any difference grow along them."""
    if first.n_frames == second.n_frames and first.base.repository.hash() == second.base.repository.hash():
        return None
    common = range(min(first.n_frames, second.n_frames))
    apart = []
    for one, other in zip(first.frames(common), second.frames(common), strict=True):
        fractional = (one.positions - other.positions) @ np.linalg.inv(one.cell.array)
        shift = (fractional - np.round(fractional)) @ one.cell.array
        apart.append(float(np.linalg.norm(shift, axis=1).max(initial=0.0)))
    away = [index for index, distance in enumerate(apart) if distance > 0]
    lengths = "" if first.n_frames == second.n_frames else f"{first.n_frames} and {second.n_frames} frames; "
    if not away:
        return f"{lengths}the common frames are the same" if lengths else None
    return f"{lengths}apart from frame {away[0]} of {len(apart)} on, by up to {max(apart):.2g} A"


def _structures(first: orm.StructureData, second: orm.StructureData) -> str | None:
    """Return in what two structures differ."""
    one, other = first.get_ase(), second.get_ase()
    if list(one.symbols) != list(other.symbols):
        return f"{first.get_formula()} and {second.get_formula()}, or another order of atoms"
    apart = max(np.abs(one.positions - other.positions).max(), np.abs(one.cell.array - other.cell.array).max())
    return f"positions differ by up to {apart:.2g} A" if apart else None


def _mappings(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what two mappings of numbers, arrays and words differ, at most four entries by name."""
    names = [name for name in sorted(set(first) | set(second)) if not any(word in name.lower() for word in PASSING)]
    texts = []
    for name in names:
        if name not in first or name not in second:
            texts.append(f"`{name}` is there once only")
            continue
        one, other = first[name], second[name]
        try:
            numbers = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
        except (TypeError, ValueError):
            if not (np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other):
                texts.append(f"`{name}` is {_short(one)} and {_short(other)}")
            continue
        if numbers[0].shape != numbers[1].shape:
            texts.append(f"`{name}` has the shapes {numbers[0].shape} and {numbers[1].shape}")
        elif not np.array_equal(*numbers, equal_nan=True):
            apart = np.nanmax(np.abs(numbers[0] - numbers[1]))
            values = f": {one:.6g} and {other:.6g}" if numbers[0].ndim == 0 else ""
            texts.append(f"`{name}` differs by up to {apart:.2g}{values}")
    yield from texts[:4]
    if len(texts) > 4:
        yield f"{len(texts) - 4} more entries differ"


def _short(value: Any) -> str:
    """Return a value on at most forty characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
