"""Graphs of biased explorations and of selections made by hand, as the work chains leave them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.labels import frame_label, label_of_index, parse_frame_label, segment_label
from aiida_sicmlip.common.process_types import (
    ACTIVE_LEARNING,
    DESCRIPTORS,
    EVALUATION,
    EXPLORATION,
    EXPLORATION_CALCULATION,
    PW,
    WALKER,
)
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.engine.prediction import prediction_errors
from aiida_sicmlip.science.selection.candidates_file import write_candidates
from aiida_sicmlip.science.selection.picks import ROLES, Picks
from aiida_sicmlip.science.selection.replacements import select_replacements_of_candidates
from aiida_sicmlip.science.selection.settings import SelectionSettings
from tests.graphs.processes import output, process
from tests.graphs.selections import MadeSelection, made_selection

TRAJECTORY = Path(__file__).parents[1] / "fixtures" / "edip-14" / "0.dcd"


class Explored:
    """Makes processes and what they left. Rows of the variables come every 0.05 ps, frames every 0.25 ps."""

    process = staticmethod(process)
    output = staticmethod(output)

    def __init__(self, atoms: Atoms, variables: Any) -> None:
        self.atoms = atoms
        self.variables = variables
        self.structure = orm.StructureData(ase=atoms).store()
        # Of each run, by round.
        self.selections: dict[int, list[MadeSelection]] = {}
        self.candidates: dict[int, list[CandidateFramesData]] = {}
        self.parameters = orm.Dict({"temperature": 1500.0, "frame_interval": 0.25, "production": 20.0}).store()

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
        self,
        caller: Any = None,
        after: Any = None,
        *,
        seed: int = 1,
        biased: bool = True,
        rows: int = 200,
        drift: float | None = None,
    ) -> Any:
        """Return a calculation, which continues ``after`` where that is given; its CVs have a normal distribution.

        With a drift (eV/ps) its log has rows, in which the atoms of the variables are 100 K hotter than the others.
        """
        inputs = {"structure": self.structure, "parameters": self.parameters}
        if after is not None:
            inputs["continuation"] = after.outputs.continuation
        if biased:
            inputs |= {"collective_variables": self.variables, "bias": orm.Dict({"barrier": 2.0}).store()}
        node = self.process(orm.CalcJobNode, EXPLORATION_CALCULATION, caller, "segment_00", **inputs)
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
        if drift is not None:
            thermodynamics = orm.ArrayData()
            time = begin + 0.05 * np.arange(1, rows + 1)
            for name, column in {
                "step": np.round(1000 * time).astype(int),
                "production": np.ones(rows, dtype=bool),
                "conserved_energy": drift * time,
                "biased_temperature": 1560 + 10 * (-1.0) ** np.arange(rows),
                "others_temperature": 1460 + 10 * (-1.0) ** np.arange(rows),
            }.items():
                thermodynamics.set_array(name, column)
            self.output(node, "thermodynamics", thermodynamics)
        return node

    def selection(
        self,
        run: Any,
        index: int,
        segments: list[Any],
        picks: list[tuple[int, int]] | None = None,
        *,
        starts: list[str] | None = None,
        **settings: Any,
    ) -> Any:
        """Return the selection of a round, with the description that it chose from.

        ``picks`` are frames (place among ``segments``, frame), all of which are picked; without, the selection chooses.
        Frames have made-up descriptors, all else is as the package makes it. ``starts`` names the start structure of
        each segment.
        """
        earlier = self.selections.setdefault(run.pk, [])
        first = sum(entry.n_segments for entry in earlier)
        if picks is not None:
            settings = {"n_training": len(picks) - 1, "n_validation": 1, "separation": 0.0}
        chosen = SelectionSettings(n_candidates=60, **settings)
        made = made_selection(chosen, self.atoms, len(segments), picks, earlier)
        earlier.append(made)
        trajectories = {
            f"trajectories__{name}__{segment_label(first + place)}": node.outputs.trajectory
            for place, (name, node) in enumerate(zip(starts or ["vv"] * len(segments), segments, strict=True))
        }
        described = self.process(orm.CalcJobNode, DESCRIPTORS, run, f"round_{index:02d}_descriptors", **trajectories)
        with tempfile.TemporaryDirectory() as folder:
            write_candidates(Path(folder) / "candidates.npz", made.candidates)
            self.output(described, "candidates", CandidateFramesData.from_file(Path(folder) / "candidates.npz"))
        self.output(described, "results", orm.Dict(made.results))
        inputs = {f"round_{place:02d}": node for place, node in enumerate(self.candidates.setdefault(run.pk, []))}
        inputs["candidates"] = described.outputs.candidates
        self.candidates[run.pk].append(described.outputs.candidates)
        node = self.process(orm.CalcFunctionNode, "", run, f"round_{index:02d}_selection", **inputs)
        self.picks(node, made.picks)
        self.output(node, "summary", orm.Dict(made.summary))
        return node

    def picks(self, node: Any, picks: Picks) -> None:
        """Let a process have picked frames."""
        for role, segment, frame in sorted(zip(picks.role, picks.segment, picks.frame, strict=True)):
            picked = orm.StructureData(ase=self.atoms)
            self.output(node, f"{ROLES[role]}__{frame_label(segment, frame)}", picked)
        arrays = orm.ArrayData()
        for name, array in picks.to_arrays().items():
            arrays.set_array(name, array)
        self.output(node, "picks", arrays)

    def replacements(self, run: Any, index: int, failed: list[tuple[int, int]]) -> Picks:
        """Replace picks of a round, as (segment among all, frame), and return what took their places."""
        made = self.selections[run.pk]
        before = [entry.candidates for entry in made[:index]]
        found = select_replacements_of_candidates(
            made[index].settings, failed, made[index].picks, made[index].candidates, before
        )
        *earlier, own = self.candidates[run.pk][: index + 1]
        inputs = {f"round_{place:02d}": node for place, node in enumerate(earlier)}
        label = f"round_{index:02d}_replacements"
        self.picks(self.process(orm.CalcFunctionNode, "", run, label, candidates=own, **inputs), found.picks)
        return found.picks

    def evaluation_of_labels(self, run: Any, index: int, selection: Any, errors: dict[tuple[int, int], float]) -> Any:
        """Return the evaluation of the potential that explored a round, on labels of frames that were picked.

        :param errors: force MAE in eV/A of each labelled frame, by segment and frame.
        """
        links = selection.base.links.get_outgoing(node_class=orm.StructureData).all()
        structures = {parse_frame_label(link.link_label.rsplit("__", 1)[-1]): link.node for link in links}
        frames, predictions, labels = [], [], {}
        for place, where in enumerate(sorted(errors)):
            calculation = self.process(orm.CalcJobNode, PW, structure=structures[where])
            label = orm.TrajectoryData()
            label.set_trajectory(self.atoms.get_chemical_symbols(), self.atoms.positions[None])
            self.output(calculation, "output_trajectory", label)
            labels[label_of_index(place)] = label
            frame = self.atoms.copy()
            forces = np.random.default_rng(place).normal(size=(len(frame), 3))
            frame.calc = SinglePointCalculator(frame, energy=-100.0, forces=forces)
            frames.append(frame)
            wrong = np.random.default_rng(1000 + place).normal(size=forces.shape)
            predictions.append((-100.0, forces + wrong * errors[where] / np.abs(wrong).mean()))
        level = orm.Dict({"settings": {}}).store()
        extension = self.process(
            orm.CalcFunctionNode, "", run, f"round_{index:02d}_new_labels", level_of_theory=level, **labels
        )
        self.output(extension, "result", LabelledDataSetData.from_frames(frames, [{"settings": {}}]))
        label = f"round_{index:02d}_evaluation_of_exploring_potential"
        node = self.process(orm.CalcJobNode, EVALUATION, run, label, dataset=extension.outputs.result)
        self.output(node, "results", orm.Dict(prediction_errors(frames, predictions)))
        return node
