"""Where the time of a label goes: from what `pw.x` noted and what the nodes say, and the tables of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

STAGES = (
    "work chain made, calculation made",
    "input written and uploaded",
    "submitted, until pw.x starts",
    "pw.x",
    "end seen, files fetched",
    "parsed",
    "closed, work folder cleaned",
)
"""What happens between two times of a label, in their order."""


def stages(labelling: Any, notes: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Return how many s each label spent in each stage.

    :param labelling: the node of the work chain.
    :param notes: for each work folder: job's script written, start and end of `pw.x` (s since 1970).
    """
    found = []
    for chain in labelling.called:
        if "WorkChain" not in chain.process_label:
            continue
        (calculation,) = chain.called_descendants
        written, start, end = notes[calculation.get_remote_workdir()][:3]
        outputs = calculation.base.links.get_outgoing().all_nodes()
        fetched = calculation.outputs.retrieved.ctime.timestamp()
        parsed = max(node.ctime.timestamp() for node in outputs)
        made = [chain.ctime.timestamp(), calculation.ctime.timestamp()]
        times = [*made, written, start, end, fetched, parsed, chain.mtime.timestamp()]
        found.append({name: later - before for name, before, later in zip(STAGES, times[:-1], times[1:], strict=True)})
    return found


def summary(case: Mapping[str, Any]) -> dict[str, float]:
    """Return what one pass through the daemon says: its ratio to the passes by `xargs` before and after, and why.

    Times in s; those of `pw.x` are processor times.
    """
    references, found = case["references"], case["pass"]

    def used(one: Mapping[str, Any]) -> float:
        return mean(note[3] for note in one["notes"].values())

    reference = mean(one["seconds"] for one in references)
    return {
        "seconds": found["seconds"],
        "reference": reference,
        "spread": abs(references[0]["seconds"] - references[1]["seconds"]),
        "ratio": found["seconds"] / reference,
        "daemon": found["daemon_seconds"],
        "program": used(found),
        "program_of_reference": mean(used(one) for one in references),
        "load": mean([one["load"] for one in (*references, found)]),
    }


def report(cases: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables: one line a pass, then the mean time of each stage of a label."""
    lines = [
        "database    workers  at a time  labels  time (s)  xargs (s)  ratio  daemon (s/label)  pw.x, xargs (s)  load",
    ]
    for case in cases:
        one = summary(case)
        xargs = f"{one['reference']:.0f} +- {one['spread'] / 2:.0f}"
        programs = f"{one['program']:.1f}, {one['program_of_reference']:.1f}"
        lines.append(
            f"{case['database']:10s}  {case['workers']:7d}  {case['concurrent']:9d}  {case['labels']:6d}  "
            f"{one['seconds']:8.0f}  {xargs:>9s}  {one['ratio']:5.2f}  {one['daemon']:16.2f}  {programs:>15s}  "
            f"{one['load']:4.1f}"
        )
    head = "".join(f"  {case['database'][:6]} {case['workers']}w {case['concurrent']}c" for case in cases)
    lines += ["", f"{'mean time of a label in s':36s}{head}"]
    for stage in STAGES:
        values = [mean(label[stage] for label in case["pass"]["stages"]) for case in cases]
        columns = "".join(
            f"  {value:{len(case['database'][:6]) + 6}.2f}" for value, case in zip(values, cases, strict=True)
        )
        lines.append(f"{stage:36s}{columns}")
    return "\n".join(lines)
