"""Why a job ended whose program could not report it, from the messages of scheduler and shell."""

from __future__ import annotations

import re

SCHEDULER_STDERR = "_scheduler-stderr.txt"
"""AiiDA's name for the file with the messages of scheduler and shell."""
_MEMORY = re.compile(r"oom[-_ ]?kill|out[-_ ]of[-_ ]memory|exceeded memory limit|TERM_MEMLIMIT|\bv?mem\b.*exceed", re.I)
_TIME = re.compile(r"time limit|walltime\b.*exceed|exceed\w*.*\bwalltime|TERM_RUNLIMIT", re.I)
_CANCELLED = re.compile(r"preempt|node[-_ ]?fail|\bcancelled\b", re.I)
_SIGNAL_9 = re.compile(r"\bKilled\b|signal 9\b|SIGKILL")


def cause_of_end(text: str) -> str | None:
    """Return what ended a job: `memory`, `time`, `cancelled` (by scheduler or user), `kill` (signal 9, for no
    given reason), or ``None``.

    :param text: what scheduler and shell wrote to the job's standard error.
    """
    for cause, words in (("memory", _MEMORY), ("time", _TIME), ("cancelled", _CANCELLED), ("kill", _SIGNAL_9)):
        if words.search(text):
            return cause
    return None
