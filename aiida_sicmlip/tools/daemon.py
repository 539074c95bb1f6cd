"""What the daemon of the profile can hold at once."""

from __future__ import annotations

from aiida.engine.daemon.client import DaemonException, get_daemon_client
from aiida.manage.configuration import get_config_option

SLOTS_OF_A_LABEL = 2
"""A label occupies a slot with its work chain and one with its calculation."""
SLOTS_OF_THE_LOOP = 4
"""The loop, a step of it, and what that step calls hold slots while they wait."""


def daemon_slots() -> int:
    """Return how many processes the running daemon holds at once; that of one worker where none runs."""
    workers = 1
    client = get_daemon_client()
    if client.is_daemon_running:
        try:
            workers = max(1, client.get_number_of_workers())
        except DaemonException:
            workers = 1
    return workers * int(get_config_option("daemon.worker_process_slots"))


def largest_concurrency(slots: int) -> int:
    """Return how many labels fit beside the loop into ``slots``; at least one.

    Processes that wait for children hold their slots: more labels at once than this would never run.
    """
    return max(1, (slots - SLOTS_OF_THE_LOOP) // SLOTS_OF_A_LABEL)
