"""The sections of the page of a run: their tables, pictures and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.reports.composition import composition_cells
from aiida_sicmlip.reports.exploration import brake_cells, heating_cells, heating_warnings, walkers_cells
from aiida_sicmlip.reports.potential import errors_cells as potential_errors_cells
from aiida_sicmlip.reports.run.costs import budget_cells, step_cells
from aiida_sicmlip.reports.run.criteria import (
    criteria_cells,
    final_run_cells,
    notes_on_novelty,
    novelty_cells,
    spread_cells,
)
from aiida_sicmlip.reports.run.failures import failure_cells
from aiida_sicmlip.reports.run.figures import OF_FORCES
from aiida_sicmlip.reports.run.material import RunMaterial
from aiida_sicmlip.reports.run.question import threshold_in_words
from aiida_sicmlip.reports.run.tables import errors_cells, notes_on_errors, times_cells
from aiida_sicmlip.reports.run.versions import calculation_cells, code_cells
from aiida_sicmlip.reports.selection import distances_cells, frames_cells, notes_on_selections
from aiida_sicmlip.reports.text import Cells
from aiida_sicmlip.science.labels.states import charge_in_words, spin_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures = Mapping[str, "tuple[Figure | None, str]"]


@dataclass(frozen=True)
class Block:
    """A part of a section.

    kind: `text`, `table`, `figure`, `lines` (as they are, in a fixed width) or `items`.
    content: text, :class:`~aiida_sicmlip.reports.text.Cells`, the name of a figure, or lines.
    caption: what a table or a figure shows.
    """

    kind: str
    content: Any
    caption: str = ""


@dataclass
class Section:
    """A section of the page.

    name: its anchor.
    title: its heading.
    blocks: what it holds.
    empty: what is said where it holds nothing.
    """

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    empty: str = ""

    def table(self, cells: Cells | None, caption: str = "") -> None:
        """Add a table, where there is one."""
        if cells is not None and cells.rows:
            self.blocks.append(Block("table", cells, caption))

    def figure(self, figures: Figures, name: str, caption: str) -> None:
        """Add a picture, or the reason why it could not be drawn."""
        if name in figures:
            figure, reason = figures[name]
            self.blocks.append(
                Block("figure", name, caption) if figure is not None else Block("text", _sentence(reason))
            )

    def add(self, kind: str, content: Any) -> None:
        """Add text, lines or items, where there are any."""
        if content:
            self.blocks.append(Block(kind, content))


def sections_of_run(material: RunMaterial, report: dict[str, Any], figures: Figures) -> list[Section]:
    """Return the sections of the page after question and answer, in their order."""
    return [
        _convergence(material, report, figures),
        _spread(material, figures),
        _energies(figures),
        _exploration(material, figures),
        _parity(report, figures),
        _composition(material),
        _costs(material, report, figures),
        _failures(report),
        _lineage(material, report, figures),
        _reproduce(report),
        _versions(report),
    ]


def structure_cells(question: dict[str, Any]) -> Cells | None:
    """Return the start structures with their hosts."""
    rows = []
    for entry in question["structures"]:
        host = entry["host"]
        label = f" “{entry['label']}”" if entry["label"] not in ("", entry["formula"]) else ""
        in_host = "-" if host is None else f"{host['formula']} <{host['pk']}>, {host['n_atoms']} atoms"
        row = (
            entry["name"],
            entry["defect"],
            f"{entry['formula']} <{entry['pk']}>{label}",
            f"{entry['n_atoms']}",
            in_host,
        )
        rows.append(row)
    return Cells(("start structure", "defect", "cell", "atoms", "host"), rows) if rows else None


def asked_cells(question: dict[str, Any]) -> Cells:
    """Return the thresholds."""
    rows = [(entry["criterion"], threshold_in_words(entry)) for entry in question["criteria"]]
    return Cells(("criterion", "asked"), rows)


def _convergence(material: RunMaterial, report: dict[str, Any], figures: Figures) -> Section:
    run = material.run
    section = Section("convergence", "Convergence by round", empty="No round has begun yet.")
    if run.rounds:
        caption = "Force errors by round, with the threshold that training and validation set have to meet (dashed)."
        if any(entry["criterion"] not in OF_FORCES for entry in report["question"]["criteria"]):
            caption += " Further criteria: filled where they are met, on the green side."
        section.figure(figures, "convergence", caption)
        section.table(criteria_cells(run), "Each criterion by round, with its verdict")
        section.table(errors_cells(run), "Errors of each round's potentials, and what they were trained on")
        section.figure(
            figures,
            "final-run",
            "Errors along the free runs of the last final run: each point is a label, the line is the mean of each "
            "half, which has to stay below the threshold (dashed).",
        )
        section.table(final_run_cells(run), "Free runs with the potentials that met the criteria")
        section.table(novelty_cells(run), "What was new in each round: the guards of diversity look here")
        notes = notes_on_errors(run) + list(notes_on_novelty(run) if novelty_cells(run) is not None else ())
        section.add("items", notes)
    return section


def _spread(material: RunMaterial, figures: Figures) -> Section:
    section = Section("errors", "Errors of single configurations")
    section.figure(
        figures,
        "boxes",
        "Mean absolute error of each configuration by round: boxes from the first to the third quartile, rings beyond "
        "1.5 times that range. The line at 5 meV/atom is the paper's, and no criterion.",
    )
    section.table(spread_cells(material.run), "How the force errors of single configurations are spread")
    return section


def _energies(figures: Figures) -> Section:
    section = Section("energies", "Energies of the data sets")
    section.figure(figures, "energies", "Reference energies of the configurations that each round has added.")
    return section


def _exploration(material: RunMaterial, figures: Figures) -> Section:
    section = Section("exploration", "Exploration and picks", empty="No round has explored yet.")
    if material.run.rounds:
        section.figure(
            figures,
            "space",
            "Where the walkers of each round were in the space of their learned variables, and the frames that were "
            "taken for labels (rings).",
        )
        section.table(
            heating_cells(material.walkers),
            "Temperatures of biased walkers, and the energy that their time steps add, which exact dynamics conserve",
        )
        section.add("items", heating_warnings(material.walkers))
    section.table(
        brake_cells(material.brakes),
        "Disagreement of the committee at which walkers were stopped, from the labels that it had not seen; beyond it "
        "no frame is picked",
    )
    section.table(walkers_cells(material.ends_of_walkers), "How each walker ended: a stop by the brake is no failure")
    if material.selections:
        section.figure(
            figures,
            "picks",
            "Above: how far each training configuration was from all that was known when it was picked, and whether "
            "that distance tells the error. Below: all frames of a round (grey) on the principal axes of their "
            "descriptors, with the training set of that time and the new picks.",
        )
        section.table(frames_cells(material.selections), "Frames that were described, left out and picked")
        section.table(distances_cells(material.selections), "Distances (1 - kernel) at which frames were picked")
        section.add("items", notes_on_selections(material.selections))
    elif material.run.rounds:
        section.add("text", "No round has picked frames yet.")
    return section


def _parity(report: dict[str, Any], figures: Figures) -> Section:
    section = Section("parity", "Parity of the last potential", empty="No potential is trained and evaluated yet.")
    potential = report["potential"]
    if potential is not None:
        for name in ("training", "validation"):
            caption = f"Predicted against reference energies and forces of potential <{potential['pk']}>: {name} set."
            section.figure(figures, f"parity-{name}", caption)
        section.table(potential_errors_cells(potential), f"Errors of potential <{potential['pk']}> on each data set")
    return section


def _composition(material: RunMaterial) -> Section:
    section = Section("composition", "What each round was picked from", empty="No round has picked frames yet.")
    if material.shares:
        section.table(composition_cells(material.shares), "Frames and picks by start structure and temperature")
    return section


def _costs(material: RunMaterial, report: dict[str, Any], figures: Figures) -> Section:
    section = Section("costs", "Costs")
    costs = report["costs"]
    section.table(budget_cells(costs), "Budgets, and what is left of them")
    if material.run.rounds:
        section.figure(figures, "costs", "Wall time and core hours of each round by step.")
        section.table(times_cells(material.run), "Wall time by round")
        section.table(
            step_cells(costs), "All rounds together: calculations that have ended, without those from the cache"
        )
    each = costs["core_hours_per_label"]
    section.add("text", f"A label costs {each:.3g} core hours on average." if each is not None else "")
    return section


def _failures(report: dict[str, Any]) -> Section:
    section = Section("failures", "Failures", empty="Nothing has failed.")
    values = report["failures"]
    section.table(failure_cells(values), "What has failed, why, and what was done about it")
    asked = [entry["labels"] for entry in report["rounds"]]
    if asked:
        numbers = {name: sum(labels[name] for labels in asked) for name in ("asked", "done", "failed", "replaced")}
        counts = ", ".join(f"{number} {name}" for name, number in numbers.items())
        section.add("text", f"Labels of all rounds: {counts}." + ("" if values else " Nothing has failed."))
    section.add("lines", [f"{entry['command']}    # uuid {entry['uuid']}" for entry in values])
    return section


def _lineage(material: RunMaterial, report: dict[str, Any], figures: Figures) -> Section:
    section = Section("lineage", "Lineage of the last potential", empty="No potential is trained yet.")
    if material.lineage is not None:
        section.figure(
            figures, "lineage", "From what drove each round's walkers to the model that was trained on their frames."
        )
        section.add("lines", report["lineage"]["tree"])
        if report["lineage"]["path"]:
            section.add("text", "The way of one configuration, the first of the training set:")
        width = max((len(step["what"]) for step in report["lineage"]["path"]), default=0)
        path = [f"{step['what'].rjust(width)}  <{step['pk']}>  {step['detail']}" for step in report["lineage"]["path"]]
        section.add("lines", path)
    return section


def _reproduce(report: dict[str, Any]) -> Section:
    section = Section("reproduce", "How to check and reproduce it")
    rows = [(f"`{entry['command']}`", entry["what"]) for entry in report["reproduce"]]
    section.table(Cells(("command", "what it does"), rows))
    return section


def _versions(report: dict[str, Any]) -> Section:
    section = Section("versions", "Software, codes and citations")
    values = report["versions"]
    run = ", ".join(f"{name} {version}" for name, version in values["run"].items())
    section.add("text", f"The run was made with {run}." if run else "")
    level = report["question"]["level_of_theory"]
    rows = [
        (name.replace("_", " "), _value(value)) for name, value in (level or {}).items() if value not in (None, {}, "")
    ]
    if rows and (state := report["question"]["state"]) is not None:
        rows += [("charge", charge_in_words(state["charge"])), ("spin", spin_in_words(state["spin"]))]
    section.table(Cells(("level of theory", "value"), rows) if rows else None)
    section.table(calculation_cells(values), "Calculations, the last one of each kind")
    section.table(code_cells(values), "Codes")
    section.add("text", "Please cite:")
    section.add("items", values["citations"])
    return section


def _value(value: Any) -> str:
    """Return a setting on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(entry)}" for name, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)


def _sentence(reason: str) -> str:
    """Return a reason with a capital and a full stop."""
    text = reason.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
