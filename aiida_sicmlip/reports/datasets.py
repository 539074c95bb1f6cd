"""Data sets as text: what one is, its statistics by round, and how two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.reports.text import number, table
from aiida_sicmlip.science.labels.comparison import DatasetComparison
from aiida_sicmlip.science.labels.level_of_theory import differences
from aiida_sicmlip.science.labels.states import LabelState, charge_in_words, spin_in_words
from aiida_sicmlip.science.labels.statistics import grouped_statistics
from aiida_sicmlip.tools.datasets import Origin, origins_of_dataset

_MOST_LISTED = 20
"""Largest number of indices that are listed."""


def dataset_lines(dataset: LabelledDataSetData) -> list[str]:
    """Return what a data set is: size, creator, levels of theory, and configurations by charge, spin and origin."""
    atoms = dataset.base.attributes.get("n_atoms")
    formulas = ", ".join(f"{formula} ({count})" for formula, count in dataset.formulas.items())
    title = f"Data set <{dataset.pk}>" + (f" `{dataset.label}`" if dataset.label else "")
    rows = {
        "UUID": dataset.uuid,
        "configurations": f"{dataset.n_frames}, {atoms} atoms in all",
        "formulas": formulas,
        "made by": _maker(dataset),
        **{f"level of theory {index}": _level(level) for index, level in enumerate(dataset.levels_of_theory)},
    }
    width = max(map(len, rows))
    lines = [title, *(f"  {name.ljust(width)}  {text}" for name, text in rows.items()), ""]
    lines += [table(("charge", "spin", "level of theory", "configurations"), _state_rows(dataset.state_counts)), ""]
    origins = origins_of_dataset(dataset)
    files = {pk: orm.load_node(pk).filename for pk in {origin.source.file for origin in origins} if pk is not None}
    counts = Counter((_round(origin.round), _from(origin, files)) for origin in origins)
    return [*lines, table(("round", "configurations", "from"), [(r, str(n), f) for (r, f), n in counts.items()])]


def sources_table(dataset: LabelledDataSetData) -> str:
    """Return the sources of every configuration, one a line, as PKs."""
    header = (
        *("index", "round", "start", "label", "calculation", "structure", "trajectory", "frame", "file", "file\nindex"),
        *("charge", "spin", "level"),
    )
    rows = []
    states = dataset.states()
    for origin in origins_of_dataset(dataset):
        source, state = origin.source, states[origin.source.index]
        pks = (source.label, source.calculation, source.structure, source.trajectory)
        electrons = (state.charge, state.spin, state.level)
        cells = (origin.round, origin.start, *pks, source.frame, source.file, source.file_index, *electrons)
        rows.append((str(source.index), *("-" if cell is None else str(cell) for cell in cells)))
    return table(header, rows)


def statistics_report(dataset: LabelledDataSetData) -> dict[str, Any]:
    """Return the statistics of a data set, of all configurations and by round, as plain values for JSON.

    Keys: `pk`, `uuid`, `all` and `rounds`, a list of `round` (None outside of a loop) and `statistics`; see
    :func:`aiida_sicmlip.science.labels.statistics.dataset_statistics`.
    """
    frames = dataset.frames()
    of_all, by_round = grouped_statistics(frames, [origin.round for origin in origins_of_dataset(dataset)])
    return {
        "pk": dataset.pk,
        "uuid": dataset.uuid,
        "all": of_all,
        "rounds": [{"round": index, "statistics": statistics} for index, statistics in by_round.items()],
    }


def statistics_lines(report: dict[str, Any]) -> list[str]:
    """Return the tables of a report of :func:`statistics_report`."""
    rows = [(_round(entry["round"]), entry["statistics"]) for entry in report["rounds"]]
    rows = [*(rows if len(rows) > 1 else []), ("all", report["all"])]
    species = ["all", *report["all"]["species"]]
    pairs = list(report["all"]["min_distances"])
    counts = {LabelState(one["charge"], one["spin"], one["level"]): one["n_frames"] for one in report["all"]["states"]}
    lines = [f"Data set <{report['pk']}>", "", _energies(rows), ""]
    lines += [table(("charge", "spin", "level of theory", "configurations"), _state_rows(counts)), ""]
    header = ["round", *(f"{name}{unit}" for name in species for unit in ("\nmean", "\nrms", "\ngreatest"))]
    forces = [
        (
            name,
            *(number(statistics["forces"].get(s, {}).get(key)) for s in species for key in ("mean", "rms", "greatest")),
        )
        for name, statistics in rows
    ]
    lines += ["Forces (eV/A): length, rms of components", table(header, forces), ""]
    distances = [
        (name, *(number(statistics["min_distances"].get(pair)) for pair in pairs)) for name, statistics in rows
    ]
    lines += ["Least distances (A)", table(("round", *pairs), distances), "", "Composition"]
    lines += [
        f"  {name}: {', '.join(f'{f} ({n})' for f, n in statistics['formulas'].items())}; "
        f"{', '.join(f'{n} {s}' for s, n in statistics['species'].items())}"
        for name, statistics in rows
    ]
    repeated = report["all"]["n_repeated"]
    return [*lines, "", f"Configurations that repeat an earlier one: {repeated}"] if repeated else lines


def comparison_lines(
    first: LabelledDataSetData, second: LabelledDataSetData, comparison: DatasetComparison
) -> tuple[list[str], bool]:
    """Return how two data sets differ, one line a fact, and whether they do."""
    levels = _differences_of_levels(first, second, comparison)
    lines = levels or ["level of theory: the same"]
    lines.append(f"configurations in both: {len(comparison.both)}")
    for node, only in ((first, comparison.only_first), (second, comparison.only_second)):
        lines.append(f"configurations in <{node.pk}> only: {_listed(only)}")
    for label in comparison.labels:
        lines.append(
            f"labels differ: {label.first} of <{first.pk}>, {label.second} of <{second.pk}>: energies by "
            f"{label.energy:.3g} eV, forces by up to {label.forces:.3g} eV/A"
        )
    if comparison.both and not comparison.labels:
        lines.append("labels of the configurations in both: the same")
    if not comparison.same_order:
        lines.append("the configurations in both stand in another order")
    return lines, bool(levels) or not comparison.equal


def _differences_of_levels(
    first: LabelledDataSetData, second: LabelledDataSetData, comparison: DatasetComparison
) -> list[str]:
    """Return how the levels of theory of two data sets differ, one line a fact."""
    one, other = first.levels_of_theory, second.levels_of_theory
    if len(one) == len(other) == 1:
        return [
            f"level of theory: `{name}` is {a!r} in <{first.pk}> and {b!r} in <{second.pk}>"
            for name, a, b in differences(one[0], other[0])
        ]
    lines = [
        f"level of theory {levels.index(level)} of <{node.pk}> is not in the other: {_level(level)}"
        for node, levels, elsewhere in ((first, one, other), (second, other, one))
        for level in levels
        if level not in elsewhere
    ]
    at_first, at_second = first.states(), second.states()
    changed = [here for here, there in comparison.both if one[at_first[here].level] != other[at_second[there].level]]
    if changed:
        lines.append(f"at other levels of theory in <{second.pk}>: configurations of <{first.pk}>: {_listed(changed)}")
    return lines


def _state_rows(counts: Mapping[LabelState, int]) -> list[tuple[str, ...]]:
    """Return a row for each charge, spin and level of theory."""
    return [
        (charge_in_words(state.charge), spin_in_words(state.spin), str(state.level), str(count))
        for state, count in counts.items()
    ]


def _energies(rows: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return the table of sizes, energies and volumes."""
    header = (
        "round",
        "configurations",
        "atoms",
        "energy (eV/atom)\nmean",
        "standard\ndeviation",
        "\nleast",
        "\ngreatest",
        "volume (A^3/atom)\nmean",
        "\nleast",
        "\ngreatest",
    )
    cells = []
    for name, statistics in rows:
        energy, volume = statistics["energy_per_atom"], statistics["volume_per_atom"] or {}
        numbers = [energy[key] for key in ("mean", "standard_deviation", "least", "greatest")]
        numbers += [volume.get(key) for key in ("mean", "least", "greatest")]
        cells.append((name, str(statistics["n_frames"]), str(statistics["n_atoms"]), *map(number, numbers)))
    return table(header, cells)


def _maker(dataset: LabelledDataSetData) -> str:
    """Return what made a data set, and what called that."""
    creator = dataset.creator
    if creator is None:
        return "given as it is"
    text = f"{creator.process_label} <{creator.pk}>"
    for link in creator.base.links.get_incoming(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all():
        text += f", `{link.link_label}` of {link.node.process_label} <{link.node.pk}>"
    return text


def _level(level: dict[str, Any]) -> str:
    """Return a level of theory as one line."""
    points = ", ".join(f"{name} {value}" for name, value in (level["kpoints"] or {}).items())
    settings = ", ".join(f"{name} {value}" for name, value in level["settings"].items())
    parts = [level["program"], level["functional"], points, settings]
    if level["hubbard"]:
        parts.append(f"hubbard {level['hubbard']}")
    return "; ".join(str(part) for part in parts if part)


def _from(origin: Origin, files: dict[int, str]) -> str:
    """Return in words what a configuration is from.

    :param files: names of imported files.
    """
    if origin.source.file is not None:
        return f"file {files[origin.source.file]} <{origin.source.file}>"
    if origin.start is not None:
        return f"walkers from {origin.start}"
    if origin.source.trajectory is not None:
        return "a trajectory"
    return "labels of given structures" if origin.source.label is not None else "given as it is"


def _round(index: int | None) -> str:
    return "-" if index is None else str(index)


def _listed(indices: Sequence[int]) -> str:
    """Return how many indices there are, and the first of them."""
    if not indices:
        return "0"
    listed = ", ".join(map(str, indices[:_MOST_LISTED])) + (", ..." if len(indices) > _MOST_LISTED else "")
    return f"{len(indices)} (indices {listed})"
