"""Faults of whole runs, one after the other in one folder: a daemon that is killed in each step, then what may follow.

Labels are by a reference potential, so that a run takes little; all other steps are the real ones.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loop.checks import twins, unfinished
from tests.loop.folder import PROFILE, LoopFolder

pytestmark = pytest.mark.program

SETTINGS = """
protocol: demo
codes: {pw: nowhere@nowhere}
structures:
  vacancy:
    host: {crystal: zincblende, species: [Si, C], lattice_constant: 4.4, repeats: [1, 1, 1], cell: conventional}
    defects:
      - {kind: vacancy, species: C}
  divacancy: {host: {repeats: [1, 1, 1], cell: conventional}}
seed: SEED
max_rounds: 1
exploration:
  walkers: 1
  parameters:
    {temperature: 500.0, equilibration: 0.0, production: 0.3, frame_interval: 0.002, restart_interval: 0.02,
     temperature_deviations: 12.0, min_distance_ratio: null, discarded_end: 0.004}
  unbiased: {walkers: 1, parameters: {production: 0.5}}
  collective_variables: {parameters: {shells: 1, autoencoder: {latent: 2, max_epochs: 30, held_out: 0}}}
  bias: {barrier: 0.1, pace: 0.01}
  filter: null
selection:
  parameters: {n_training: 4, n_validation: 2, separation: 0.0, n_max: 4, l_max: 3, cutoff: 4.0}
labelling:
  reference: {pair_style: edip/multi, file: SiC.edip, species: [Si, C]}
training:
  parameters: {model: {cutoff: 4.0}, maximum_steps: 120}
  max_prolongations: 0
"""
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
MOMENTS = (
    "exploration/unbiased",
    "exploration/variables",
    "exploration/walker",
    "descriptors",
    "labelling/frame",
    "training/training",
    "training/compilation",
    "training/evaluation",
)
"""The daemon is killed when the first process is there whose call label begins so: within a step that submits."""


def settings(seed: int, trains: bool = True) -> str:
    """Return the settings of a run of one round; its training fails by design where it is not asked for."""
    return SETTINGS.replace("SEED", str(seed)) + ("" if trains else NO_TRAINING)


def begun(pk: int) -> list[str]:
    """Return the call labels of what a run and its steps have called, ``exploration/walker_00`` for instance."""
    from aiida import orm

    run = orm.QueryBuilder().append(orm.WorkChainNode, filters={"id": pk}, tag="run")
    run.append(orm.ProcessNode, with_incoming="run", edge_project="label", tag="step")
    found = [label for (label,) in run.all()]
    run.append(orm.ProcessNode, with_incoming="step", edge_project="label")
    found += [f"{step}/{label}" for step, label in run.all()]
    return [label.split("_", 2)[2] for label in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[LoopFolder]:
    """A folder that is set up, with a daemon that runs."""
    made = LoopFolder(Path(tmp_path_factory.mktemp("faults")))
    made.set_up()
    made.start_daemon()
    try:
        yield made
    finally:
        made.stop_daemon()


@pytest.fixture(scope="module")
def killed_run(folder, switched):
    """The PK of a run whose daemon was killed in each of its steps, and at which moments."""
    # Other moments are tried with another seed.
    moments = random.Random(int(os.environ.get("SICMLIP_KILL_SEED", "20")))
    pk = folder.submit(settings(seed=1))
    reader = subprocess.Popen([sys.executable, "-c", SLOW_READER], env=folder.environment, stderr=subprocess.PIPE)
    killed_at = []
    try:
        with switched(folder):
            from aiida import orm

            for moment in MOMENTS:
                end = time.monotonic() + 600
                while not any(label.startswith(moment) for label in begun(pk)) and time.monotonic() < end:
                    if orm.load_node(pk).is_terminated:
                        break
                    time.sleep(0.1)
                time.sleep(moments.uniform(0.0, 0.3))
                if orm.load_node(pk).is_terminated:
                    break
                # All of it, the process that watches over the others, or its workers, which it starts again.
                part = moments.choice(("", "", "daemon start-circus", "daemon worker"))
                assert folder.kill_daemon(part) >= 1
                killed_at.append(moment)
                if part != "daemon worker":
                    folder.start_daemon()
        folder.wait(pk, timeout=900)
        assert reader.poll() is None, reader.stderr.read()
    finally:
        reader.kill()
        reader.communicate()
    return pk, killed_at


def test_killed_daemon_finishes_without_twins(folder, killed_run, switched):
    """Kill -9 in every step, mostly while it submits: the run ends, and nothing is computed twice."""
    pk, killed_at = killed_run
    assert killed_at == list(MOMENTS)
    starts = Counter(folder.starts())
    assert {place: count for place, count in starts.items() if count > 1} == {}
    with switched(folder):
        from aiida import orm

        assert orm.load_node(pk).exit_status in (0, 701), folder.report(pk)
        assert twins() == {}
        assert unfinished() == []


def created_by(pk: int) -> set[int]:
    """Return the PKs of all that a run and those that it called made."""
    from aiida import orm
    from aiida.common.links import LinkType

    run = orm.load_node(pk)
    links = [
        link
        for process in (run, *run.called_descendants)
        for link in process.base.links.get_outgoing(link_type=(LinkType.CREATE,)).all()
    ]
    return {link.node.pk for link in links}


def data_sets(pk: int) -> dict[str, bytes]:
    """Return the content of the data sets that a run has made, by call label."""
    from aiida import orm

    run = orm.QueryBuilder().append(orm.WorkChainNode, filters={"id": pk}, tag="run")
    run.append(
        orm.CalcFunctionNode, with_incoming="run", edge_filters={"label": {"like": "%\\_set"}}, edge_project="label"
    )
    run.append(orm.Data, with_incoming=orm.CalcFunctionNode, edge_filters={"label": "result"}, project="*")
    return {label: node.base.repository.get_object_content(node.filename, mode="rb") for node, label in run.all()}


def test_program_that_is_gone_between_two_rounds(folder, killed_run, ask):
    """The run ends with the shell's own words, and what the round before has left is still there to go on from."""
    pk, _ = killed_run
    script = folder.path / "noting-lmp"
    hidden = script.rename(folder.path / "hidden")
    try:
        continued = folder.submit(settings(seed=1, trains=False), "--continue", str(pk))
        folder.wait(continued, timeout=600)
    finally:
        hidden.rename(script)
    state = ask(folder, "status", str(continued))
    first = state.splitlines()[0]
    assert "finished with status 401: The exploration of round 1 <" in first
    assert "No walker has produced frames. 2 failed; the first, walker_00 <" in first
    assert "LAMMPS left no log: " in first and f"{script}: No such file or directory" in first
    assert f"when the cause is fixed, `aiida-sicmlip run SETTINGS --continue {continued}` continues it." in state


def test_model_with_a_changed_byte(folder, killed_run, switched, ask):
    """It is refused before a step is run with it; `verify` finds which node it is."""
    pk, _ = killed_run
    with switched(folder):
        from aiida import orm

        model = orm.load_node(pk).outputs.compiled_potential
        key = model.base.repository.metadata["o"][model.filename]["k"]
        named = f"file `{model.filename}` of CompiledPotentialData <{model.pk}>"
    (stored,) = (path for path in folder.path.rglob(f"{key[2:]}*") if path.parent.name == key[:2])
    content = stored.read_bytes()
    middle = len(content) // 2
    stored.chmod(0o644)
    stored.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    try:
        continued = folder.submit(settings(seed=1, trains=False), "--continue", str(pk))
        folder.wait(continued, timeout=600)
        state = ask(folder, "status", str(continued))
        checked = folder.run("aiida-sicmlip", "verify", str(pk), "-p", PROFILE)
    finally:
        stored.write_bytes(content)
    assert "LAMMPS stopped with an error: " in state and "is damaged" in state
    assert checked.returncode == 1
    assert f"{named} was changed after it was stored" in checked.stdout


def test_interrupted_commands_and_two_runs_at_once(folder, killed_run, switched, ask):
    """Both make the data sets that one alone has made, in spite of Ctrl-C, and share nothing that either made."""
    pk, _ = killed_run
    at_once = [submit_and_interrupt(folder), folder.submit(settings(seed=1, trains=False))]
    interrupt_display(folder, at_once[0])
    for each in at_once:
        folder.wait(each, timeout=900)
        state = ask(folder, "status", str(each))
        assert "finished with status 403: The training of round 0 <" in state
        assert "no time to train" in state
    with switched(folder):
        alone = data_sets(pk)
        assert set(alone) == {"round_00_training_set", "round_00_validation_set"}
        assert [data_sets(each) for each in at_once] == [alone, alone]
        made = [created_by(each) for each in (pk, *at_once)]
        assert all(not first & second for first, second in itertools.combinations(made, 2))


def submit_and_interrupt(folder: LoopFolder) -> int:
    """Press Ctrl-C as soon as `run` says what it will do; return the PK of the run, submitted then or afterwards."""
    (folder.path / "settings.yaml").write_text(settings(seed=1, trains=False), encoding="utf-8")
    command = folder.begin("aiida-sicmlip", "run", "settings.yaml", "-p", PROFILE)
    assert command.stdout.readline().startswith("Start structures")
    command.send_signal(signal.SIGINT)
    printed, said = command.communicate(timeout=300)
    assert command.returncode == 130 and "Traceback" not in said
    found = re.search(r"Submitted ActiveLearningWorkChain <(\d+)>", printed)
    if found is None:
        assert "Interrupted: nothing was submitted." in said
        return folder.submit(settings(seed=1, trains=False))
    assert f"Interrupted: the run <{found[1]}> continues." in said
    return int(found[1])


def interrupt_display(folder: LoopFolder, pk: int) -> None:
    """Press Ctrl-C while `status` shows a run in a terminal."""
    terminal, end = pty.openpty()
    command = folder.begin("aiida-sicmlip", "status", str(pk), "-p", PROFILE, stdout=end)
    os.close(end)
    printed = ""
    while "running" not in printed:
        printed += os.read(terminal, 1000).decode()
    command.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):
        # What Linux says of a terminal whose other end is closed.
        while chunk := os.read(terminal, 1000):
            printed += chunk.decode()
    os.close(terminal)
    assert command.wait(timeout=60) == 130
    assert "Display closed; the run continues." in printed and "Traceback" not in printed
