"""What a selection picked from which start structure and at which temperature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiida import orm

from aiida_sicmlip.common.labels import number_of_segment
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.tools.lineage.rounds import FINDER

BUILDER = "build_defect_structure"
"""The calcfunction whose inputs say which defects a start structure has."""


@dataclass(frozen=True)
class OriginOfSegment:
    """Where a trajectory is from.

    structure: name of its start structure.
    defect: what that structure was built with, or its formula where it was given as it is.
    n_atoms: of that structure.
    temperature: of the thermostat in K; None where the run took the default.
    """

    structure: str
    defect: str
    n_atoms: int
    temperature: float | None


@dataclass
class PickShare:
    """What one origin has in a selection.

    origin: start structure and temperature.
    n_frames: number of frames of its trajectories that were described in this round.
    picks: number of picks by role.
    n_earlier: number of picks that are frames of earlier rounds.
    """

    origin: OriginOfSegment
    n_frames: int = 0
    picks: Counter[str] = field(default_factory=Counter)
    n_earlier: int = 0

    @property
    def in_words(self) -> str:
        """How many of the frames were picked, such as ``4 of 60 frames, 1 of earlier rounds``."""
        n_new = sum(self.picks.values()) - self.n_earlier
        parts = [f"{n_new} of {self.n_frames} frames"] if self.n_frames else []
        parts += [f"{self.n_earlier} of earlier rounds"] if self.n_earlier else []
        return ", ".join(parts) or "no frames"


def composition_of_selection(
    selection: orm.ProcessNode, roles: Sequence[str], segments: Sequence[int]
) -> list[PickShare]:
    """Return the share of each origin in a selection, by structure and temperature; four queries, whatever its size.

    Origins of earlier rounds are among them where some of their frames were picked in this one.

    :param roles: what each pick is for.
    :param segments: number of the segment of each pick.
    """
    shares: dict[OriginOfSegment, PickShare] = {}
    current = _description_of_round(selection.pk)
    origins: dict[int, OriginOfSegment] = {}
    earlier: set[int] = set()
    for number, description, n_frames, origin in _segments(selection.pk):
        origins[number] = origin
        if description == current:
            shares.setdefault(origin, PickShare(origin)).n_frames += n_frames
        else:
            earlier.add(number)
    for role, segment in zip(roles, segments, strict=True):
        if int(segment) in origins:
            origin = origins[int(segment)]
            share = shares.setdefault(origin, PickShare(origin))
            share.picks[role] += 1
            share.n_earlier += int(segment) in earlier
    return sorted(shares.values(), key=lambda share: (share.origin.structure, share.origin.temperature or 0.0))


def defect_in_words(structure: orm.StructureData) -> str:
    """Return which defects a structure was built with, such as ``vacancy of C``, or its formula if it was not.

    Of a state that walkers found, the defects that it has.
    """
    creator = structure.creator
    if creator is not None and creator.process_label == FINDER:
        return f"state {structure.label}"
    if creator is None or creator.process_label != BUILDER:
        return structure.get_formula()
    return " + ".join(_one_in_words(defect) for defect in creator.inputs.defects.get_list()) or "no defect"


def _one_in_words(defect: Mapping[str, Any] | str) -> str:
    """Return one defect of a description in words."""
    if isinstance(defect, str) or "name" in defect:
        name = defect if isinstance(defect, str) else str(defect["name"])
        count = 1 if isinstance(defect, str) else defect.get("count", 1)
        return name if count == 1 else f"{count} x {name}"
    kind, species = str(defect["kind"]).replace("_", " "), defect.get("species")
    text = f"{kind} of {'-'.join(species) if isinstance(species, list) else species}" if species else kind
    text += f" on {defect['on']}" if defect.get("on") else ""
    count = defect.get("count", 1)
    return text if count == 1 else f"{count} x {text}"


def _query_of_descriptions(pk: int, label: str = "%") -> orm.QueryBuilder:
    """Return the part of a query that leads from a selection to the calculations whose candidates it chose from.

    :param label: of the link of the candidates, as SQL's ``like`` takes it; those of its own round are `candidates`.
    """
    query = orm.QueryBuilder()
    query.append(orm.CalcFunctionNode, filters={"id": pk}, tag="selection")
    query.append(
        CandidateFramesData, with_outgoing="selection", edge_filters={"label": {"like": label}}, tag="candidates"
    )
    return query.append(orm.CalcJobNode, with_outgoing="candidates", project="id", tag="description")


def _description_of_round(pk: int) -> int | None:
    """Return the PK of the calculation that described the frames of a selection's own round."""
    query = _query_of_descriptions(pk, "candidates")
    description = query.first(flat=True)
    return description if description is None else int(description)


def _segments(pk: int) -> list[tuple[int, int, int, OriginOfSegment]]:
    """Return number, PK of the description, number of frames and origin of the segments that a selection saw."""
    query = _query_of_descriptions(pk)
    query.append(
        SegmentTrajectoryData,
        with_outgoing="description",
        edge_filters={"label": {"like": "trajectories\\_\\_%"}},
        edge_project="label",
        project=["id", "attributes.n_frames"],
        tag="segment",
    )
    query.append(orm.CalcJobNode, with_outgoing="segment", tag="run")
    query.append(
        orm.Dict, with_outgoing="run", edge_filters={"label": "parameters"}, project="attributes.temperature", tag="how"
    )
    query.append(orm.StructureData, with_outgoing="run", edge_filters={"label": "structure"}, project="id")
    described: dict[int, tuple[str, int]] = {}
    segments = []
    for description, _, n_frames, temperature, start, label in query.distinct().all():
        if start not in described:
            structure = orm.load_node(start)
            described[start] = (defect_in_words(structure), len(structure.sites))
        name, segment = label.split("__", 1)[1].rsplit("__", 1)
        origin = OriginOfSegment(name, *described[start], None if temperature is None else float(temperature))
        segments.append((number_of_segment(segment), description, n_frames, origin))
    return segments
