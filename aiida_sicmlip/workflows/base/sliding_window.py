"""Work chain that continues as soon as one of its child processes terminates, not when all have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiida import orm
from aiida.engine import ProcessState, WorkChain

from aiida_sicmlip.tools.daemon import daemon_slots, largest_concurrency


class SlidingWindowWorkChain(WorkChain):
    """Run a step whenever a child process terminates, so that a fixed number of children is always running.

    One step calls :meth:`open_window`; a ``while_`` on :meth:`window_is_open` calls :meth:`fill_window` each time
    a running child terminates; :meth:`window_children` then returns all of them. Subclasses define the inputs.
    By default the engine waits for all children of a step, which leaves machines idle until the slowest has finished.
    """

    _awaitables: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched: set[int] = set()

    def load_instance_state(self, saved_state: Any, load_context: Any) -> None:
        """Register the callbacks of all children again after a restart."""
        self._watched = set()
        super().load_instance_state(saved_state, load_context)

    def _action_awaitables(self) -> None:
        """Register a callback for each child that has none yet; children can run over several steps."""
        waiting = self._awaitables
        self._awaitables = [awaitable for awaitable in waiting if awaitable.pk not in self._watched]
        self._watched.update(awaitable.pk for awaitable in waiting)
        try:
            super()._action_awaitables()
        finally:
            self._awaitables = waiting

    def _on_awaitable_finished(self, awaitable: Any) -> None:
        """Resolve one child and continue."""
        current = next((other for other in self._awaitables if other.pk == awaitable.pk), None)
        if current is None:
            return
        super()._on_awaitable_finished(current)
        if self.state == ProcessState.WAITING and self._awaitables:
            self.resume()

    def open_window(self, names: Iterable[str], limit: int, what: str) -> None:
        """Prepare children with the labels ``names``, of which at most ``limit`` run at a time.

        :param what: plural noun for the children, for the report if the slots of the daemon do not suffice.
        """
        size = min(limit, largest_concurrency(daemon_slots()))
        if size < limit:
            self.report(
                f"`max_concurrent` is {limit}, but the slots of the daemon only suffice for {size} {what} at a time. "
                "Increase the number of workers (`verdi daemon incr`) or slots "
                "(`daemon.worker_process_slots`) to run more."
            )
        self.ctx.window_size = size
        self.ctx.missing = sorted(names)
        self.ctx.active = []
        self.ctx.pks = {}

    def window_is_open(self) -> bool:
        """Return whether a child has not been submitted or is running."""
        return bool(self.ctx.missing or self.ctx.active)

    def fill_window(self, submit: Callable[[str], orm.ProcessNode]) -> None:
        """Submit children until the number of running ones reaches the size of the window.

        :param submit: function that submits the child with a given label. It is called again after an interruption, and
            must therefore use :func:`~aiida_sicmlip.workflows.base.reattach.submit_once`.
        """
        active: list[str] = []
        for name in [*self.ctx.active, *self.ctx.missing]:
            if len(active) == self.ctx.window_size:
                break
            child = orm.load_node(self.ctx.pks[name]) if name in self.ctx.pks else submit(name)
            self.ctx.pks[name] = child.pk
            if not child.is_terminated:
                active.append(name)
                self.to_context(**{f"window.{name}": child})
        self.ctx.active = active
        self.ctx.missing = [name for name in self.ctx.missing if name not in self.ctx.pks]

    def window_children(self) -> dict[str, orm.ProcessNode]:
        """Return all children by label."""
        return {name: orm.load_node(pk) for name, pk in sorted(self.ctx.pks.items())}
