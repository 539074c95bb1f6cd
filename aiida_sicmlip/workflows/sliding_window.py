"""A work chain that goes on as soon as one of its children has finished, not when all have."""

from __future__ import annotations

from typing import Any

from aiida.engine import ProcessState, WorkChain


class SlidingWindowWorkChain(WorkChain):
    """Run a step again whenever one child terminates, so that a fixed number of children is always at work.

    A step calls :func:`~aiida_sicmlip.workflows.reattach.submit_once` for what should run now, hands the children that
    have not terminated to ``to_context``, and is called again by a ``while_`` when the first of them is done.
    The engine's own behaviour, to wait for all children of a step, leaves machines idle until the slowest has finished.
    """

    _awaitables: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched: set[int] = set()

    def load_instance_state(self, saved_state: Any, load_context: Any) -> None:
        """Watch all children anew after a restart."""
        self._watched = set()
        super().load_instance_state(saved_state, load_context)

    def _action_awaitables(self) -> None:
        """Register a callback for each child that has none yet; children stay in work over several steps."""
        waiting = self._awaitables
        self._awaitables = [awaitable for awaitable in waiting if awaitable.pk not in self._watched]
        self._watched.update(awaitable.pk for awaitable in waiting)
        try:
            super()._action_awaitables()
        finally:
            self._awaitables = waiting

    def _on_awaitable_finished(self, awaitable: Any) -> None:
        """Resolve one child and go on."""
        current = next((entry for entry in self._awaitables if entry.pk == awaitable.pk), None)
        if current is None:
            return
        super()._on_awaitable_finished(current)
        if self.state == ProcessState.WAITING and self._awaitables:
            self.resume()
