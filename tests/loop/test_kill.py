"""A daemon that is killed again and again, with a slow reader of the database beside it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.loop.checks import twins, unfinished
from tests.loop.conftest import settings

pytestmark = pytest.mark.program

SLOW_READER = """
import time
from aiida import load_profile, orm
load_profile("loop")
while True:
    for (node,) in orm.QueryBuilder().append(orm.Node).iterall(batch_size=2):
        time.sleep(0.2)
"""


def test_killed_daemon_finishes_without_twins(loop_folder, switched):
    """Kill -9 at moments spread over the run, submitting steps included: it ends, and nothing is computed twice."""
    folder = loop_folder
    # Other moments are tried with another seed.
    moments = random.Random(int(os.environ.get("SICMLIP_KILL_SEED", "20")))
    pk = folder.submit(settings(1))
    reader = subprocess.Popen([sys.executable, "-c", SLOW_READER], env=folder.environment, stderr=subprocess.PIPE)
    kills = 0
    try:
        # The first seconds hold most of the submitting steps: killing often there hits them.
        for pause in [*(moments.uniform(0.3, 3.0) for _ in range(8)), *(moments.uniform(5.0, 12.0) for _ in range(5))]:
            time.sleep(pause)
            if "at work" not in folder.state(pk).splitlines()[0]:
                break
            # All of it, the process that watches over the others, or its workers, which it starts again.
            part = moments.choice(("", "", "daemon start-circus", "daemon worker"))
            assert folder.kill_daemon(part) >= 1
            kills += 1
            if part != "daemon worker":
                folder.start_daemon()
        folder.wait(pk, timeout=900)
        assert reader.poll() is None, reader.stderr.read()
    finally:
        reader.kill()
        reader.communicate()
    assert kills >= 5
    starts = Counter(folder.starts())
    assert {place: count for place, count in starts.items() if count > 1} == {}
    with switched(folder):
        from aiida import orm

        assert orm.load_node(pk).exit_status in (0, 701), folder.report(pk)
        assert twins() == {}
        assert unfinished() == []
