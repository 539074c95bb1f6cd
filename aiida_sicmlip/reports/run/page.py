"""One self-contained HTML page on a run: no script, no network, readable on paper."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

from aiida_sicmlip.reports.run.figures import figures_of_run
from aiida_sicmlip.reports.run.material import RunMaterial
from aiida_sicmlip.reports.run.sections import asked_cells, sections_of_run, structure_cells
from aiida_sicmlip.reports.run.values import run_report
from aiida_sicmlip.reports.svg import inline_svg
from aiida_sicmlip.reports.text import Cells, duration

TEMPLATES = Path(__file__).parents[1] / "templates"


def run_page(material: RunMaterial) -> str:
    """Return the page of a run as HTML.

    Equal graphs give equal pages, once the run has ended. All text from the graph is escaped. What it costs is said by
    :class:`~aiida_sicmlip.reports.run.material.RunMaterial`; drawing takes a few seconds beside that.
    """
    report = run_report(material)
    figures = figures_of_run(material, report["costs"])
    sections = sections_of_run(material, report, figures)
    titles = {
        block.content: block.caption for section in sections for block in section.blocks if block.kind == "figure"
    }
    drawings = {
        name: inline_svg(figure, f"figure-{name}", titles[name])
        for name, (figure, _) in figures.items()
        if figure is not None and name in titles
    }
    return (
        _environment()
        .get_template("run.html")
        .render(
            report=report,
            sections=sections,
            drawings=drawings,
            numbers=key_numbers(report),
            structures=structure_cells(report["question"]),
            asked=asked_cells(report["question"]),
            style=(TEMPLATES / "run.css").read_text(encoding="utf-8"),
        )
    )


def key_numbers(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers that stand at the top of the page, with what they are."""
    rounds = report["rounds"]
    errors = next((entry["errors"] for entry in reversed(rounds) if entry["errors"]["training"]), None)
    numbers = [(f"{len(rounds)} of at most {report['run']['max_rounds']}", "rounds")]
    for name in ("training", "validation") if errors else ():
        numbers.append((f"{errors[name]['force_mae']:.3f} eV/Å", f"force MAE, {name} set"))  # type: ignore[index]
    sizes = next((entry["configurations"] for entry in reversed(rounds) if entry["configurations"]["training"]), None)
    if sizes is not None:
        numbers.append((f"{sizes['training']} / {sizes['validation'] or '-'}", "configurations, training / validation"))
    done, failed = (sum(entry["labels"][name] for entry in rounds) for name in ("done", "failed"))
    numbers.append((f"{done} / {failed}", "labels done / failed"))
    used = {entry["name"]: entry["used"] for entry in report["costs"]["budgets"]}
    numbers.append((f"{used['dft_core_hours']:.3g} h", "core hours of labels"))
    numbers.append((duration(report["run"]["seconds"]), "wall time"))
    return numbers


def heads(cells: Cells) -> list[list[tuple[str, int]]]:
    """Return the headings of a table, one or two lines of texts with the numbers of columns that they span."""
    above: list[tuple[str, int]] = []
    below: list[tuple[str, int]] = []
    for name in cells.header:
        group, _, own = name.partition("\n") if "\n" in name else ("", "", name)
        if group == "" and own != name and above:
            above[-1] = (above[-1][0], above[-1][1] + 1)
        else:
            above.append((group, 1))
        below.append((own, 1))
    # What stands over one column alone is no group.
    column = 0
    for number, (group, span) in enumerate(above):
        if span == 1:
            above[number] = ("", 1)
            below[column] = (" ".join(filter(None, (group, below[column][0]))).replace("- ", ""), 1)
        column += span
    return [above, below] if any(group for group, _ in above) else [below]


def _environment() -> Any:
    """Return what fills templates in; every text is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"heads": heads, "code": _code, "moment": _moment}
    return environment


def _code(text: Any) -> Any:
    """Return a text as HTML in which what stands between backticks is code, and angstrom has its sign."""
    from markupsafe import Markup, escape

    escaped = re.sub(r"\beV/A\b", "eV/Å", str(escape(text)))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))


def _moment(text: str) -> str:
    """Return a time as people write it."""
    return datetime.datetime.fromisoformat(text).astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
