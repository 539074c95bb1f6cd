"""A run of one round whose daemon is killed in each of its steps, and what may follow in its folder.

Labels are by a reference potential, so that a run takes little; all other steps are the real ones. The criteria of the
round are so loose that every potential meets them; what decides is the final run, which none passes at first.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.loop.folder import SMALLEST_STRUCTURES, LoopFolder

SETTINGS = (
    f"protocol: demo\ncodes: {{pw: nowhere@nowhere}}\n{SMALLEST_STRUCTURES}"
    + """
seed: 1
max_rounds: 1
convergence: {force_mae: 100.0, exploring_force_mae: null, minimum_rounds: null}
final_run: {production: 0.06, n_labels: 3, walkers: 1, temperature: 500.0, force_mae: THRESHOLD}
budget: {labels: 100}
exploration:
  walkers: 1
  parameters:
    {temperature: 500.0, equilibration: 0.0, production: 0.3, frame_interval: 0.002, restart_interval: 0.02,
     temperature_deviations: 12.0, min_distance_ratio: null, discarded_end: 0.004}
  unbiased: {walkers: 1, parameters: {production: 0.5}}
  collective_variables: {parameters: {shells: 1, autoencoder: {latent: 2, max_epochs: 30, held_out: 0}}}
  bias: BIAS
  filter: null
selection:
  parameters: {n_training: 4, n_validation: 2, separation: 0.0, n_max: 4, l_max: 3, cutoff: 4.0}
labelling:
  reference: {pair_style: edip/multi, file: SiC.edip, species: [Si, C]}
training:
  parameters: {model: {cutoff: 4.0}, maximum_steps: 300}
  max_prolongations: 0
"""
)
NO_TRAINING = "  options: {prepend_text: 'echo no time to train >&2; exit 1'}\n"
"""Lets the training fail at once: what comes before it is what counts."""
SLOW_READER = """
import time
from aiida import load_profile, orm
load_profile("loop")
while True:
    for (node,) in orm.QueryBuilder().append(orm.Node).iterall(batch_size=2):
        time.sleep(0.2)
"""
STALLED = 45.0
"""Seconds without any change of a process after which the daemon is started again."""
MOMENTS = (
    "exploration/unbiased",
    "exploration/variables",
    "exploration/walker",
    "descriptors",
    "labelling/frame",
    "training/training",
    "training/compilation",
    "training/evaluation",
    "final_run/labelling",
)
"""The daemon is killed when the first process is there whose call label begins so: within a step that submits."""


def settings(*, trains: bool = True, biased: bool = True, passes: bool = False) -> str:
    """Return the settings of a run of one round.

    :param trains: else its training fails, by design.
    :param biased: else no collective variables are learnt.
    :param passes: whether the final run accepts any error; else none.
    """
    text = SETTINGS.replace("BIAS", "{barrier: 0.1, pace: 0.01}" if biased else "null")
    return text.replace("THRESHOLD", "99.0" if passes else "0.000001") + ("" if trains else NO_TRAINING)


def begun(pk: int) -> list[str]:
    """Return the call labels of what a run and its steps have called, ``exploration/walker_00`` for instance."""
    from aiida import orm

    run = orm.QueryBuilder().append(orm.WorkChainNode, filters={"id": pk}, tag="run")
    run.append(orm.ProcessNode, with_incoming="run", edge_project="label", tag="step")
    found = [label for (label,) in run.all()]
    run.append(orm.ProcessNode, with_incoming="step", edge_project="label")
    found += [f"{step}/{label}" for step, label in run.all()]
    return [label.split("_", 2)[2] for label in found]


def wait_for(folder: LoopFolder, pk: int, reached: Callable[[], bool], timeout: float = 900.0) -> None:
    """Wait until a run has reached something or has ended; where nothing moves, start the daemon again.

    That is what a user is told to do: AiiDA's workers can wait for a broker that was killed.
    """
    from aiida import orm

    end, moved = time.monotonic() + timeout, time.monotonic()
    newest = None
    while not (reached() or orm.load_node(pk).is_terminated):
        assert time.monotonic() < end, folder.report(pk)
        # Jobs that run are looked at each second, which their nodes keep.
        query = (
            orm.QueryBuilder().append(orm.ProcessNode, project="mtime").order_by({orm.ProcessNode: {"mtime": "desc"}})
        )
        if (latest := query.first(flat=True)) != newest:
            newest, moved = latest, time.monotonic()
        if time.monotonic() - moved > STALLED:
            folder.stop_daemon()
            folder.start_daemon()
            moved = time.monotonic()
        time.sleep(0.1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Iterator[LoopFolder]:
    """A folder that is set up, with a daemon that runs."""
    made = LoopFolder(Path(tmp_path_factory.mktemp("faults")))
    made.set_up()
    made.start_daemon()
    try:
        yield made
    finally:
        made.stop_daemon()


@pytest.fixture(scope="session")
def killed_run(folder, switched):
    """The PK of a run whose daemon was killed in each of its steps, and at which moments."""
    # Other moments are tried with another seed.
    moments = random.Random(int(os.environ.get("SICMLIP_KILL_SEED", "20")))
    pk = folder.submit(settings())
    reader = subprocess.Popen([sys.executable, "-c", SLOW_READER], env=folder.environment, stderr=subprocess.PIPE)
    killed_at = []
    try:
        with switched(folder):
            from aiida import orm

            for moment in MOMENTS:
                wait_for(folder, pk, lambda moment=moment: any(label.startswith(moment) for label in begun(pk)))
                time.sleep(moments.uniform(0.0, 0.3))
                if orm.load_node(pk).is_terminated:
                    break
                # All of it, the process that watches over the others, or its workers, which it starts again.
                part = moments.choice(("", "", "daemon start-circus", "daemon worker"))
                assert folder.kill_daemon(part) >= 1
                killed_at.append(moment)
                if part != "daemon worker":
                    folder.start_daemon()
            wait_for(folder, pk, lambda: False)
        assert reader.poll() is None, reader.stderr.read()
    finally:
        reader.kill()
        reader.communicate()
    return pk, killed_at
