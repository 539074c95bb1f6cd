"""What Ctrl-C does to a command: it ends at once, but never between two things that belong together."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = 130
"""What a shell expects of a program that Ctrl-C ended."""
RUNS_GO_ON = "Interrupted. Runs that were submitted go on; `aiida-sicmlip status PK` shows them."


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done, and raise ``KeyboardInterrupt`` then; a second one does not wait."""
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
