"""Graphs of runs made by hand, from the walkers of each round to the data sets that grow by their labels."""

from __future__ import annotations

from aiida import orm

from aiida_sicmlip.calculations.functions.derive_level_of_theory import derive_level_of_theory
from aiida_sicmlip.common.labels import label_of_index, parse_frame_label, round_label
from aiida_sicmlip.common.process_types import EXPLORATION
from aiida_sicmlip.data.dataset import LabelledDataSetData
from tests.graphs.explorations import Explored


class Learned:
    """A run of two rounds: in each, walkers from two start structures, a selection, labels, an extended data set."""

    def __init__(self, explored: Explored, generate_label, frames) -> None:
        self.explored, self.frames = explored, frames
        self.labels: list[orm.TrajectoryData] = []
        self.datasets: list[LabelledDataSetData] = []
        self.picks: list[tuple[int, int]] = []
        run = explored.run()
        other = orm.StructureData(ase=explored.atoms).store()
        for index in (0, 1):
            starts = {"structures__vv": explored.structure, "structures__antisite_pair": other}
            exploration = explored.process(
                orm.WorkChainNode,
                EXPLORATION,
                run,
                round_label(index, "exploration"),
                **starts,
            )
            segments = [self.segment(exploration, start) for start in starts.values()]
            picks = [(0, 2), (1, 11)]
            selection = explored.selection(run, index, segments, picks)
            # Segments are numbered through all rounds.
            self.picks += [(2 * index + segment, frame) for segment, frame in picks]
            links = selection.base.links.get_outgoing(node_class=orm.StructureData).all()
            links.sort(key=lambda link: parse_frame_label(link.link_label.rsplit("__", 1)[-1]))
            indices_of_round = range(2 * index, 2 * index + 2)
            self.labels += [
                generate_label(frames[number], structure=structure)
                for number, structure in zip(indices_of_round, [link.node for link in links], strict=True)
            ]
            inputs = self.labels[0].creator.inputs
            level = derive_level_of_theory(inputs.parameters, inputs.kpoints, inputs.code, **inputs.pseudos)
            given = {label_of_index(number): self.labels[number] for number in indices_of_round}
            if self.datasets:
                given["previous"] = self.datasets[-1]
            call = explored.process(
                orm.CalcFunctionNode, "", run, round_label(index, "training_set"), level_of_theory=level, **given
            )
            dataset = LabelledDataSetData.from_frames(frames[: 2 * index + 2], [level.get_dict()])
            explored.output(call, "result", dataset)
            self.datasets.append(dataset)
        self.selections = [selection]

    def segment(self, exploration, start: orm.StructureData):
        """Return a calculation of a walker from ``start``."""
        self.explored.structure, kept = start, self.explored.structure
        node = self.explored.segment(self.explored.walker(exploration), biased=False)
        self.explored.structure = kept
        return node
