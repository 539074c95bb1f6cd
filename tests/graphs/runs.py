"""A graph of a whole run made by hand, for what is told of runs: two rounds, with a label and a walker that failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.common.labels import frame_label, parse_frame_label, round_label
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING, EXPLORATION, LABELLING, PW
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.evaluation.assessment import assess
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from tests.conftest import LEVEL_OF_THEORY
from tests.crystals import silicon_carbide_host
from tests.graphs.explorations import Explored
from tests.graphs.potentials import EvaluatedPotentials
from tests.graphs.processes import end

HOST = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
DEFECT = build_defects(HOST, [{"kind": "divacancy"}], 1)
VARIABLES = Path(__file__).parents[1] / "parsers" / "fixtures" / "collective_variables" / "default" / "temporary"
CRITERIA = {"force_mae": 0.2, "minimum_rounds": 2, "relative_diversity": 0.5}
"""Of the criteria that have defaults, those that are not asked for here are null."""
OFF = dict.fromkeys(("exploring_force_mae", "migrating_force_mae", "surroundings_force_mae", "rare_event_score"))


class MadeRun:
    """An active-learning run of ``rounds`` rounds that has ended without meeting its criteria.

    In its first round one label failed and was replaced, and one walker stopped early.
    """

    def __init__(self, rounds: int = 2, name: str = "vv") -> None:
        self.explored = Explored(DEFECT.atoms, CollectiveVariablesData.from_folder(VARIABLES).store())
        self.evaluated = EvaluatedPotentials(self.explored, HOST)
        self.process, self.output = self.explored.process, self.explored.output
        self.structure = orm.StructureData(ase=DEFECT.atoms, label=name).store()
        host = orm.StructureData(ase=HOST).store()
        self.node = self.process(
            orm.WorkChainNode,
            ACTIVE_LEARNING,
            structures__vv=self.structure,
            hosts__vv=host,
            max_rounds=orm.Int(rounds).store(),
            seed=orm.Int(7).store(),
            convergence=orm.Dict({**OFF, **CRITERIA}).store(),
            budget=orm.Dict({"labels": 40, "wall_hours": None}).store(),
        )
        self.failed: list[Any] = []
        assessment: dict[str, Any] | None = None
        for index in range(rounds):
            assessment = self._round(index, assessment)
        self.assessment = assessment
        end(self.node, 701, f"The criteria are not met after {rounds} rounds.")

    def _round(self, index: int, previous: dict[str, Any] | None) -> dict[str, Any]:
        """Make a round and return its assessment."""
        exploration = self.process(
            orm.WorkChainNode,
            EXPLORATION,
            self.node,
            round_label(index, "exploration"),
            structures__vv=self.explored.structure,
        )
        walker = self.explored.walker(exploration)
        segment = self.explored.segment(walker, seed=index)
        if index == 0:
            end(segment, 410, "The temperature diverged.")
            end(walker, 710, "The frames before are kept.")
            self.failed.append(segment)
        selection = self.explored.selection(self.node, index, [segment], n_training=5, n_validation=3, separation=0.0)
        links = selection.base.links.get_outgoing(node_class=orm.StructureData).all()
        frames = sorted(link.link_label.rsplit("__", 1)[-1] for link in links)
        self._labelling(index, "labelling", frames, failing=index == 0)
        if index == 0:
            self._labelling(index, "replacement_labelling", [frame_label(parse_frame_label(frames[0])[0], 29)])
        sets = [self._dataset(index, f"{name}_set", count) for name, count in (("training", 5), ("validation", 3))]
        new = self._dataset(index, "new_labels", 8)
        potential = self.evaluated.compilation(None, self.evaluated.training(None, *sets).outputs.potential)
        label = round_label(index, "evaluation_of_exploring_potential")
        exploring = self.evaluated.evaluation(new, potential.outputs.compiled_potential, self.node, label, noise=0.6)
        chain = self.evaluated.training_chain(*sets, self.node, index, noise=0.4 / (1 + index))
        results = {
            link.link_label: link.node.outputs.results.get_dict()
            for link in chain.base.links.get_outgoing(link_type=LinkType.CALL_CALC).all()
            if link.link_label.startswith("evaluation_")
        }
        summary = next(link.node for link in selection.base.links.get_outgoing().all() if link.link_label == "summary")
        found = assess(
            ConvergenceCriteria(**OFF, **CRITERIA),
            exploring=exploring.outputs.results.get_dict(),
            training=results["evaluation_training"],
            validation=results["evaluation_validation"],
            selection=summary.get_dict(),
            defect_types={"V_C+V_Si": 8},
            previous=previous,
        )
        call = self.process(orm.CalcFunctionNode, "", self.node, round_label(index, "assessment"))
        self.output(call, "result", orm.Dict(found))
        # As it comes back: numbers in the graph have fourteen digits.
        return call.outputs.result.get_dict()

    def _labelling(self, index: int, step: str, frames: Sequence[str], failing: bool = False) -> None:
        """Make the labelling of a round; the first label fails, or all are done."""
        structures = {f"structures__{label}": orm.StructureData(ase=DEFECT.atoms).store() for label in frames}
        label = round_label(index, step)
        labelling = self.process(orm.WorkChainNode, LABELLING, self.node, label, **structures)
        labels = [self.process(orm.CalcJobNode, PW, labelling, label) for label in frames]
        if failing:
            end(labels[0], 410, "The electrons did not converge.")
            self.failed.append(labels[0])
        level = LevelOfTheoryData(LEVEL_OF_THEORY)
        self.output(labels[-1], "level_of_theory", level)
        self.output(labelling, "level_of_theory", level)

    def _dataset(self, index: int, step: str, count: int) -> LabelledDataSetData:
        """Make a data set with made-up labels."""
        generator = np.random.default_rng([index, count])
        frames = []
        for _ in range(count):
            frame = DEFECT.atoms.copy()
            frame.positions += generator.normal(0.0, 0.03, frame.positions.shape)
            forces = generator.normal(0.0, 1.0, frame.positions.shape)
            frame.calc = SinglePointCalculator(frame, energy=generator.normal(-100.0, 1.0), forces=forces)
            frames.append(frame)
        call = self.process(orm.CalcFunctionNode, "", self.node, round_label(index, step))
        dataset = LabelledDataSetData.from_frames(frames, [LEVEL_OF_THEORY])
        self.output(call, "result", dataset)
        return dataset
