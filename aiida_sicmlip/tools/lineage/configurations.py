"""The configurations of a data set, each with its label and all that led to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from aiida import orm

from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.tools.lineage.creations import inputs_of_calls
from aiida_sicmlip.tools.lineage.dynamics import sources_of_trajectories
from aiida_sicmlip.tools.lineage.rounds import RoundOfRun, rounds_of_calls, starts_of_trajectories
from aiida_sicmlip.tools.lineage.sources import labels_of_dataset

_NUMBERS = ("index", "charge", "spin", "level", "round", "segment", "frame", "step", "time", "start", "file_index")
"""Fields of a configuration that are no nodes."""


@dataclass(frozen=True)
class Configuration:
    """A configuration of a data set with all that led to it; nodes by PK, None where there is nothing.

    index: its index in the data set, from 0.
    charge: total charge, e.
    spin: number of unpaired electrons.
    level: index of its level of theory among those of the data set.
    label: energy and forces, the `output_trajectory` of the calculation.
    calculation: the first-principles calculation.
    code: what ran it.
    level_of_theory: the node of that level.
    structure: what was computed.
    run: the active-learning run that picked the structure, or else took up the label.
    round: its round there.
    selection: the calcfunction that picked the structure among candidates.
    trajectory: where the frame is from.
    segment: the number of the trajectory among those of the run.
    frame: index in the trajectory.
    step: MD step of the frame.
    time: time of the frame since the start of its run in ps.
    start: name of the start structure.
    exploration: the calculation that made the trajectory.
    potential: what drove it: a classical potential or a compiled model.
    model: the portable model that was compiled.
    collective_variables: what it was biased along.
    bias: settings of that bias.
    file: the file that the configuration was imported from.
    file_index: its index in the file.
    added_by: the calcfunction that took it up.
    """

    index: int
    charge: int | None = None
    spin: int | None = None
    level: int = 0
    label: int | None = None
    calculation: int | None = None
    code: int | None = None
    level_of_theory: int | None = None
    structure: int | None = None
    run: int | None = None
    round: int | None = None
    selection: int | None = None
    trajectory: int | None = None
    segment: int | None = None
    frame: int | None = None
    step: int | None = None
    time: float | None = None
    start: str | None = None
    exploration: int | None = None
    potential: int | None = None
    model: int | None = None
    collective_variables: int | None = None
    bias: int | None = None
    file: int | None = None
    file_index: int | None = None
    added_by: int | None = None

    @property
    def origin(self) -> RoundOfRun | None:
        """The round that it is from, None outside of a run."""
        return RoundOfRun(self.run, self.round) if self.run is not None and self.round is not None else None


NODES = tuple(entry.name for entry in fields(Configuration) if entry.name not in _NUMBERS)
"""Fields of a configuration that are nodes."""


def configurations_of_dataset(dataset: LabelledDataSetData) -> list[Configuration]:
    """Return every configuration of ``dataset`` with all that led to it, in its order.

    A fixed number of queries besides those of
    :func:`~aiida_sicmlip.tools.lineage.sources.labels_of_dataset`, each for a thousand nodes.
    """
    sources = labels_of_dataset(dataset)
    calls = _known(source.added_by for source in sources)
    trajectories = _known(source.trajectory for source in sources)
    levels = inputs_of_calls(orm.CalcFunctionNode, calls, "level_of_theory")
    codes = inputs_of_calls(orm.CalcJobNode, _known(source.calculation for source in sources), "code")
    rounds = rounds_of_calls(calls | _known(source.selection for source in sources))
    starts = starts_of_trajectories(trajectories)
    trajectory_sources = sources_of_trajectories(trajectories)
    states = dataset.states()
    configurations = []
    for source in sources:
        where = rounds.get(source.selection or 0) or rounds.get(source.added_by or 0)
        driven_by = trajectory_sources.get(source.trajectory or 0)
        dynamics: dict[str, Any] = {}
        if driven_by is not None and source.frame is not None:
            dynamics = {
                "step": driven_by.step(source.frame),
                "time": driven_by.time(source.frame),
                "exploration": driven_by.calculation,
                "potential": driven_by.potential,
                "model": driven_by.model,
                "collective_variables": driven_by.collective_variables,
                "bias": driven_by.bias,
            }
        configurations.append(
            Configuration(
                index=source.index,
                **vars(states[source.index]),
                label=source.label,
                calculation=source.calculation,
                code=codes.get(source.calculation or 0),
                level_of_theory=levels.get(source.added_by or 0),
                structure=source.structure,
                run=where.run if where else None,
                round=where.index if where else None,
                selection=source.selection,
                trajectory=source.trajectory,
                segment=source.segment,
                frame=source.frame,
                start=starts.get(source.trajectory or 0),
                file=source.file,
                file_index=source.file_index,
                added_by=source.added_by,
                **dynamics,
            )
        )
    return configurations


def nodes_of_configurations(configurations: Sequence[Configuration]) -> set[int]:
    """Return the PKs of all nodes that the configurations name."""
    return {
        pk for configuration in configurations for name in NODES if (pk := getattr(configuration, name)) is not None
    }


def _known(pks: Iterable[int | None]) -> set[int]:
    """Return what is not None."""
    return {pk for pk in pks if pk is not None}
