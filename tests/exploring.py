"""Graphs of biased explorations made by hand, as the work chains leave them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from ase import Atoms

from aiida_sicmlip.common.labels import frame_label, segment_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.walkers import ACTIVE_LEARNING, CALCULATION, EXPLORATION, WALKER

DESCRIPTION = "aiida.calculations:sicmlip.descriptors"
TRAJECTORY = Path(__file__).parent / "fixtures" / "edip-14" / "0.dcd"


class Explored:
    """Makes processes and what they left. Rows of the variables come every 0.05 ps, frames every 0.25 ps."""

    def __init__(self, atoms: Atoms, variables: Any) -> None:
        self.atoms = atoms
        self.variables = variables
        self.structure = orm.StructureData(ase=atoms).store()
        self.parameters = orm.Dict({"temperature": 1500.0, "frame_interval": 0.25, "production": 20.0}).store()

    def process(self, kind: type, process_type: str, caller: Any = None, label: str = "", **inputs: Any) -> Any:
        """Return a finished process, called by ``caller`` under ``label``."""
        node = kind(process_type=process_type)
        is_work = kind is orm.WorkChainNode
        for name, given in inputs.items():
            node.base.links.add_incoming(given, LinkType.INPUT_WORK if is_work else LinkType.INPUT_CALC, name)
        if caller is not None:
            node.base.links.add_incoming(caller, LinkType.CALL_WORK if is_work else LinkType.CALL_CALC, label)
        node.store()
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(0)
        return node

    def run(self) -> Any:
        """Return an active-learning run."""
        return self.process(orm.WorkChainNode, ACTIVE_LEARNING, max_rounds=orm.Int(2).store())

    def exploration(self, caller: Any = None, index: int = 0, name: str = "vv") -> Any:
        """Return the exploration of a round from one start structure."""
        label = f"round_{index:02d}_exploration"
        return self.process(orm.WorkChainNode, EXPLORATION, caller, label, **{f"structures__{name}": self.structure})

    def walker(self, caller: Any = None, number: int = 0) -> Any:
        """Return a walker, which has no segments yet."""
        return self.process(orm.WorkChainNode, WALKER, caller, f"walker_{number:02d}")

    def segment(
        self, caller: Any = None, after: Any = None, *, seed: int = 1, biased: bool = True, rows: int = 200
    ) -> Any:
        """Return a calculation, which continues ``after`` where that is given; its CVs have a normal distribution."""
        inputs = {"structure": self.structure, "parameters": self.parameters}
        if after is not None:
            inputs["continuation"] = after.outputs.continuation
        if biased:
            inputs |= {"collective_variables": self.variables, "bias": orm.Dict({"barrier": 2.0}).store()}
        node = self.process(orm.CalcJobNode, CALCULATION, caller, "segment_00", **inputs)
        begin = 0 if after is None else 10
        self.output(node, "continuation", orm.Dict({"step": begin * 1000}))
        trajectory = SegmentTrajectoryData(
            TRAJECTORY,
            "trajectory.dcd",
            symbols=self.atoms.get_chemical_symbols(),
            cell=self.atoms.cell.array,
            n_frames=30,
            first_step=begin * 1000,
            steps_between_frames=250,
            continues=after is not None,
        )
        self.output(node, "trajectory", trajectory)
        if biased:
            colvar = orm.ArrayData()
            colvar.set_array("time", begin + 0.05 * np.arange(1, rows + 1))
            colvar.set_array("variables", np.random.default_rng(seed).normal(size=(rows, 2)))
            colvar.set_array("bias", np.zeros(rows))
            self.output(node, "colvar", colvar)
        return node

    def selection(self, run: Any, index: int, segments: list[Any], picks: list[tuple[int, int]]) -> Any:
        """Return the selection of a round: of segments (in order), the frames (segment, frame)."""
        trajectories = {
            f"trajectories__vv__{segment_label(place)}": node.outputs.trajectory for place, node in enumerate(segments)
        }
        described = self.process(orm.CalcJobNode, DESCRIPTION, run, f"round_{index:02d}_descriptors", **trajectories)
        candidates = CandidateFramesData(io.BytesIO(b"candidates"), "candidates.npz")
        candidates.base.attributes.set("n_candidates", 0)
        self.output(described, "candidates", candidates)
        node = self.process(
            orm.CalcFunctionNode, "", run, f"round_{index:02d}_selection", candidates=described.outputs.candidates
        )
        for place, frame in picks:
            picked = orm.StructureData(ase=self.atoms)
            self.output(node, f"training__{frame_label(place, frame)}", picked)
        self.output(node, "summary", orm.Dict({"n_training": len(picks)}))
        return node

    @staticmethod
    def output(node: Any, label: str, data: Any) -> None:
        """Store what a process made."""
        data.base.links.add_incoming(node, LinkType.CREATE, label)
        data.store()
