"""What drove the runs that trajectories are from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aiida import orm

from aiida_sicmlip.data.compiled_potential import CompiledPotentialData
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.creations import in_chunks

_INPUTS = {
    "code": "code",
    "structure": "start",
    "potential": "potential",
    "collective_variables": "collective_variables",
    "bias": "bias",
}
"""Link labels of an exploration's inputs, and what they are called here."""


@dataclass(frozen=True)
class TrajectorySource:
    """A trajectory with what drove its run (PKs); None where nothing did, or nothing is known.

    trajectory: the trajectory.
    first_step: MD step of its first frame.
    steps_between_frames: MD steps from one frame to the next.
    timestep: length of an MD step in ps.
    calculation: the calculation that made it.
    code: what ran.
    start: where the run started.
    potential: what gave the forces: a classical potential or a compiled model.
    model: the portable model that was compiled.
    collective_variables: what the run was biased along.
    bias: settings of the bias.
    """

    trajectory: int
    first_step: int
    steps_between_frames: int
    timestep: float
    calculation: int | None = None
    code: int | None = None
    start: int | None = None
    potential: int | None = None
    model: int | None = None
    collective_variables: int | None = None
    bias: int | None = None

    def step(self, frame: int) -> int:
        """Return the MD step of a frame."""
        return self.first_step + frame * self.steps_between_frames

    def time(self, frame: int) -> float:
        """Return the time of a frame since the start of the run in ps."""
        return self.step(frame) * self.timestep


def sources_of_trajectories(pks: Iterable[int]) -> dict[int, TrajectorySource]:
    """Return what drove each of the trajectories: four queries for a thousand of them."""
    sources: dict[int, TrajectorySource] = {}
    for chunk in in_chunks(pks):
        names = ("first_step", "steps_between_frames", "timestep_ps")
        query = orm.QueryBuilder()
        query.append(
            SegmentTrajectoryData,
            filters={"id": {"in": chunk}},
            project=["id", *(f"attributes.{name}" for name in names)],
            tag="trajectory",
        )
        sources |= {row[0]: TrajectorySource(*row) for row in query.all()}
        query = orm.QueryBuilder()
        query.append(SegmentTrajectoryData, filters={"id": {"in": chunk}}, project="id", tag="trajectory")
        query.append(orm.CalcJobNode, with_outgoing="trajectory", project="id", tag="run")
        for trajectory, run in query.all():
            sources[trajectory] = replace(sources[trajectory], calculation=run)
        query.append(
            orm.Data,
            with_outgoing="run",
            edge_filters={"label": {"in": list(_INPUTS)}},
            edge_project="label",
            project="id",
        )
        for trajectory, _, node, label in query.all():
            sources[trajectory] = replace(sources[trajectory], **{_INPUTS[label]: node})
    models = models_of_compiled({source.potential for source in sources.values() if source.potential is not None})
    return {pk: replace(source, model=models.get(source.potential or 0)) for pk, source in sources.items()}


def models_of_compiled(pks: Iterable[int]) -> dict[int, int]:
    """Return the portable model that each compiled one was made from; other potentials are left out."""
    models: dict[int, int] = {}
    for chunk in in_chunks(pks):
        query = orm.QueryBuilder()
        query.append(CompiledPotentialData, filters={"id": {"in": chunk}}, project="id", tag="compiled")
        query.append(orm.CalcJobNode, with_outgoing="compiled", tag="compilation")
        query.append(PotentialData, with_outgoing="compilation", edge_filters={"label": "potential"}, project="id")
        models.update(query.all())
    return models
