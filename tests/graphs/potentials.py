"""Graphs of trained and evaluated potentials made by hand, with what a real training left and real comparisons."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from ase import Atoms

from aiida_sicmlip.common.labels import round_label
from aiida_sicmlip.common.process_types import COMPILATION, EVALUATION, TRAINING, TRAINING_CALCULATION
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.engine.evaluation_report import Predictions, report_committee, report_regions
from aiida_sicmlip.engine.prediction import prediction_errors
from tests.graphs.explorations import Explored

LEFT = Path(__file__).parents[1] / "parsers" / "fixtures" / "training" / "default" / "retrieved"
"""What a training of three validations left."""


class EvaluatedPotentials:
    """Makes trainings, compilations and evaluations; predictions are the labels with noise."""

    def __init__(self, explored: Explored, host: Atoms) -> None:
        self.explored, self.host = explored, host
        self.process, self.output = explored.process, explored.output
        label = f"computer-{uuid.uuid4()}"
        computer = orm.Computer(label, "localhost", transport_type="core.local", scheduler_type="core.direct")
        self.code = orm.InstalledCode(computer.store(), "/bin/true", label="potential").store()

    def training(self, caller: Any, training_set: Any, validation_set: Any, **inputs: Any) -> orm.CalcJobNode:
        """Return a training of three validations."""
        node = self.process(
            orm.CalcJobNode,
            TRAINING_CALCULATION,
            caller,
            "training" if caller is not None else "",
            code=self.code,
            training_set=training_set,
            validation_set=validation_set,
            seed=orm.Int(3).store(),
            **inputs,
        )
        curve = orm.ArrayData()
        for name, values in json.loads((LEFT / "training_curve.json").read_text())["columns"].items():
            curve.set_array(name, np.array(values, dtype=float))
        self.output(node, "training_curve", curve)
        self.output(node, "results", orm.Dict(json.loads((LEFT / "training_report.json").read_text())))
        model = PotentialData(io.BytesIO(b"model"), "potential.nequip.zip", species=["C", "Si"], cutoff=3.5)
        self.output(node, "potential", model)
        return node

    def compilation(self, caller: Any, potential: PotentialData, device: str = "cpu") -> orm.CalcJobNode:
        """Return a compilation."""
        node = self.process(
            orm.CalcJobNode,
            COMPILATION,
            caller,
            "compilation" if caller is not None else "",
            potential=potential,
        )
        compiled = CompiledPotentialData(
            io.BytesIO(b"compiled"), "a.nequip.pt2", species=["C", "Si"], cutoff=3.5, device=device, torch_version="2.1"
        )
        self.output(node, "compiled_potential", compiled)
        return node

    def evaluation(
        self,
        dataset: Any,
        potential: Any,
        caller: Any = None,
        label: str = "",
        *,
        noise: float = 0.1,
        committee: bool = False,
        hosts: Mapping[str, Atoms] | None = None,
    ) -> orm.CalcJobNode:
        """Return an evaluation with what the program reports of such predictions."""
        frames = dataset.frames()
        generator = np.random.default_rng(dataset.n_frames)
        members = []
        for _ in range(3 if committee else 1):
            forces = np.concatenate([frame.get_forces() for frame in frames])
            energies = np.array([frame.get_potential_energy() for frame in frames])
            members.append(
                Predictions(
                    energies + noise * generator.normal(size=energies.shape),
                    forces + noise * generator.normal(size=forces.shape),
                    np.array([len(frame) for frame in frames]),
                    None,
                )
            )
        evaluated = members[0]
        report = prediction_errors(frames, evaluated.by_frame())
        known = {"vv": self.host} if hosts is None else hosts
        regions, arrays = report_regions(frames, evaluated.forces, known, set(known))
        report |= regions
        if committee:
            summary, disagreement = report_committee(frames, evaluated, members[1:], report["energy_error_per_frame"])
            report["committee"] = summary
            arrays |= disagreement
        node = self.process(orm.CalcJobNode, EVALUATION, caller, label, dataset=dataset, potential=potential)
        self.output(node, "results", orm.Dict(report))
        predictions = orm.ArrayData()
        for name, array in {**evaluated.arrays(), **arrays}.items():
            predictions.set_array(name, array)
        self.output(node, "predictions", predictions)
        return node

    def training_chain(
        self, training_set: Any, validation_set: Any, run: Any = None, index: int = 0, **options: Any
    ) -> orm.WorkChainNode:
        """Return a training with its compilation and evaluations; further names are options of the evaluations."""
        label = round_label(index, "training") if run is not None else ""
        chain = self.process(orm.WorkChainNode, TRAINING, run, label)
        potential = self.training(chain, training_set, validation_set).outputs.potential
        compiled = self.compilation(chain, potential).outputs.compiled_potential
        for name, dataset in (("training", training_set), ("validation", validation_set)):
            self.evaluation(dataset, compiled, chain, f"evaluation_{name}", **options)
        self.output(chain, "potential", potential)
        return chain
