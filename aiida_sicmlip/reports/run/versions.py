"""With which versions and codes a run was made, and what to cite for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_sicmlip.common.process_types import EXPLORATION_CALCULATION
from aiida_sicmlip.reports.citations import citations
from aiida_sicmlip.reports.text import Cells
from aiida_sicmlip.tools.failures import CalledProcess
from aiida_sicmlip.tools.versions import recorded_versions, surroundings

_CALCULATIONS = "aiida.calculations:"


def version_values(
    node: orm.WorkChainNode, processes: Sequence[CalledProcess], level: dict[str, Any] | None
) -> dict[str, Any]:
    """Return versions, codes and citations of a run as plain values.

    Of each kind of calculation the first and the last one that have ended well are looked at. Keys: `run` (versions),
    `calculations` (`process`, `pk`, `versions`, and where it ran), `codes` (`label`, `pk`, `uuid`, `plugin`), and
    `citations`.
    """
    chosen: dict[str, list[CalledProcess]] = {}
    for called in processes:
        if called.process_type.startswith(_CALCULATIONS) and called.state == "finished" and called.exit_status == 0:
            chosen.setdefault(called.process_type, []).append(called)
    calculations, codes, used = [], {}, {(level or {}).get("program", "")}
    for kind, of_kind in chosen.items():
        for called in {entry.pk: entry for entry in (of_kind[0], of_kind[-1])}.values():
            process = orm.load_node(called.pk)
            entry = {"process": called.process, "pk": called.pk, "versions": recorded_versions(process)}
            calculations.append({**entry, "where": surroundings(process)})
            links = process.base.links.get_incoming(link_type=LinkType.INPUT_CALC)
            code = next((link.node for link in links.all() if link.link_label == "code"), None)
            if code is not None:
                codes[code.pk] = code
            if kind == EXPLORATION_CALCULATION:
                used |= set(links.all_link_labels())
    return {
        "run": recorded_versions(node),
        "calculations": calculations,
        "codes": [
            {"label": code.full_label, "pk": pk, "uuid": code.uuid, "plugin": code.default_calc_job_plugin}
            for pk, code in sorted(codes.items())
        ],
        "citations": citations(used),
    }


def calculation_cells(values: dict[str, Any]) -> Cells | None:
    """Return with which versions and where each kind of calculation ran; the last one where both were the same."""
    rows = []
    entries = values["calculations"]
    for number, entry in enumerate(entries):
        following = entries[number + 1] if number + 1 < len(entries) else None
        if following is not None and all(following[key] == entry[key] for key in ("process", "versions", "where")):
            continue
        versions = ", ".join(f"{name} {value}" for name, value in entry["versions"].items())
        where = ", ".join(f"{name} {value}" for name, value in entry["where"].items() if name != "code")
        rows.append((f"{entry['process']} <{entry['pk']}>", entry["where"].get("code", "-"), versions or "-", where))
    return Cells(("calculation", "code", "versions", "where"), rows) if rows else None


def code_cells(values: dict[str, Any]) -> Cells | None:
    """Return the codes with what identifies them."""
    rows = [(f"{code['label']} <{code['pk']}>", code["plugin"] or "-", code["uuid"]) for code in values["codes"]]
    return Cells(("code", "plugin", "UUID"), rows) if rows else None
