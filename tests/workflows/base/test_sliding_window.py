"""A fixed number of children is always running, and none waits for the slowest."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import WorkChain, run_get_node, while_

from aiida_sicmlip.workflows.base.reattach import submit_once
from aiida_sicmlip.workflows.base.sliding_window import SlidingWindowWorkChain

SLOW, LAST = "a", "e"
ACTIVE: dict[str, WorkChain] = {}
EVENTS: list[tuple[str, str, int]] = []


class Worker(WorkChain):
    """Ends at once, but for the slow one, which is held until the last of the others has ended."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("name", valid_type=orm.Str)
        spec.outline(cls.begin, cls.end)

    def begin(self):
        """Note the start."""
        name = self.inputs.name.value
        ACTIVE[name] = self
        EVENTS.append(("begin", name, len(ACTIVE)))
        if name == SLOW:
            self.pause()

    def end(self):
        """Note the end."""
        name = self.inputs.name.value
        ACTIVE.pop(name)
        EVENTS.append(("end", name, len(ACTIVE)))
        if name == LAST:
            ACTIVE[SLOW].play()


class FramePool(SlidingWindowWorkChain):
    """Runs five workers, two at a time; the first is slow."""

    NAMES = (SLOW, "b", "c", "d", LAST)

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.setup, while_(cls.should_run)(cls.run_workers))

    def setup(self):
        """Nothing is running yet."""
        self.ctx.pks = {}

    def should_run(self):
        """Return whether a worker is missing or running."""
        return len(self.ctx.pks) < len(self.NAMES) or any(
            not orm.load_node(pk).is_terminated for pk in self.ctx.pks.values()
        )

    def run_workers(self):
        """Keep two running."""
        active = 0
        for name in self.NAMES:
            if active == 2:
                break
            child = (
                orm.load_node(self.ctx.pks[name])
                if name in self.ctx.pks
                else submit_once(self, Worker, name, name=orm.Str(name))
            )
            self.ctx.pks[name] = child.pk
            if not child.is_terminated:
                active += 1
                self.to_context(**{name: child})


@pytest.mark.timeout(60)
def test_quick_children_do_not_wait_for_the_slow_one(aiida_profile):
    """The four quick workers pass one after the other while the slow one runs, and never more than two are active."""
    EVENTS.clear()
    _, node = run_get_node(FramePool)
    assert node.is_finished_ok
    ends = [name for what, name, _ in EVENTS if what == "end"]
    assert sorted(ends) == ["a", "b", "c", "d", "e"]
    assert ends[-1] == "a"
    assert max(count for _, _, count in EVENTS) == 2
    assert len(node.called) == len(FramePool.NAMES)
