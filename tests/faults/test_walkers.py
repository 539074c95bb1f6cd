"""Molecular dynamics that blows up, or that fills the disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.exploration.walker import WalkerWorkChain

pytestmark = pytest.mark.program

FILL_THE_DISK = """
$real "$@" & run=$!
until [ -s trajectory.dcd ]; do sleep 0.01; done
prlimit --fsize=150000 --pid $run
wait $run
exit
"""
"""Lets writes fail from 150 kB on. A limit from the start would hit what MPI shares between processes, too."""


@pytest.fixture
def walked(divacancy, edip):
    """Runs a walker of 14 atoms to its end: program, parameters."""

    def make(program: Any, **parameters: Any) -> orm.WorkChainNode:
        inputs = {
            "code": program.code,
            "structure": orm.StructureData(ase=divacancy),
            "potential": edip,
            "parameters": orm.Dict({"equilibration": 0.0, **parameters}),
            "seed": orm.Int(5),
        }
        return run_get_node(WalkerWorkChain, exploration=inputs)[1]

    return make


def kept_frames(node: orm.WorkChainNode) -> int:
    """Return the number of frames that a walker has as output, all of which have to be whole."""
    trajectory = node.outputs.trajectories.s00
    assert all(np.isfinite(frame.positions).all() for frame in trajectory.frames(range(trajectory.n_frames)))
    return trajectory.n_frames


def test_blown_up_walker_keeps_its_frames(program, walked):
    """Steps of 12 fs at 3000 K, no brake: the walker ends with a warning, after one attempt; frames before are kept."""
    lammps = program("sicmlip.exploration")
    unbraked = {"temperature_deviations": 1e6, "min_distance_ratio": None, "discarded_end": 0.0}
    node = walked(lammps, temperature=3000.0, timestep=0.012, production=12.0, frame_interval=0.012, **unbraked)
    assert (node.exit_status, lammps.starts) == (710, 1)
    assert node.exit_message == (
        f"The potential failed in segment 0 <{node.called[0].pk}>; the frames before the failure are kept. Atoms were "
        "lost: the potential failed here. Frames are kept."
    )
    assert 1 <= kept_frames(node) < 1000


def test_walkers_that_are_all_stopped_at_once_are_repeated_softer(program, divacancy, edip):
    """At 4000 K atoms come too near within a picosecond; with 60 % of it, once or twice, they do not."""
    lammps = program("sicmlip.exploration")
    settings = {"temperature": 4000.0, "equilibration": 0.0, "production": 0.5, "frame_interval": 0.01}
    brake = {"temperature_deviations": None, "min_distance_ratio": 0.87, "discarded_end": 1.0}
    inputs = {
        "structures": {"divacancy": orm.StructureData(ase=divacancy)},
        "potential": edip,
        "seed": orm.Int(5),
        "walkers": orm.Int(2),
        "softer_repeats": orm.Int(2),
        "walker": {"exploration": {"code": lammps.code, "parameters": orm.Dict({**settings, **brake})}},
    }
    _, node = run_get_node(ExplorationWorkChain, **inputs)
    assert node.exit_status == 0, node.exit_message
    walkers = {
        link.link_label: link.node
        for link in node.base.links.get_outgoing(link_label_filter="walker\\_%").all()
        if isinstance(link.node, orm.WorkChainNode)
    }
    temperatures = [walkers[name].inputs.exploration.parameters["temperature"] for name in sorted(walkers)]
    last = temperatures[-1]
    assert last in (2400.0, 1440.0) and temperatures[:2] == [4000.0] * 2 and lammps.starts == len(walkers)
    # The walkers are the same but for their temperature, and what they found is what the exploration returns.
    assert walkers["walker_00"].inputs.exploration.seed == walkers[sorted(walkers)[-2]].inputs.exploration.seed
    kept = [name for name in walkers if "trajectories" in walkers[name].outputs]
    assert kept and all(walkers[name].inputs.exploration.parameters["temperature"] == last for name in kept)
    assert len(node.outputs.trajectories.divacancy) == len(kept)
    scaled = walkers[sorted(walkers)[-1]].inputs.exploration.parameters
    assert scaled.creator.process_label == "ramp_exploration"


def test_full_disk_ends_the_walker(program, walked):
    """Frames up to there are kept, and the message is LAMMPS' own; the next writes would fail, too."""
    lammps = program("sicmlip.exploration", FILL_THE_DISK)
    node = walked(lammps, temperature=900.0, production=4.0, frame_interval=0.001)
    assert (node.exit_status, lammps.starts) == (404, 1)
    assert node.exit_message.startswith(f"Segment 0 <{node.called[0].pk}> failed: LAMMPS stopped with an error: ")
    assert "Error writing dump trajectory: File too large" in node.exit_message
    assert 100 < kept_frames(node) < 1000
    # With room on the disk, it goes on from here.
    assert node.outputs.continuation.step > 0
