"""The selection: which frames, under which links, and never one twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms

from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import parse_frame_label
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from aiida_sicmlip.science.selection.candidates import NothingNewError
from aiida_sicmlip.science.selection.picks import Picks
from tests.graphs.descriptions import Description

FIXTURES = Path(__file__).parents[2] / "parsers" / "fixtures" / "exploration"
PARAMETERS = {
    "n_training": 3,
    "n_validation": 2,
    "separation": 0.0,
    "cutoff": 4.0,
    "n_max": 3,
    "l_max": 2,
    "centres": "all",
}
ROLES = ("training", "validation", "fixed_validation")


@pytest.fixture
def generate_segment(divacancy: Atoms) -> Callable[..., SegmentTrajectoryData]:
    """Makes a segment from a fixture of real runs: its name, number of frames, steps between frames."""

    def make(case: str, n_frames: int, between: int = 5) -> SegmentTrajectoryData:
        return SegmentTrajectoryData(
            FIXTURES / case / "temporary" / "trajectory.dcd",
            symbols=divacancy.get_chemical_symbols(),
            cell=divacancy.cell.array,
            n_frames=n_frames,
            steps_between_frames=between,
        ).store()

    return make


@pytest.fixture
def segments(generate_segment: Callable[..., SegmentTrajectoryData]) -> dict[str, SegmentTrajectoryData]:
    # Two runs of one seed, the second with 15 steps of equilibration: of nine frames seven are different.
    return {"s00": generate_segment("default", 5), "s01": generate_segment("with_equilibration", 4)}


@pytest.fixture
def pick(describe: Description) -> Callable[..., dict[str, Any]]:
    """Describes and selects: segments, seed, further inputs of the description, earlier candidates, settings."""

    def make(
        segments: dict[str, Any],
        seed: int = 1,
        described: dict[str, Any] | None = None,
        earlier: dict[str, Any] | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        parameters = orm.Dict({**PARAMETERS, **changes})
        candidates = describe(
            {"vv": segments},
            parameters=parameters,
            seed=orm.Int(seed),
            earlier=earlier or {},
            **(described or {}),
        )
        picked = select_frames(parameters, orm.Int(seed), candidates, **(earlier or {}))
        return {**picked, "candidates": candidates}

    return make


def places(picked: dict[str, Any]) -> set[str]:
    return {place for name in ROLES for place in picked.get(name, {})}


def labelled(structure: orm.StructureData) -> Atoms:
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = structure.get_ase()
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((len(atoms), 3)))
    return atoms


def test_picks_are_the_frames_that_their_links_name(segments: dict[str, Any], pick: Any) -> None:
    picked = pick(segments)
    assert (len(picked["training"]), len(picked["validation"])) == (3, 2)
    for name, structure in {**picked["training"], **picked["validation"]}.items():
        segment, frame = parse_frame_label(name)
        expected = segments[f"s{segment:02d}"].frames([frame])[0]
        atoms = structure.get_ase()
        assert np.allclose(atoms.positions, expected.positions, atol=1e-12)
        assert np.allclose(atoms.cell.array, expected.cell.array, atol=1e-12)
        assert atoms.get_chemical_symbols() == expected.get_chemical_symbols()


def test_links(segments: dict[str, Any], pick: Any) -> None:
    picked = pick(segments)
    for name in ("training", "validation"):
        for label, structure in picked[name].items():
            link = structure.base.links.get_incoming(link_type=LinkType.CREATE).one()
            assert link.link_label == f"{name}__{label}"
            assert link.node.process_label == "select_frames"
    creator = picked["summary"].creator
    incoming = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    given = {link.link_label: link.node.uuid for link in incoming}
    assert given["candidates"] == picked["candidates"].uuid
    assert set(given) == {"parameters", "seed", "candidates"}


def test_picks_tell_later_rounds_what_was_picked(segments: dict[str, Any], pick: Any) -> None:
    picked = pick(segments)
    arrays = {name: picked["picks"].get_array(name) for name in Picks.names()}
    picks = Picks.from_arrays(arrays)
    named = {(ROLES[role], s, f) for role, s, f in zip(picks.role, picks.segment, picks.frame, strict=True)}
    expected = {(name, *parse_frame_label(place)) for name in ROLES for place in picked.get(name, {})}
    assert named == expected and len(picks) == 5
    assert np.allclose(np.linalg.norm(picks.descriptors, axis=1), 1.0, atol=1e-6)


def test_sets_are_disjoint_and_counted(segments: dict[str, Any], pick: Any, describe: Description) -> None:
    picked = pick(segments)
    assert not set(picked["training"]) & set(picked["validation"])
    summary = picked["summary"].get_dict()
    assert (describe.report["n_frames"], summary["n_training"], summary["n_validation"]) == (9, 3, 2)
    assert (summary["n_training_asked"], summary["n_validation_asked"]) == (3, 2)
    assert (describe.report["n_overlapping"], describe.report["n_filtered"]) == (0, 0)
    assert len(summary["distances_when_picked"]) == 3
    assert summary["novelty"] is None


def test_same_seed_same_picks(segments: dict[str, Any], pick: Any) -> None:
    runs = [pick(segments, seed) for seed in (1, 1, 2)]
    assert [set(run["training"]) for run in runs[1:]] == [set(runs[0]["training"])] * 2
    assert set(runs[0]["validation"]) == set(runs[1]["validation"])
    nodes = [run["candidates"] for run in runs]
    assert nodes[0].base.caching.compute_hash() == nodes[1].base.caching.compute_hash()


def test_random_picks_depend_on_the_seed_alone(segments: dict[str, Any], pick: Any) -> None:
    runs = [set(pick(segments, seed, method="random")["training"]) for seed in (1, 1, 2, 3, 4)]
    assert runs[0] == runs[1] and len(set(map(frozenset, runs))) > 1


def test_filtered_frames_are_not_picked(segments: dict[str, Any], pick: Any, describe: Description) -> None:
    """What the filter keeps of a segment stands beside it; a segment without a filter is taken whole."""
    kept = orm.ArrayData()
    kept.set_array("kept", np.array([1, 4]))
    picked = pick(segments, described={"filters": {"vv": {"s00": kept.store()}}}, n_training=4, n_validation=1)
    assert {name for name in places(picked) if name.startswith("frame_s00")} <= {"frame_s00_000001", "frame_s00_000004"}
    assert describe.report["n_filtered"] == 3


@pytest.mark.parametrize("continues", [True, False])
def test_neighbours_across_a_continuation_are_neighbours(
    generate_segment: Callable[..., SegmentTrajectoryData], continues: bool, pick: Any
) -> None:
    """Two segments of one run are one trajectory, in which picks keep their distance in time."""
    second = generate_segment("failed_walltime", 5).clone()
    second.base.attributes.set("continues", continues)
    second.base.attributes.set("first_step", 25 if continues else 0)
    segments = {"s00": generate_segment("default", 5), "s01": second.store()}
    picked = pick(segments, separation=0.025, n_training=9, n_validation=1)
    # Ten frames, 0.005 ps apart: in one trajectory at most two of them are five frames apart, in each of two one is.
    time = sorted(5 * int(name[7:9]) + int(name[-6:]) for name in places(picked))
    assert len(time) == 2
    if continues:
        assert time[1] - time[0] >= 5


def test_labelled_frames_are_not_picked_again(
    segments: dict[str, Any], generate_dataset: Callable[..., Any], pick: Any
) -> None:
    first = pick(segments)
    sets = {name: generate_dataset([labelled(node) for node in first[name].values()]) for name in ROLES[:2]}
    described = {"training_set": sets["training"], "other_sets": {"validation": sets["validation"]}}
    # Whoever asks for all that is left of the seven different frames gets it.
    second = pick(segments, described=described, n_training=7, n_validation=2)
    assert len(places(second)) == 2
    assert not places(first) & places(second)


def test_picks_whose_label_failed_are_not_picked_again(segments: dict[str, Any], pick: Any) -> None:
    """The next round knows what was picked, whether there are labels or not; segments are numbered through."""
    first = pick(segments)
    described = {"picks": {"round_00": first["picks"]}}
    again = {f"s{2 + number:02d}": node for number, node in enumerate(segments.values())}
    second = pick(again, described=described, earlier={"round_00": first["candidates"]}, n_training=7, n_validation=2)
    assert len(places(second)) == 2
    descriptors = [found["picks"].get_array("descriptors").astype(float) for found in (first, second)]
    assert (1 - descriptors[1] @ descriptors[0].T).min() > 1e-9


def test_earlier_candidates_are_picked_in_later_rounds(
    generate_segment: Callable[..., SegmentTrajectoryData], pick: Any
) -> None:
    first = pick({"s00": generate_segment("default", 5)}, n_training=1, n_validation=1)
    second = pick(
        {"s01": generate_segment("with_equilibration", 4)},
        described={"picks": {"round_00": first["picks"]}},
        earlier={"round_00": first["candidates"]},
        n_training=4,
    )
    assert {name[:9] for name in places(second)} == {"frame_s00", "frame_s01"}
    incoming = second["summary"].creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    assert {link.link_label for link in incoming} == {"parameters", "seed", "candidates", "round_00"}
    with pytest.raises(InputError, match="in the same order"):
        select_frames(orm.Dict(PARAMETERS), orm.Int(1), second["candidates"])


def test_equal_frames_are_not_both_picked(segments: dict[str, Any], pick: Any) -> None:
    picked = places(pick(segments, n_training=7, n_validation=2))
    assert len(picked) == 7
    for twins in ({"frame_s00_000003", "frame_s01_000000"}, {"frame_s00_000004", "frame_s01_000001"}):
        assert len(picked & twins) == 1


def test_frames_next_to_each_other_are_not_both_picked(segments: dict[str, Any], pick: Any) -> None:
    # Frames are 0.005 ps apart.
    picked = pick(segments, separation=0.01, n_training=7, n_validation=2)
    found = sorted(map(parse_frame_label, places(picked)))
    assert 3 <= len(found) <= 5
    for segment in (0, 1):
        frames = [frame for index, frame in found if index == segment]
        assert all(after - before >= 2 for before, after in itertools.pairwise(frames))


def test_overlapping_frames_are_not_picked(
    segments: dict[str, Any],
    generate_segment: Callable[..., SegmentTrajectoryData],
    pick: Any,
    describe: Description,
) -> None:
    overlapping = generate_segment("failed_not_a_number", 1)
    picked = pick({**segments, "s02": overlapping}, n_training=8, n_validation=2)
    assert describe.report["n_overlapping"] == 1
    assert not [name for name in places(picked) if name.startswith("frame_s02")]
    assert len(places(picked)) == 7


def test_nothing_to_pick(generate_segment: Callable[..., SegmentTrajectoryData], pick: Any) -> None:
    with pytest.raises(NothingNewError, match="Of 1 frames 0 have no overlapping atoms"):
        pick({"s00": generate_segment("failed_not_a_number", 1)})


def test_fixed_validation_set_of_the_first_round(segments: dict[str, Any], pick: Any) -> None:
    picked = pick(segments, n_fixed_validation=1, described={"with_fixed": orm.Bool(True)})
    assert [len(picked.get(name, {})) for name in ROLES] == [3, 2, 1]
    assert picked["summary"]["n_fixed_validation_asked"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_trainin": 3}, "`selection.parameters.n_trainin` is not a known setting. Did you mean `n_training`"),
        ({"n_validation": 0}, "`selection.parameters.n_validation` is 0; give a whole number of at least 1"),
        ({"n_training": 2.5}, "`selection.parameters.n_training` is 2.5; give a whole number"),
        ({"cutoff": 1.0}, "`selection.parameters.cutoff` is 1.0; give a number of at least 1.5"),
    ],
)
def test_wrong_parameters(segments: dict[str, Any], pick: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pick(segments, **change)
