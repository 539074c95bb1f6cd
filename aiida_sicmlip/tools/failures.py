"""Failed processes of a run, at any depth, and how they were handled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiida import orm

from aiida_sicmlip.tools.lineage.creations import in_chunks

WARNING = 700
"""Exit statuses from this one on are warnings: the process has outputs."""


@dataclass(frozen=True)
class CalledProcess:
    """A process below a run.

    pk: of the process.
    uuid: of the process.
    caller: PK of what called it.
    label: of the call.
    process: what it is, such as `PwCalculation`.
    process_type: entry point of what it is.
    state: of the process.
    exit_status: None where it has not finished.
    message: its exit message, empty where there is none.
    """

    pk: int
    uuid: str
    caller: int
    label: str
    process: str
    process_type: str
    state: str
    exit_status: int | None
    message: str

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, and not well; warnings count."""
        return self.state in ("excepted", "killed") or (self.state == "finished" and self.exit_status != 0)

    @property
    def has_outputs(self) -> bool:
        """Whether it is running, has finished well, or with a warning (status 700 and above), which has outputs."""
        return not self.has_failed or (self.exit_status or 0) >= WARNING

    @property
    def reason(self) -> str:
        """Why it failed, as it says itself."""
        return self.message or (f"status {self.exit_status}" if self.exit_status else self.state)


@dataclass(frozen=True)
class Failure:
    """A process that failed and called nothing that failed.

    called: the process.
    step: label under which the run called it, or what called it.
    passed_to: its callers that failed as well, the nearest first.
    again: the process that its caller called next instead; None where there is none.
    caught_by: the nearest caller below the run that has not failed, or with a warning; None where there is none.
    ended_run: whether the run ended by it.
    """

    called: CalledProcess
    step: str
    passed_to: tuple[CalledProcess, ...]
    again: CalledProcess | None
    caught_by: CalledProcess | None
    ended_run: bool


def processes_below(pk: int) -> list[CalledProcess]:
    """Return all processes that a run called, at any depth, in the order in which they were made.

    One query a level for a thousand callers.
    """
    processes: list[CalledProcess] = []
    callers = [pk]
    while callers:
        below = []
        for chunk in in_chunks(callers):
            query = orm.QueryBuilder()
            query.append(orm.WorkChainNode, filters={"id": {"in": chunk}}, project="id", tag="caller")
            named = ("process_label", "process_state", "exit_status", "exit_message", "exception")
            # From a work chain to a process leads nothing but a call.
            query.append(
                orm.ProcessNode,
                with_incoming="caller",
                edge_project="label",
                project=["id", "uuid", "process_type", *(f"attributes.{name}" for name in named)],
            )
            for caller, number, uuid, kind, name, state, status, message, exception, label in query.all():
                text = (message or exception or "").strip().splitlines()
                end = (state or "created", status, text[0] if text else "")
                below.append(CalledProcess(number, uuid, caller, label, name or "process", kind or "", *end))
        processes += below
        callers = [called.pk for called in below]
    return sorted(processes, key=lambda called: called.pk)


def failures_of_run(run: orm.WorkChainNode, processes: Sequence[CalledProcess]) -> list[Failure]:
    """Return what has failed in a run, without those that failed for something that they called.

    :param processes: all of :func:`processes_below`.
    """
    by_pk = {called.pk: called for called in processes}
    failed = [called for called in processes if called.has_failed]
    blamed = {called.caller for called in failed}
    last_of_run = max((called.pk for called in failed if called.caller == run.pk), default=None)
    siblings: dict[tuple[int, str], list[CalledProcess]] = {}
    for called in processes:
        siblings.setdefault((called.caller, called.process_type), []).append(called)
    failures = []
    for called in failed:
        if called.pk in blamed:
            continue
        callers = _callers(called, by_pk)
        passed = []
        for caller in callers:
            if caller.has_outputs:
                break
            passed.append(caller)
        later = [other for other in siblings[called.caller, called.process_type] if other.pk > called.pk]
        # What a work chain runs beside each other differs in its labels; what it runs again does not.
        again = next((other for other in later if _place(other.label) == _place(called.label)), None)
        top = [called, *callers][-1]
        caught = callers[len(passed)] if len(passed) < len(callers) else None
        ended = caught is None and _ended_badly(run) and top.pk == last_of_run
        failures.append(Failure(called, top.label, tuple(passed), again, caught, ended))
    return failures


def _callers(called: CalledProcess, by_pk: dict[int, CalledProcess]) -> list[CalledProcess]:
    """Return the processes between one and the run, the nearest first."""
    callers = []
    while called.caller in by_pk:
        called = by_pk[called.caller]
        callers.append(called)
    return callers


def _place(label: str) -> str:
    """Return a label without the number of an attempt: restarts count `iteration_01`, walkers `segment_00`."""
    stem, _, number = label.rpartition("_")
    return stem if number.isdigit() and stem in ("iteration", "segment") else label


def _ended_badly(run: orm.WorkChainNode) -> bool:
    """Whether a run has failed, and not with a warning."""
    return bool(run.is_excepted or run.is_killed or (run.is_finished and 0 < (run.exit_status or 0) < WARNING))
