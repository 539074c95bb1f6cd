"""Graphs of active-learning runs as large as one likes, written straight into the database: no process runs.

Nodes have the types, attributes and links that the lineage is asked by, and no files. Data sets grow as in a run:
training sets by the labels of each round, validation sets are replaced.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm.entities import EntityTypes
from aiida_lammps.data.potential import LammpsPotentialData
from aiida_pseudo.data.pseudo.upf import UpfData

from aiida_sicmlip.common import process_types
from aiida_sicmlip.common.labels import frame_label, label_of_index, round_label, segment_label
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.collective_variables import CollectiveVariablesData
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData

FRAMES = 1000
"""Frames of a trajectory."""
STRUCTURE = {
    "cell": [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]],
    "pbc1": True,
    "pbc2": True,
    "pbc3": True,
    "kinds": [{"name": "Si", "symbols": ["Si"], "weights": [1.0], "mass": 28.085}],
    "sites": [{"kind_name": "Si", "position": [0.0, 0.0, 0.0]}],
}
"""Attributes of all structures: one atom stands for all, since no question looks at atoms."""
LEVEL = {"functional": "PBE", "settings": {"ecutwfc": 30.0}}


class Writer:
    """Collects nodes and links, and stores them in bulk; nodes are numbers of its own until then."""

    def __init__(self) -> None:
        self.pks: list[int] = []
        self.n_links = 0
        self._nodes: list[dict[str, Any]] = []
        self._links: list[tuple[int, int, LinkType, str]] = []
        self._user = orm.User.collection.get_default().pk
        _, machine = orm.Computer.collection.get_or_create(
            label="machine", hostname="localhost", transport_type="core.local", scheduler_type="core.direct"
        )
        self._computer = machine.store().pk

    def node(self, kind: type[orm.Node], process_type: str | None = None, **attributes: Any) -> int:
        """Add a node and return its number."""
        is_code = issubclass(kind, orm.AbstractCode)
        if issubclass(kind, orm.ProcessNode):
            attributes = {"process_state": "finished", "exit_status": 0, "sealed": True, **attributes}
        self._nodes.append(
            {
                "uuid": str(uuid.uuid4()),
                "node_type": kind.class_node_type,
                "process_type": process_type,
                "attributes": attributes,
                "label": attributes.get("input_plugin", ""),
                "dbcomputer_id": self._computer if is_code else None,
                "user_id": self._user,
            }
        )
        return len(self.pks) + len(self._nodes) - 1

    def link(self, kind: LinkType, source: int, target: int, label: str) -> None:
        """Add a link."""
        self._links.append((source, target, kind, label))

    def process(
        self,
        kind: type[orm.ProcessNode],
        process_type: str | None,
        name: str,
        inputs: dict[str, int],
        caller: tuple[int, str] | None = None,
    ) -> int:
        """Add a process with its inputs by link label, and with its caller and the label of that call."""
        is_work = issubclass(kind, orm.WorkflowNode)
        node = self.node(kind, process_type, process_label=name)
        for label, given in inputs.items():
            self.link(LinkType.INPUT_WORK if is_work else LinkType.INPUT_CALC, given, node, label)
        if caller is not None:
            self.link(LinkType.CALL_WORK if is_work else LinkType.CALL_CALC, caller[0], node, caller[1])
        return node

    def output(self, process: int, label: str, kind: type[orm.Data], **attributes: Any) -> int:
        """Add what a process has made."""
        node = self.node(kind, **attributes)
        self.link(LinkType.CREATE, process, node, label)
        return node

    def store(self) -> None:
        """Write what was added since the last time."""
        backend = get_manager().get_profile_storage()
        uuids = [row["uuid"] for row in self._nodes]
        made = backend.bulk_insert(EntityTypes.NODE, self._nodes, allow_defaults=True)
        query = orm.QueryBuilder().append(
            orm.Node, filters={"id": {">=": min(made), "<=": max(made)}}, project=["uuid", "id"]
        )
        by_uuid = dict(query.all())
        self.pks += [by_uuid[one] for one in uuids]
        links = [
            {"input_id": self.pks[source], "output_id": self.pks[target], "type": kind.value, "label": label}
            for source, target, kind, label in self._links
        ]
        backend.bulk_insert(EntityTypes.LINK, links, allow_defaults=True)
        self.n_links += len(links)
        self._nodes, self._links = [], []


@dataclass
class Graph:
    """PKs of what a run made, by round where they are lists.

    run: the run.
    code: `pw.x`.
    pseudopotential: that of silicon.
    bootstrap: the classical potential that drives round 0.
    labels: labels of each round, those for training first.
    structures: what they are of.
    trajectories: trajectories of each round.
    variables: collective variables that each round was biased along.
    training_sets: training set after each round.
    validation_sets: validation set of each round.
    models: portable model of each round.
    compiled: compiled model of each round.
    n_nodes: nodes in all.
    n_links: links in all.
    """

    run: int = 0
    code: int = 0
    pseudopotential: int = 0
    bootstrap: int = 0
    labels: list[list[int]] = field(default_factory=list)
    structures: list[list[int]] = field(default_factory=list)
    trajectories: list[list[int]] = field(default_factory=list)
    variables: list[int] = field(default_factory=list)
    training_sets: list[int] = field(default_factory=list)
    validation_sets: list[int] = field(default_factory=list)
    models: list[int] = field(default_factory=list)
    compiled: list[int] = field(default_factory=list)
    n_nodes: int = 0
    n_links: int = 0


class RunWriter:
    """Writes the rounds of one run."""

    def __init__(self, labels: int, validation: int, walkers: int) -> None:
        self.n_labels, self.n_validation, self.n_walkers = labels, validation, walkers
        self.writer = writer = Writer()
        self.graph = Graph()
        self.run = writer.process(orm.WorkChainNode, process_types.ACTIVE_LEARNING, "ActiveLearningWorkChain", {})
        self.codes = {name: writer.node(orm.InstalledCode, input_plugin=name) for name in ("pw", "lmp", "potential")}
        self.pseudos = {f"pseudos__{name}": writer.node(UpfData, element=name) for name in ("Si", "C")}
        self.start = writer.node(orm.StructureData, **STRUCTURE)
        self.settings = writer.node(orm.Dict)
        self.kpoints = writer.node(orm.KpointsData)
        self.bootstrap = writer.node(LammpsPotentialData, pair_style="edip/multi")
        # Numbers, not PKs: they are translated when all is stored.
        self.driving = self.bootstrap
        self.candidates: list[int] = []
        self.segments: list[list[int]] = []
        self.datasets: dict[str, tuple[int, int]] = {}

    def call(self, index: int, step: str) -> tuple[int, str]:
        """Return the run, and the label of a call in a round."""
        return self.run, round_label(index, step)

    def explore(self, index: int) -> None:
        """Write walkers along variables that were learned from those of the round before."""
        writer = self.writer
        exploration = writer.process(
            orm.WorkChainNode,
            process_types.EXPLORATION,
            "ExplorationWorkChain",
            {"structures__divacancy": self.start, "potential": self.driving},
            self.call(index, "exploration"),
        )
        earlier = self.segments[-1] if self.segments else []
        learning = writer.process(
            orm.CalcJobNode,
            process_types.COLLECTIVE_VARIABLES,
            "CollectiveVariablesCalculation",
            {"structure": self.start}
            | {f"trajectories__{segment_label(place)}": node for place, node in enumerate(earlier)},
            (exploration, "variables_divacancy"),
        )
        variables = writer.output(learning, "collective_variables", CollectiveVariablesData)
        self.graph.variables.append(variables)
        made = []
        for number in range(self.n_walkers):
            walker = writer.process(
                orm.WorkChainNode, process_types.WALKER, "WalkerWorkChain", {}, (exploration, f"walker_{number:02d}")
            )
            given = {
                "code": self.codes["lmp"],
                "structure": self.start,
                "potential": self.driving,
                "collective_variables": variables,
                "bias": self.settings,
            }
            segment = writer.process(
                orm.CalcJobNode,
                process_types.EXPLORATION_CALCULATION,
                "ExplorationCalculation",
                given,
                (walker, "segment_00"),
            )
            times = {"n_frames": FRAMES, "first_step": 0, "steps_between_frames": 10, "timestep_ps": 0.001}
            made.append(writer.output(segment, "trajectory", SegmentTrajectoryData, **times))
        self.segments.append(made)

    def select(self, index: int) -> dict[str, list[int]]:
        """Write candidates and a selection, and return the structures by role.

        Those for training are from trajectories of this round, those for validation from all so far.
        """
        writer, walkers = self.writer, self.n_walkers
        first = index * walkers
        given = {
            f"trajectories__divacancy__{segment_label(first + place)}": node
            for place, node in enumerate(self.segments[-1])
        }
        if "training" in self.datasets:
            given["training_set"] = self.datasets["training"][0]
        given |= {f"earlier__round_{place:02d}": node for place, node in enumerate(self.candidates)}
        description = writer.process(
            orm.CalcJobNode,
            process_types.DESCRIPTORS,
            "DescriptorsCalculation",
            given,
            self.call(index, "descriptors"),
        )
        candidates = writer.output(description, "candidates", CandidateFramesData, n_candidates=2000)
        selection = writer.process(
            orm.CalcFunctionNode,
            None,
            "select_frames",
            {"candidates": candidates} | {f"round_{place:02d}": node for place, node in enumerate(self.candidates)},
            self.call(index, "selection"),
        )
        self.candidates.append(candidates)
        places = {
            "training": [(first + place % walkers, place // walkers) for place in range(self.n_labels)],
            # Frames from the end of trajectories, a run of numbers of their own for each round.
            "validation": [
                (place % (first + walkers), FRAMES - 1 - index - place) for place in range(self.n_validation)
            ],
        }
        return {
            role: [
                writer.output(selection, f"{role}__{frame_label(segment, frame)}", orm.StructureData, **STRUCTURE)
                for segment, frame in found
            ]
            for role, found in places.items()
        }

    def label(self, index: int, picked: dict[str, list[int]]) -> dict[str, list[int]]:
        """Write one work chain and one calculation for each structure, and return the labels by role."""
        writer = self.writer
        names = [f"structures__{role}_{place:06d}" for role, nodes in picked.items() for place in range(len(nodes))]
        structures = [node for nodes in picked.values() for node in nodes]
        labelling = writer.process(
            orm.WorkChainNode,
            process_types.LABELLING,
            "LabellingWorkChain",
            dict(zip(names, structures, strict=True)),
            self.call(index, "labelling"),
        )
        shared = {"code": self.codes["pw"], "kpoints": self.kpoints, **self.pseudos}
        made: list[int] = []
        for place, structure in enumerate(structures):
            chain = writer.process(
                orm.WorkChainNode,
                process_types.PW_BASE,
                "PwBaseWorkChain",
                {"pw__structure": structure, "pw__code": self.codes["pw"]},
                (labelling, f"label_of_{place:06d}"),
            )
            calculation = writer.process(
                orm.CalcJobNode,
                process_types.PW,
                "PwCalculation",
                {"structure": structure, "parameters": self.settings, **shared},
                (chain, "iteration_01"),
            )
            writer.output(calculation, "output_parameters", orm.Dict)
            made.append(writer.output(calculation, "output_trajectory", orm.TrajectoryData))
            writer.link(LinkType.RETURN, chain, made[-1], "output_trajectory")
            writer.link(LinkType.RETURN, labelling, made[-1], f"labels__label_{place:06d}")
        derived = writer.process(
            orm.CalcFunctionNode,
            None,
            "derive_level_of_theory",
            {"parameters": self.settings, **shared},
            (labelling, "level_of_theory"),
        )
        self.level = writer.output(derived, "result", LevelOfTheoryData, **LEVEL)
        self.graph.structures.append(structures)
        self.graph.labels.append(made)
        return {"training": made[: self.n_labels], "validation": made[self.n_labels :]}

    def extend(self, index: int, labels: dict[str, list[int]]) -> None:
        """Write the data sets of a round."""
        for role, new in {**labels, "new_labels": [*labels["training"], *labels["validation"]]}.items():
            previous, size = self.datasets.get(role, (None, 0)) if role == "training" else (None, 0)
            given = {"level_of_theory": self.level} | ({} if previous is None else {"previous": previous})
            given |= {label_of_index(size + place): node for place, node in enumerate(new)}
            step = role if role == "new_labels" else f"{role}_set"
            call = self.writer.process(orm.CalcFunctionNode, None, "extend_dataset", given, self.call(index, step))
            counts = {"n_frames": size + len(new)}
            states = [{"charge": 0, "spin": 2, "level": 0, **counts}]
            dataset = self.writer.output(call, "result", LabelledDataSetData, states=states, **counts)
            self.datasets[role] = (dataset, size + len(new))
        self.graph.training_sets.append(self.datasets["training"][0])
        self.graph.validation_sets.append(self.datasets["validation"][0])

    def train(self, index: int) -> None:
        """Write a training and a compilation."""
        writer = self.writer
        sets = {f"{role}_set": self.datasets[role][0] for role in ("training", "validation")}
        code = {"code": self.codes["potential"]}
        chain = writer.process(
            orm.WorkChainNode,
            process_types.TRAINING,
            "TrainingWorkChain",
            sets,
            self.call(index, "training"),
        )
        training = writer.process(
            orm.CalcJobNode,
            process_types.TRAINING_CALCULATION,
            "TrainingCalcJob",
            {**sets, **code, "parameters": self.settings},
            (chain, "training"),
        )
        model = writer.output(training, "potential", PotentialData, species=["C", "Si"], cutoff=5.0, metrics={})
        compilation = writer.process(
            orm.CalcJobNode,
            process_types.COMPILATION,
            "CompilationCalculation",
            {"potential": model, **code},
            (chain, "compilation"),
        )
        self.driving = writer.output(compilation, "compiled_potential", CompiledPotentialData)
        self.graph.models.append(model)
        self.graph.compiled.append(self.driving)

    def finish(self) -> Graph:
        """Return the graph with PKs instead of numbers."""
        pks, graph = self.writer.pks, self.graph

        def stored(value: Any) -> Any:
            return [stored(one) for one in value] if isinstance(value, list) else pks[value]

        names = ("labels", "structures", "variables", "training_sets", "validation_sets", "models", "compiled")
        return Graph(
            run=pks[self.run],
            code=pks[self.codes["pw"]],
            pseudopotential=pks[self.pseudos["pseudos__Si"]],
            bootstrap=pks[self.bootstrap],
            trajectories=stored(self.segments),
            n_nodes=len(pks),
            n_links=self.writer.n_links,
            **{name: stored(getattr(graph, name)) for name in names},
        )


def write_run(rounds: int, labels: int, validation: int, walkers: int = 8) -> Graph:
    """Write a run into the profile that is loaded.

    :param labels: labels that each round adds to the training set.
    :param validation: labels of each round's validation set.
    :param walkers: trajectories of each round.
    """
    run = RunWriter(labels, validation, walkers)
    for index in range(rounds):
        run.explore(index)
        run.extend(index, run.label(index, run.select(index)))
        run.train(index)
        run.writer.store()
    return run.finish()
