"""Why a process failed: its own message, or what scheduler, shell and program wrote where it has none."""

from __future__ import annotations

import re

from aiida import orm

from aiida_sicmlip.common.killed_jobs import SCHEDULER_STDERR, cause_of_end

CAUSES = {
    "memory": "the machine ran out of memory",
    "time": "the walltime was over",
    "cancelled": "the scheduler or a user cancelled it",
    "kill": "it was killed with signal 9, as a machine without memory does",
}
_NO_PROGRAM = re.compile(r"no such file or directory|command not found|permission denied|cannot execute", re.I)
_NO_SPACE = re.compile(r"no space left on device|disk quota exceeded|file size limit exceeded|file too large", re.I)
_SIGNAL = re.compile(r"segmentation fault|aborted|bus error|illegal instruction|floating point exception", re.I)
# pw.x frames its message with lines of percent signs.
_FRAMED = re.compile(r"%%%%+\n(.*?)\n\s*%%%%", re.S)


def failure_message(node: orm.ProcessNode) -> str:
    """Return why a process did not finish well: its own message, its exception, or who killed it."""
    if node.exit_message:
        return str(node.exit_message)
    lines = [line.strip() for line in (node.exception or "").splitlines() if line.strip()]
    if lines:
        return f"excepted: {lines[-1]}"
    state = node.process_state.value if node.process_state is not None else "it has not begun"
    if node.is_killed and node.process_status:
        return f"{state}: {node.process_status}"
    return f"status {node.exit_status}" if node.exit_status else state


def job_messages(job: orm.CalcJobNode, *further: str) -> str:
    """Return what scheduler and shell wrote, and the text of ``further`` retrieved files; empty where there is none."""
    if "retrieved" not in job.outputs:
        return ""
    repository = job.outputs.retrieved.base.repository
    name = job.get_option("scheduler_stderr") or SCHEDULER_STDERR
    names = repository.list_object_names()
    return "\n".join(
        repository.get_object_content(each, mode="rb").decode("utf-8", errors="replace")
        for each in (name, *further)
        if each in names
    )


def diagnose_failure(words: str) -> tuple[str | None, str]:
    """Return what ended a job, from the text of :func:`job_messages`: the kind and a message without a full stop.

    The kind is `program` (it could not be started, or stopped with a message of its own), `disk`, one of
    :func:`~aiida_sicmlip.common.killed_jobs.cause_of_end`, `signal`, or None where nothing is said.
    """
    framed = _FRAMED.search(words)
    lines = [line.strip() for line in words.splitlines() if line.strip()]

    def line_with(pattern: re.Pattern[str]) -> str | None:
        return next((line for line in lines if pattern.search(line)), None)

    if (line := line_with(_NO_SPACE)) is not None:
        return "disk", f"the disk or a quota of the work folder is full (`{line}`)"
    if framed is not None:
        return "program", f"pw.x stopped: `{' '.join(framed[1].split())}`"
    if (line := line_with(_NO_PROGRAM)) is not None:
        return "program", f"the program could not be started (`{line}`)"
    cause = cause_of_end(words)
    if cause is not None:
        return cause, CAUSES[cause]
    if (line := line_with(_SIGNAL)) is not None:
        return "signal", f"it was ended by a signal (`{line}`)"
    if lines:
        return None, f"its last message is `{lines[-1]}`"
    return None, "neither the program nor the scheduler left a message"
