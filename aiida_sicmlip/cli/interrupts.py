"""Handling of Ctrl-C: a command stops at once, except in blocks that must be completed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = 130
"""Exit status of a program that was interrupted by Ctrl-C, by convention of shells."""
RUNS_GO_ON = "Interrupted. Submitted runs continue; `aiida-sicmlip status PK` shows them."


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay ``KeyboardInterrupt`` by Ctrl-C until the block has finished; a second Ctrl-C is not delayed."""
    pressed = 0

    def note(_: int, __: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
