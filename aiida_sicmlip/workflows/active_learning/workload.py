"""Workload of a run with given settings, the input of the cost estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder
from ase import Atoms

from aiida_sicmlip.calculations.functions.build_structure import host_structure
from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.science.costs.estimates import (
    ATOMS_PER_DEFECT,
    SECONDS_PER_REFERENCE_LABEL,
    Cell,
    Network,
    label_seconds,
)
from aiida_sicmlip.science.costs.runs import Labels, Trainings, Walkers, Workload
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.pines.settings import CollectiveVariableSettings
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.training.settings import TrainingParameters
from aiida_sicmlip.tools.continuation import SETS
from aiida_sicmlip.tools.costs import asked_cores
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.workflows.protocols.exploration import (
    conditions_of_structures,
    final_run_parameters,
    own_settings,
    unbiased_parameters,
)


@dataclass(frozen=True)
class InitialState:
    """Initial state of a run.

    sizes: number of configurations of the initial data sets, by name.
    has_model: whether a trained model explores the first round.
    members: number of potentials of its committee.
    has_frames: whether there are frames from which the first collective variables are learned.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    has_model: bool = False
    members: int = 1
    has_frames: bool = False


def initial_state(builder: ProcessBuilder) -> InitialState:
    """Return the initial state of the run of a builder."""
    initial = builder._inputs(prune=True).get("initial", {})
    return InitialState(
        sizes={name: initial[name].n_frames for name in SETS if name in initial},
        has_model=isinstance(builder.bootstrap_potential, CompiledPotentialData),
        members=1 + len(initial.get("committee", {})),
        has_frames=bool(initial.get("trajectories")),
    )


def workload_of_settings(settings: Mapping[str, Any], initial: InitialState | None = None) -> Workload:
    """Return the maximum workload of a run.

    A profile must be loaded only if the settings refer to nodes.

    :param settings: complete, as returned by :func:`~aiida_sicmlip.workflows.protocols.loop.load_protocol`.
    :param initial: initial state of the run; only the bootstrap potential of the settings by default.
    :raises InputError: if a setting is invalid.
    """
    initial = initial or InitialState(has_model=_is_model(settings["bootstrap"]))
    exploration, structures = settings["exploration"], settings["structures"]
    cells = {name: _cell(description, name) for name, description in structures.items()}
    selection = SelectionSettings.from_mapping(settings["selection"]["parameters"])
    training = settings["training"]
    parameters = TrainingParameters.from_mapping(training["parameters"])
    network = Network(**{name: getattr(parameters.model, name) for name in Network.__dataclass_fields__})
    final_runs = _final_runs(settings, cells)
    return Workload(
        rounds=settings["max_rounds"],
        walkers=[
            _walkers(cells[name], exploration["walkers"], condition)
            for name, conditions in conditions_of_structures(exploration, structures).items()
            for condition in conditions
        ],
        unbiased_runs=[] if initial.has_frames else _unbiased_runs(exploration, structures, cells),
        labels=_labels(settings["labelling"], selection, max(cells.values(), key=lambda cell: cell.n_atoms), initial),
        trainings=Trainings(
            network=network,
            parameters=parameters,
            members=training["committee_size"],
            compilations=1 + len(settings["further_compilations"]),
            initial_training=initial.sizes.get("training_set", 0),
            initial_validation=initial.sizes.get("validation_set", 0),
            extends_validation=selection.validation_update == "extend",
            trains_on_replaced=selection.trains_on_replaced,
            on_gpu=_on_gpu(parameters.device, training["options"]),
        ),
        first_network=network if initial.has_model else None,
        first_members=initial.members,
        biased=exploration["bias"] is not None,
        dynamics_on_gpu=_on_gpu(settings["compilation"]["parameters"].get("device", "cpu"), exploration["options"]),
        n_centres=_centres(selection),
        n_structures=len(structures),
        concurrent=exploration["max_concurrent"],
        final_runs=final_runs,
        final_labels=sum(run.count for run in final_runs) * (settings["final_run"] or {}).get("n_labels", 0),
        **_variables(exploration),
    )


def _cell(description: Mapping[str, Any], name: str) -> Cell:
    """Return the size of a start structure."""
    if "node" in description:
        node = load(description["node"], [orm.StructureData], f"structures.{name}.node")
        return Cell(len(node.sites), node.get_cell_volume())
    host: Atoms = host_structure(dict(description["host"]))
    atoms = build_defects(host, description["defects"], description.get("seed", 1)).atoms
    return Cell(len(atoms), float(atoms.get_volume()))


def _walkers(cell: Cell, count: int, parameters: Mapping[str, Any]) -> Walkers:
    """Return the workload of walkers with the same settings."""
    run = ExplorationSettings.from_mapping(parameters)
    steps = run.steps(run.equilibration) + run.steps(run.production)
    return Walkers(cell, count, steps, run.n_frames, run.check_steps)


def _unbiased_runs(
    exploration: Mapping[str, Any], structures: Mapping[str, Any], cells: Mapping[str, Cell]
) -> list[Walkers]:
    """Return the unbiased runs; none without a bias."""
    if exploration["bias"] is None:
        return []
    count = exploration["unbiased"]["walkers"]
    return [
        _walkers(cells[name], count, unbiased_parameters(exploration, own_settings(description, f"structures.{name}")))
        for name, description in structures.items()
    ]


def _final_runs(settings: Mapping[str, Any], cells: Mapping[str, Cell]) -> list[Walkers]:
    """Return the free runs of a final run; none where the settings ask for none."""
    final = settings["final_run"]
    if final is None:
        return []
    parameters = final_run_parameters(settings)
    return [_walkers(cells[name], final["walkers"], of_structure) for name, of_structure in parameters.items()]


def _labels(labelling: Mapping[str, Any], selection: SelectionSettings, cell: Cell, initial: InitialState) -> Labels:
    """Return the number and the cost of labels, where each label is assumed to be of the largest cell."""
    if labelling["reference"] is not None:
        seconds = SECONDS_PER_REFERENCE_LABEL
    else:
        system = {key.lower(): value for key, value in labelling["parameters"]["SYSTEM"].items()}
        seconds = label_seconds(
            cell.n_atoms,
            system["ecutwfc"],
            spin_polarised=system.get("nspin", 1) == 2,
            # Time-reversal symmetry halves the number of k-points.
            kpoints=math.ceil(math.prod(labelling["kpoints"]) / 2),
            gamma_only=labelling["gamma_only"],
        )
    return Labels(
        n_training=selection.n_training,
        n_validation=selection.n_validation,
        n_fixed=0 if "fixed_validation_set" in initial.sizes else selection.n_fixed_validation,
        core_seconds=seconds,
        cores=asked_cores(labelling["options"].get("resources") or {}),
        concurrent=labelling["max_concurrent"],
    )


def _on_gpu(device: str, options: Mapping[str, Any]) -> bool:
    """Return whether a step runs on a GPU: `cuda` is set, or `auto` and its jobs request a GPU."""
    return device == "cuda" or (device == "auto" and bool(options.get("gpus_per_node")))


def _is_model(bootstrap: Mapping[str, Any]) -> bool:
    """Return whether the bootstrap potential is a trained model, assumed to be of the size of the run's own model."""
    if bootstrap.get("node") is None:
        return False
    return isinstance(load(bootstrap["node"], [orm.Data], "bootstrap.node"), CompiledPotentialData)


def _centres(selection: SelectionSettings) -> int | None:
    """Return the number of atoms whose descriptors represent a frame; None for all."""
    if selection.centres == "all":
        return None
    return ATOMS_PER_DEFECT if selection.centres == "defect" else len(selection.centres)


def _variables(exploration: Mapping[str, Any]) -> dict[str, int]:
    """Return the maximum numbers of frames and epochs for learning collective variables."""
    if exploration["bias"] is None:
        return {}
    settings = CollectiveVariableSettings.from_mapping(exploration["collective_variables"]["parameters"] or {})
    return {"max_variable_frames": settings.maximum_frames, "variable_epochs": settings.autoencoder.max_epochs}
