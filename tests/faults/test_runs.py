"""Faults of whole runs, one after the other in one folder: a daemon killed in each step, then what may follow."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import signal
from collections import Counter

import pytest

from tests.faults.killed_run import MOMENTS, settings
from tests.loop.checks import twins, unfinished
from tests.loop.folder import PROFILE, LoopFolder

pytestmark = pytest.mark.program
SETS = ["round_00_training_set", "round_00_validation_set"]


def test_killed_daemon_finishes_without_twins(folder, killed_run, switched):
    """Kill -9 in every step, mostly while it submits: the run ends, and nothing is computed twice."""
    pk, killed_at = killed_run
    assert killed_at == list(MOMENTS)
    starts = Counter(folder.starts())
    assert {place: count for place, count in starts.items() if count > 1} == {}
    with switched(folder):
        from aiida import orm

        assert orm.load_node(pk).exit_status == 701, folder.report(pk)
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
    run.append(orm.CalcFunctionNode, with_incoming="run", edge_filters={"label": {"in": SETS}}, edge_project="label")
    run.append(orm.Data, with_incoming=orm.CalcFunctionNode, edge_filters={"label": "result"}, project="*")
    return {label: node.base.repository.get_object_content(node.filename, mode="rb") for node, label in run.all()}


def test_program_that_is_gone_between_two_rounds(folder, killed_run, ask):
    """The run ends with the shell's own words, and what the round before has left is still there to go on from."""
    pk, _ = killed_run
    script = folder.path / "noting-lmp"
    hidden = script.rename(folder.path / "hidden")
    try:
        continued = folder.submit(settings(trains=False, biased=False), "--continue", str(pk))
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
        continued = folder.submit(settings(trains=False, biased=False), "--continue", str(pk))
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
    at_once = [submit_and_interrupt(folder), folder.submit(settings(trains=False))]
    interrupt_display(folder, at_once[0])
    for each in at_once:
        folder.wait(each, timeout=900)
        state = ask(folder, "status", str(each))
        assert "finished with status 403: The training of round 0 <" in state
        assert "no time to train" in state
    with switched(folder):
        alone = data_sets(pk)
        assert set(alone) == set(SETS)
        assert [data_sets(each) for each in at_once] == [alone, alone]
        made = [created_by(each) for each in (pk, *at_once)]
        assert all(not first & second for first, second in itertools.combinations(made, 2))


def submit_and_interrupt(folder: LoopFolder) -> int:
    """Press Ctrl-C as soon as `run` says what it will do; return the PK of the run, submitted then or afterwards."""
    (folder.path / "settings.yaml").write_text(settings(trains=False), encoding="utf-8")
    command = folder.begin("aiida-sicmlip", "run", "settings.yaml", "-p", PROFILE)
    assert command.stdout.readline().startswith("Start structures")
    command.send_signal(signal.SIGINT)
    printed, said = command.communicate(timeout=300)
    assert command.returncode == 130 and "Traceback" not in said
    found = re.search(r"Submitted ActiveLearningWorkChain <(\d+)>", printed)
    if found is None:
        assert "Interrupted: nothing was submitted." in said
        return folder.submit(settings(trains=False))
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
