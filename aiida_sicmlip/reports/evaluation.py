"""Evaluations as text and tables: errors by round, defect, element and region, rare events, and the worst frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.common.new_files import write_new
from aiida_sicmlip.reports.text import number, table
from aiida_sicmlip.science.evaluation.metrics import N_WORST, EnergyErrors, ForceErrors, energy_errors, force_errors
from aiida_sicmlip.science.evaluation.regions import AtomRegions
from aiida_sicmlip.tools.evaluations import IMPORTED, Evaluation

GROUPINGS = ("round", "defect", "species", "region")
"""Groupings of errors: of configurations, or of atoms."""

_NO_ROUND = "no round"
_NO_HOST = "no host"


@dataclass(frozen=True)
class GroupErrors:
    """Errors on one group of configurations or atoms.

    by: one of :data:`GROUPINGS`.
    name: of the group.
    n_frames: number of configurations with such atoms.
    forces: errors of the forces on the atoms.
    energies: errors of the energies; None for groups of atoms.
    """

    by: str
    name: str
    n_frames: int
    forces: ForceErrors
    energies: EnergyErrors | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, one level deep; energies are None for groups of atoms."""
        of_energies = self.energies or EnergyErrors(0, None, None, None)
        values = {"by": self.by, "group": self.name, **asdict(of_energies), **asdict(self.forces)}
        return {**values, "n_frames": self.n_frames}


def grouped_errors(evaluation: Evaluation, by: str) -> list[GroupErrors]:
    """Return the errors on each group of configurations (by round or defect) or atoms (by species or region).

    Configurations that were imported are one group, ``imported``. Regions are those of rare events, which make up all
    atoms of configurations that fit a host, and by distance from a defect, which make them up once more.

    :param by: one of :data:`GROUPINGS`.
    :raises InputError: if it is not one of them.
    """
    if by not in GROUPINGS:
        raise InputError(f"Errors are not told by `{by}`. {nearest_name(by, GROUPINGS)}")
    return list(_frame_groups(evaluation, by) if by in ("round", "defect") else _atom_groups(evaluation, by))


def worst_configurations(evaluation: Evaluation, count: int = N_WORST) -> list[dict[str, Any]]:
    """Return the configurations with the largest force MAE, the worst first, with what identifies their sources.

    Keys: ``index``, ``force_mae`` (eV/A), ``force_max`` (eV/A), ``energy_error`` (eV/atom, with its sign), ``defect``,
    and those of :func:`~aiida_sicmlip.tools.datasets.source_columns` that exist.
    """
    mae, largest = evaluation.force_mae_per_frame, evaluation.force_max_per_frame
    energy, defects = evaluation.energy_errors, evaluation.defects
    return [
        {
            "index": int(index),
            "force_mae": float(mae[index]),
            "force_max": float(largest[index]),
            "energy_error": float(energy[index]),
            "defect": defects[index],
            **evaluation.sources[index],
        }
        for index in np.argsort(-mae, kind="stable")[:count]
    ]


def evaluation_report(evaluation: Evaluation, groupings: Sequence[str] = GROUPINGS) -> dict[str, Any]:
    """Return an evaluation as plain values for JSON.

    Keys: `pk`, `uuid`, `potential` and `dataset` (PKs), `results` (output of the calculation), `groups` (a
    list of :class:`GroupErrors` as dicts) and `worst` (see :func:`worst_configurations`).
    """
    groups = [group.to_dict() for by in groupings for group in grouped_errors(evaluation, by)]
    return {
        "pk": evaluation.pk,
        "uuid": evaluation.uuid,
        "potential": evaluation.potential,
        "dataset": evaluation.dataset,
        "results": evaluation.results,
        "groups": groups,
        "worst": worst_configurations(evaluation),
    }


def write_groups(path: Path, evaluation: Evaluation, groupings: Sequence[str] = GROUPINGS) -> None:
    """Write the errors of all groups as CSV, one group a line; energies in eV/atom, forces in eV/A."""
    rows = [group.to_dict() for by in groupings for group in grouped_errors(evaluation, by)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_new(path, text.getvalue())


def evaluation_text(evaluation: Evaluation, groupings: Sequence[str] = GROUPINGS) -> str:
    """Return the tables of an evaluation: all errors and those of groups, rare events, committee, worst frames."""
    results = evaluation.results
    title = (
        f"Evaluation <{evaluation.pk}>: potential <{evaluation.potential}> on data set <{evaluation.dataset}>, "
        f"{len(evaluation.n_atoms)} configurations, {len(evaluation.symbols)} atoms"
    )
    parts = [title, "", _groups_table(evaluation, groupings)]
    if results.get("energy_offset_fitted"):
        parts.append("Energies are compared after the best shift of each element.")
    if results.get("n_without_host"):
        parts.append(f"{results['n_without_host']} configurations fit no perfect crystal: they have no regions.")
    if "rare_events" in results:
        parts += ["", "Rare events", _rare_events_table(results["rare_events"])]
        reason = results["rare_events"]["migrating"]["reason"]
        if reason is not None:
            parts.append(f"No score for migrating atoms: {reason}")
    if "committee" in results:
        parts += ["", _committee_table(results["committee"])]
    return "\n".join([*parts, "", *_worst_lines(evaluation)])


def _frame_groups(evaluation: Evaluation, by: str) -> Iterator[GroupErrors]:
    """Yield the groups of configurations: rounds in their order, defects by name, what has neither last."""
    if by == "round":
        pairs = zip(evaluation.rounds, evaluation.defects, strict=True)
        keys = [str(index) if index is not None else _roundless(defect) for index, defect in pairs]
        # Numbers by their value, then what is none.
        names = sorted(set(keys), key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    else:
        keys = evaluation.defects
        starts = {str(source["start_structure"]) for source in evaluation.sources if "start_structure" in source}
        names = [*sorted(starts), *sorted(set(keys) - starts)]
    members = np.array(keys)
    per_atom = [energies / evaluation.n_atoms for energies in _energies(evaluation)]
    for name in names:
        frames = members == name
        energies = energy_errors(per_atom[0][frames], per_atom[1][frames])
        yield GroupErrors(by, name, int(frames.sum()), _forces(evaluation, frames[evaluation.frame_of_atom]), energies)


def _atom_groups(evaluation: Evaluation, by: str) -> Iterator[GroupErrors]:
    """Yield the groups of atoms: elements by name, or regions; regions in which there is no atom too."""
    if by == "species":
        masks = {str(symbol): evaluation.symbols == symbol for symbol in np.unique(evaluation.symbols)}
    else:
        regions = AtomRegions(evaluation.region, evaluation.distance_to_defect, evaluation.near_defect, [])
        masks = dict(regions.of_rare_events)
        masks |= {_region_name(name, evaluation): mask for name, mask in regions.by_distance.items()}
        if not regions.known.all():
            masks[_NO_HOST] = ~regions.known
    for name, mask in masks.items():
        n_frames = len(np.unique(evaluation.frame_of_atom[mask]))
        yield GroupErrors(by, name, n_frames, _forces(evaluation, mask), None)


def _region_name(name: str, evaluation: Evaluation) -> str:
    """Return what a region by distance is called: with the distances where these are known."""
    if name != "near_defect":
        return name
    distances = " or ".join(f"{distance:g}" for distance in evaluation.near_defect_distances)
    return f"within {distances} A of a defect" if distances else "near a defect"


def _roundless(defect: str) -> str:
    """Return what configurations that were added in no round are grouped under."""
    return IMPORTED if defect == IMPORTED else _NO_ROUND


def _forces(evaluation: Evaluation, mask: np.ndarray) -> ForceErrors:
    return force_errors(evaluation.predicted_forces[mask], evaluation.reference_forces[mask])


def _energies(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    return evaluation.predicted_energies, evaluation.reference_energies


def _groups_table(evaluation: Evaluation, groupings: Sequence[str]) -> str:
    """Return the errors of all and of each group in one table."""
    header = (
        "",
        "configu-\nrations",
        "atoms",
        "forces (eV/A)\nMAE",
        "\nRMSE",
        "\nR2",
        "energies (meV/atom)\nMAE",
        "\nRMSE",
        "\nR2",
    )
    per_atom = [energies / evaluation.n_atoms for energies in _energies(evaluation)]
    everyone = np.ones(len(evaluation.symbols), dtype=bool)
    n_frames = len(evaluation.n_atoms)
    rows = [_group_row(GroupErrors("", "all", n_frames, _forces(evaluation, everyone), energy_errors(*per_atom)))]
    for by in groupings:
        rows.append((f"by {by}", *[""] * (len(header) - 1)))
        rows += [_group_row(group, "  ") for group in grouped_errors(evaluation, by)]
    return table(header, rows)


def _group_row(group: GroupErrors, indent: str = "") -> tuple[str, ...]:
    forces = (group.forces.force_mae, group.forces.force_rmse, group.forces.force_r2)
    cells = [number(value, 4) for value in forces]
    if group.energies is None:
        cells += [""] * 3
    else:
        energies = (group.energies.energy_mae, group.energies.energy_rmse)
        cells += [number(value, 2, 1000.0) for value in energies]
        cells.append(number(group.energies.energy_r2, 4))
    return (f"{indent}{group.name}", str(group.n_frames), str(group.forces.n_atoms), *cells)


def _rare_events_table(scores: dict[str, Any]) -> str:
    header = ("", "atoms", "delta F\n(eV/A)", "delta theta\n(degrees)", "NAC\ndelta F", "\ndelta theta", "P")
    rows = []
    for name, score in scores.items():
        magnitude, direction = score["delta_f"], score["delta_theta"]
        means = (number(magnitude["mean"], 4), number(direction["mean"], 2))
        areas = (number(magnitude["nac"], 4), number(direction["nac"], 4))
        rows.append((name, str(score["n_atoms"]), *means, *areas, number(score["score"], 4)))
    return table(header, rows)


def _committee_table(committee: dict[str, Any]) -> str:
    rows = []
    for name, scale, disagreement in (
        ("forces (eV/A)", 1.0, committee["forces"]),
        ("energies (meV/atom)", 1000.0, committee["energies"]),
    ):
        values = (number(scale * disagreement["mean"], 3), number(scale * disagreement["maximum"], 3))
        rows.append((name, *values, number(disagreement["rank_correlation"], 3)))
    header = ("disagreement", "mean", "largest", "rank correlation\nwith the error")
    return f"Committee of {committee['n_members']}\n{table(header, rows)}"


def _worst_lines(evaluation: Evaluation) -> list[str]:
    """Return the worst configurations with their errors, and with what they are from."""
    worst = worst_configurations(evaluation)
    errors = table(
        ("index", "round", "defect", "force MAE\n(eV/A)", "largest component\n(eV/A)", "energy\n(meV/atom)"),
        [
            (
                str(configuration["index"]),
                str(configuration.get("round", "-")),
                configuration["defect"],
                f"{configuration['force_mae']:.4f}",
                f"{configuration['force_max']:.4f}",
                f"{1000.0 * configuration['energy_error']:.2f}",
            )
            for configuration in worst
        ],
    )
    lines = ["Worst configurations", errors]
    keys = ("label_uuid", "structure_uuid", "trajectory_uuid", "frame", "file_uuid", "file_index")
    shown = [key for key in keys if any(key in configuration for configuration in worst)]
    if not shown:
        return lines
    header = ("index", *(key.removesuffix("_uuid").replace("_", " ") for key in shown))
    rows = [
        (str(configuration["index"]), *(str(configuration.get(key, "-")) for key in shown)) for configuration in worst
    ]
    return [*lines, "", "Their sources (UUIDs; frame: index in the trajectory)", table(header, rows)]
