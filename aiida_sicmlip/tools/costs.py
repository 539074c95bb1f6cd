"""What a run has cost so far, read from the graph: labels, core hours of DFT, GPU hours, time."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.common.timezone import now

from aiida_sicmlip.common.costs import Costs

TERMINATED = ("finished", "excepted", "killed")
LABELLING = "round\\_%labelling"
"""Labels of the calls that label frames; what stands for `%` is a number, and for replacements a word more."""
FINAL_RUN = "round\\_%final\\_run"
"""Labels of the calls of final runs, which call a labelling of their own."""
DEEPEST = 4
"""Calls between a run and its calculations at the most: loop, step, restarts, and restarts of a part."""
CACHED = "extras._aiida_cached_from"
PER_NODE = re.compile(r"--(?:gpus-per-node[= ]|gres[= ]gpu\b:?)(?:[A-Za-z][\w.-]*:?)?(\d*)")
IN_ALL = re.compile(r"--gpus[= ](?:[A-Za-z][\w.-]*:)?(\d+)")


@dataclass(frozen=True)
class Job:
    """One calculation that has ended: the step of the run that it belongs to, and what it used.

    is_label: whether it belongs to a labelling, of the round or of its final run.
    below: PK of the process that the step called, which is the calculation itself where there is none between.
    """

    pk: int
    step: str
    below: int
    cores: int
    gpus: int
    seconds: float
    is_label: bool = False


@dataclass
class StepCosts:
    """What the calculations of one step of a run used: their number, core hours and GPU hours."""

    calculations: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0


def costs_by_step(jobs: Iterable[Job]) -> dict[str, StepCosts]:
    """Return what the calculations of each step have used, by the label that the run called it under."""
    by_step: dict[str, StepCosts] = {}
    for job in jobs:
        costs = by_step.setdefault(job.step, StepCosts())
        costs.calculations += 1
        costs.core_hours += job.cores * job.seconds / 3600
        costs.gpu_hours += job.gpus * job.seconds / 3600
    return by_step


def costs_of_run(node: orm.WorkChainNode, jobs: Sequence[Job] | None = None) -> Costs:
    """Return what an active-learning run has cost so far.

    Calculations that were taken from the cache cost nothing; those that have not ended are not counted yet.

    A dozen queries, whatever the size of the run.

    :param jobs: its calculations, where they are known already.
    """
    jobs = jobs_of_run(node.pk) if jobs is None else jobs
    labelling = [job for job in jobs if job.is_label]
    ended = node.mtime if node.is_terminated else now()
    return Costs(
        labels=_count_labels(node.pk),
        dft_core_hours=sum(job.cores * job.seconds for job in labelling) / 3600,
        gpu_hours=sum(job.gpus * job.seconds for job in jobs) / 3600,
        wall_hours=(ended - node.ctime).total_seconds() / 3600,
        computed_labels=len({job.below for job in labelling}),
    )


def jobs_of_run(pk: int) -> list[Job]:
    """Return the calculations of a run that have ended and were not taken from the cache, at every depth."""
    return [job for depth in range(1, DEEPEST + 1) for job in _jobs_at(pk, depth)]


def _count_labels(pk: int) -> int:
    """Return how many labels were begun; one that was begun again after an interruption counts once."""
    frames = set()
    for calls in ((LABELLING,), (FINAL_RUN, "labelling")):
        query = orm.QueryBuilder()
        query.append(orm.WorkChainNode, filters={"id": pk}, tag="caller_0")
        for level, label in enumerate(calls, start=1):
            query.append(
                orm.WorkChainNode,
                with_incoming=f"caller_{level - 1}",
                edge_filters={"type": LinkType.CALL_WORK.value, "label": {"like": label}},
                tag=f"caller_{level}",
            )
        query.add_projection(f"caller_{len(calls)}", "id")
        query.append(
            orm.ProcessNode,
            with_incoming=f"caller_{len(calls)}",
            edge_filters={
                "type": {"in": [LinkType.CALL_WORK.value, LinkType.CALL_CALC.value]},
                "label": {"like": "frame\\_%"},
            },
            edge_project="label",
        )
        frames |= {(labelling, label) for labelling, label in query.all()}
    return len(frames)


def _path_to_jobs(pk: int, depth: int) -> orm.QueryBuilder:
    """Return a query from a run over ``depth`` calls to its calculations, with the label of the first call."""
    query = orm.QueryBuilder()
    query.append(orm.WorkChainNode, filters={"id": pk}, tag="caller_0")
    for level in range(1, depth + 1):
        last = level == depth
        link = LinkType.CALL_CALC if last else LinkType.CALL_WORK
        query.append(
            orm.CalcJobNode if last else orm.WorkChainNode,
            with_incoming=f"caller_{level - 1}",
            edge_filters={"type": link.value},
            edge_tag=f"call_{level}",
            tag="job" if last else f"caller_{level}",
        )
    return query


def _jobs_at(pk: int, depth: int) -> list[Job]:
    """Return the calculations that are ``depth`` calls below a run."""
    seconds = _own_seconds(pk, depth)
    on_gpu = _on_gpu(pk, depth)
    query = _path_to_jobs(pk, depth)
    for level in range(1, min(depth, 2) + 1):
        query.add_projection(f"call_{level}", "label")
    for level in range(2, depth):
        query.add_projection(f"caller_{level}", "id")
    attributes = ("process_state", "resources", "custom_scheduler_commands", "last_job_info")
    named = [f"attributes.{attribute}" for attribute in attributes]
    query.add_projection("job", ["id", *named, CACHED, "ctime", "mtime"])
    jobs = []
    for row in query.dict():
        job, calls = row["job"], [row[f"call_{level}"]["label"] for level in range(1, min(depth, 2) + 1)]
        in_final_run = calls[0].endswith("_final_run")
        below = row.get("caller_3" if in_final_run else "caller_2", job)["id"]
        if job["attributes.process_state"] not in TERMINATED or job[CACHED] is not None:
            continue
        resources = job["attributes.resources"] or {}
        gpus = asked_gpus(job["attributes.custom_scheduler_commands"] or "", resources)
        took = seconds.get(job["id"])
        if took is None:
            took = _seconds_of_scheduler(job["attributes.last_job_info"])
        if took is None:
            took = _difference(job["ctime"], job["mtime"])
        machines = int(resources.get("num_machines") or 1)
        jobs.append(
            Job(
                job["id"],
                calls[0],
                below,
                asked_cores(resources),
                gpus or (machines if job["id"] in on_gpu else 0),
                took,
                is_label=calls[1 if in_final_run and depth > 1 else 0].endswith("labelling"),
            )
        )
    return jobs


def _own_seconds(pk: int, depth: int) -> dict[int, float]:
    """Return how long calculations ran, in s, of those whose programs say so."""
    query = _path_to_jobs(pk, depth)
    query.add_projection("job", "id")
    query.append(
        orm.Dict,
        with_incoming="job",
        edge_filters={"type": LinkType.CREATE.value, "label": {"in": ["output_parameters", "results"]}},
        project=["attributes.wall_time_seconds", "attributes.seconds"],
    )
    own = {}
    for job, wall, seconds in query.all():
        value = wall if wall is not None else seconds
        if isinstance(value, (int, float)):
            own[job] = float(value)
    return own


def _on_gpu(pk: int, depth: int) -> set[int]:
    """Return the calculations whose own inputs put them on a GPU: a model compiled for one, or a setting `device`."""
    query = _path_to_jobs(pk, depth)
    query.add_projection("job", "id")
    query.append(
        orm.Data,
        with_outgoing="job",
        edge_filters={"type": LinkType.INPUT_CALC.value, "label": {"in": ["potential", "parameters"]}},
        filters={"attributes.device": "cuda"},
    )
    return set(query.all(flat=True))


def asked_cores(resources: Mapping[str, Any]) -> int:
    """Return how many cores the resources of a job hold."""
    machines = int(resources.get("num_machines") or 1)
    if resources.get("num_cores_per_machine"):
        return machines * int(resources["num_cores_per_machine"])
    total = resources.get("tot_num_mpiprocs") or machines * int(resources.get("num_mpiprocs_per_machine") or 1)
    return int(total) * int(resources.get("num_cores_per_mpiproc") or 1)


def asked_gpus(commands: str, resources: Mapping[str, Any]) -> int:
    """Return how many GPUs lines of a job script ask Slurm for; 0 where they ask for none."""
    match = PER_NODE.search(commands)
    if match is not None:
        # `--gres=gpu` without a number is one.
        return int(match[1] or 1) * int(resources.get("num_machines") or 1)
    match = IN_ALL.search(commands)
    return int(match[1]) if match is not None else 0


def _seconds_of_scheduler(info: Any) -> float | None:
    """Return the wall time in s that the scheduler saw last; None where it did not say."""
    value = info.get("wallclock_time_seconds") if isinstance(info, Mapping) else None
    return float(value) if isinstance(value, (int, float)) else None


def _difference(begin: datetime.datetime, end: datetime.datetime) -> float:
    """Return a time in s; that of a job includes its waiting in the queue."""
    return (end - begin).total_seconds()
