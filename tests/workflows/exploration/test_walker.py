"""Walkers that are stopped by their walltime, or killed, and go on: LAMMPS, the bias and AiiDA's engine for real."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import engine, orm
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.tools.walkers import biased_walkers
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain

pytestmark = pytest.mark.program

PRODUCTION = 12.0
PARAMETERS = {
    "temperature": 900.0,
    "equilibration": 0.1,
    "production": PRODUCTION,
    "frame_interval": 0.02,
    "restart_interval": 0.2,
    "restrained_shell": None,
}
BIAS = {"barrier": 1.0, "pace": 0.02, "adaptive_sigma_interval": 0.1}

# The first segment is interrupted where it has got to, not at a time: machines differ by how far they get in a second.
FIRST_SEGMENT = """
if mkdir "{flag}" 2> /dev/null; then
    {start} "$@" &
    program=$!
    until [ "$(ls exploration.restart.* 2> /dev/null | wc -l)" -ge 3 ]; do
        kill -0 $program || break
        sleep 0.02
    done
    {interruption}
    wait $program
    exit
fi
"""
KILL = "kill -KILL $program"


def pause(seconds: int) -> str:
    """Return the shell line that lets time pass without a step of the run."""
    return f"kill -STOP $program; sleep {seconds}; kill -CONT $program"


@pytest.fixture
def lammps(aiida_localhost: Any, tmp_path: Path) -> Any:
    """Makes codes of `sicmlip-lmp`; the line of shell interrupts its first run once three states are saved."""

    def make(interruption: str = "", before: str = "") -> orm.InstalledCode:
        program = tmp_path / "lmp"
        start = f"{sys.executable} -m aiida_sicmlip.engine.programs.lmp"
        first = FIRST_SEGMENT.format(flag=tmp_path / "interrupted", start=start, interruption=interruption)
        lines = ["#!/bin/bash", "export OMP_NUM_THREADS=1", before, first if interruption else "", f'exec {start} "$@"']
        program.write_text("\n".join([*lines, ""]))
        program.chmod(0o755)
        code = orm.InstalledCode(aiida_localhost, str(program), default_calc_job_plugin="sicmlip.exploration")
        code.label = program.name
        return code.store()

    return make


@pytest.fixture
def run(divacancy: Atoms, divacancy_host: Atoms, edip: Any, variables: Any) -> Any:
    """Runs a walker to its end: code, walltime (s), changed parameters; without a bias where that is asked for."""

    def make(code: Any, walltime: int = 600, biased: bool = True, **changed: Any) -> orm.WorkChainNode:
        inputs = {
            "code": code,
            "structure": orm.StructureData(ase=divacancy),
            "host": orm.StructureData(ase=divacancy_host),
            "potential": edip,
            "parameters": orm.Dict({**PARAMETERS, **changed}),
            "seed": orm.Int(5),
            "metadata": {"options": {"max_wallclock_seconds": walltime}},
        }
        if biased:
            inputs |= {"bias": orm.Dict(BIAS), "collective_variables": variables}
        _, node = engine.run_get_node(WalkerWorkChain, exploration=inputs)
        return node

    return make


def segments_of(node: orm.WorkChainNode, namespace: str) -> list[Any]:
    """Return what each segment of a walker has as output, in order."""
    found = node.outputs[namespace]
    return [found[label] for label in sorted(found)]


def check_whole_run(node: orm.WorkChainNode, least_segments: int, production: float = PRODUCTION) -> None:
    """Frames and variables of all segments together are those of one run: complete, in order, none twice."""
    assert node.exit_status == 0, node.exit_message
    trajectories = segments_of(node, "trajectories")
    assert len(trajectories) >= least_segments
    steps = np.concatenate([trajectory.steps() for trajectory in trajectories])
    assert steps.tolist() == list(range(0, round(production / 0.001) + 1, 20))
    assert [trajectory.continues for trajectory in trajectories] == [False] + [True] * (len(trajectories) - 1)
    times = np.concatenate([trajectory.times() for trajectory in trajectories])
    if "colvars" in node.outputs:
        rows = np.concatenate([colvar.get_array("time") for colvar in segments_of(node, "colvars")])
        assert rows == pytest.approx(times)
    # An atom moves by a fraction of a bond from one frame to the next, on both sides of a continuation as elsewhere.
    for before, after in pairwise(trajectories):
        last, first = before.frames([before.n_frames - 1])[0], after.frames([0])[0]
        _, moved = find_mic(first.positions - last.positions, last.cell, last.pbc)
        assert moved.max() < 0.7


def check_bias_goes_on(node: orm.WorkChainNode) -> None:
    """The state of the bias is continued: kernels are merged and added to, their number of effective samples grows."""
    calculations = [call for call in node.called if isinstance(call, orm.CalcJobNode)]
    calculations.sort(key=lambda calculation: calculation.pk)
    (walker,) = biased_walkers(node)
    assert [segment.pk for segment in walker.segments] == [calculation.pk for calculation in calculations]
    colvars = segments_of(node, "colvars")
    for (before, after), calculation in zip(pairwise(colvars), calculations[1:], strict=True):
        start = calculation.inputs.continuation
        assert start.biased
        counters = [
            float(line.split()[-1])
            for line in start.base.repository.get_object_content("STATE").splitlines()
            if line.startswith("#! SET counter")
        ]
        # One kernel each 20 steps, and one that OPES begins with.
        assert counters == [pytest.approx(start.step // 20 + 1, abs=6)]
        # The bias itself moves with the atoms; its normalisation only with its kernels.
        assert after.get_array("zed")[0] == pytest.approx(before.get_array("zed")[-1], rel=0.15)
        assert after.get_array("nker")[0] == pytest.approx(before.get_array("nker")[-1], abs=3)


def test_walltime_is_no_end(run: Any, lammps: Any) -> None:
    """LAMMPS stops itself before the walltime, and the next segment goes on to the asked length."""
    node = run(lammps(pause(8)), walltime=8)
    check_whole_run(node, least_segments=2)
    check_bias_goes_on(node)
    statuses = [call.exit_status for call in sorted(node.called, key=lambda call: call.pk)]
    assert statuses == [400] * (len(statuses) - 1) + [0]


def test_kill_is_no_end(run: Any, lammps: Any) -> None:
    """A segment that is killed without a warning is continued from its last saved state."""
    node = run(lammps(KILL))
    check_whole_run(node, least_segments=2)
    check_bias_goes_on(node)
    first = min(node.called, key=lambda call: call.pk)
    assert first.exit_status == 401
    assert first.outputs.results["n_frames_discarded"] >= 0


def test_free_walker_is_continued_too(run: Any, lammps: Any) -> None:
    """Without a bias there is a state of LAMMPS alone; held atoms keep their anchors."""
    node = run(lammps(pause(4)), walltime=4, biased=False)
    check_whole_run(node, least_segments=2)
    assert "colvars" not in node.outputs


def test_walltime_too_short_for_one_state_ends_the_walker(run: Any, lammps: Any) -> None:
    """No walltime is spent again and again on the same steps."""
    node = run(lammps(before="sleep 1"), walltime=2, production=400.0, restart_interval=400.0)
    assert node.exit_status == 403 and "restart_interval" in node.exit_message
    assert len(node.called) <= 2
