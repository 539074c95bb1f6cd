"""A work chain that goes on as soon as one of its children has finished, not when all have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiida import orm
from aiida.engine import ProcessState, WorkChain

from aiida_sicmlip.tools.daemon import daemon_slots, largest_concurrency


class SlidingWindowWorkChain(WorkChain):
    """Run a step again whenever one child terminates, so that a fixed number of children is always at work.

    One step calls :meth:`open_window`; a ``while_`` on :meth:`window_is_open` calls :meth:`fill_window` each time the
    first of the children at work is done; then :meth:`window_children` gives them all. It has no inputs and no protocol
    of its own: those are of the work chains that are made from it.
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

    def open_window(self, names: Iterable[str], asked: int, what: str) -> None:
        """Begin with children called ``names``, of which at most ``asked`` are at work at a time.

        :param what: children in the plural, for the report where the daemon's slots hold fewer than ``asked``.
        """
        size = min(asked, largest_concurrency(daemon_slots()))
        if size < asked:
            self.report(
                f"`max_concurrent` is {asked}, but the daemon's slots hold {size} {what} at once: using that. More "
                "workers (`verdi daemon incr`) or slots (`daemon.worker_process_slots`) allow more."
            )
        self.ctx.window_size = size
        self.ctx.missing = sorted(names)
        self.ctx.active = []
        self.ctx.pks = {}

    def window_is_open(self) -> bool:
        """Return whether a child is missing or at work."""
        return bool(self.ctx.missing or self.ctx.active)

    def fill_window(self, submit: Callable[[str], orm.ProcessNode]) -> None:
        """Keep as many children at work as the window is wide.

        :param submit: submits the child of a name; called again after an interruption, so that it has to be a
            :func:`~aiida_sicmlip.workflows.base.reattach.submit_once`.
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
        """Return the child of each name."""
        return {name: orm.load_node(pk) for name, pk in sorted(self.ctx.pks.items())}
