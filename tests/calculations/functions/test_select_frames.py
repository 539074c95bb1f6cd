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
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_sicmlip.calculations.functions.select_frames import select_frames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import parse_frame_label
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData

FIXTURES = Path(__file__).parents[2] / "parsers" / "fixtures" / "exploration"
PARAMETERS = {"n_training": 3, "n_validation": 2, "separation": 0.0, "cutoff": 4.0, "n_max": 3, "l_max": 2}


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


def pick(segments: dict[str, Any], seed: int = 1, sets: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return select_frames(orm.Dict({**PARAMETERS, **changes}), orm.Int(seed), **(sets or {}), **segments)


def places(picked: dict[str, Any]) -> set[str]:
    return {*picked.get("training", {}), *picked.get("validation", {})}


def labelled(structure: orm.StructureData) -> Atoms:
    atoms = structure.get_ase()
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((len(atoms), 3)))
    return atoms


def test_picks_are_the_frames_that_their_links_name(segments: dict[str, Any]) -> None:
    picked = pick(segments)
    assert (len(picked["training"]), len(picked["validation"])) == (3, 2)
    for name, structure in {**picked["training"], **picked["validation"]}.items():
        segment, frame = parse_frame_label(name)
        expected = segments[f"s{segment:02d}"].frames([frame])[0]
        atoms = structure.get_ase()
        assert np.allclose(atoms.positions, expected.positions, atol=1e-12)
        assert np.allclose(atoms.cell.array, expected.cell.array, atol=1e-12)
        assert atoms.get_chemical_symbols() == expected.get_chemical_symbols()


def test_links(segments: dict[str, Any]) -> None:
    picked = pick(segments)
    for name in ("training", "validation"):
        for label, structure in picked[name].items():
            link = structure.base.links.get_incoming(link_type=LinkType.CREATE).one()
            assert link.link_label == f"{name}__{label}"
            assert link.node.process_label == "select_frames"
    creator = picked["summary"].creator
    incoming = creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    given = {link.link_label: link.node.uuid for link in incoming}
    assert given["s00"] == segments["s00"].uuid
    assert given["s01"] == segments["s01"].uuid
    assert set(given) == {"parameters", "seed", "s00", "s01"}


def test_sets_are_disjoint_and_counted(segments: dict[str, Any]) -> None:
    picked = pick(segments)
    assert not set(picked["training"]) & set(picked["validation"])
    summary = picked["summary"].get_dict()
    assert (summary["n_frames"], summary["n_training"], summary["n_validation"]) == (9, 3, 2)
    assert (summary["n_training_asked"], summary["n_validation_asked"], summary["n_overlapping"]) == (3, 2, 0)
    assert len(summary["distances_when_picked"]) == 5


def test_seed_decides_what_is_validation_not_what_is_picked(segments: dict[str, Any]) -> None:
    runs = [pick(segments, seed) for seed in (1, 1, 2, 3, 4)]
    assert set(runs[0]["validation"]) == set(runs[1]["validation"])
    assert len({frozenset(places(run)) for run in runs}) == 1
    assert len({frozenset(run["validation"]) for run in runs}) > 1


def test_filtered_frames_are_not_picked(segments: dict[str, Any]) -> None:
    """What the filter keeps of a segment stands beside it; a segment without a filter is taken whole."""
    kept = orm.ArrayData()
    kept.set_array("kept", np.array([1, 4]))
    picked = pick({**segments, "kept_s00": kept.store()}, n_training=4, n_validation=1)
    assert {name for name in places(picked) if name.startswith("frame_s00")} <= {"frame_s00_000001", "frame_s00_000004"}
    assert picked["summary"]["n_filtered"] == 3


@pytest.mark.parametrize("continues", [True, False])
def test_neighbours_across_a_continuation_are_neighbours(
    generate_segment: Callable[..., SegmentTrajectoryData], continues: bool
) -> None:
    """Two segments of one run are one trajectory, in which picks keep their distance in time."""
    second = generate_segment("failed_walltime", 5).clone()
    second.base.attributes.set("continues", continues)
    segments = {"s00": generate_segment("default", 5), "s01": second.store()}
    picked = pick(segments, separation=0.025, n_training=9, n_validation=1)
    # Ten frames, 0.005 ps apart: in one trajectory at most two of them are five frames apart, in each of two one is.
    time = sorted(5 * int(name[7:9]) + int(name[-6:]) for name in places(picked))
    assert len(time) == 2
    if continues:
        assert time[1] - time[0] >= 5


def test_labelled_frames_are_not_picked_again(segments: dict[str, Any], generate_dataset: Callable[..., Any]) -> None:
    first = pick(segments)
    sets = {
        f"{name}_set": generate_dataset([labelled(node) for node in first[name].values()])
        for name in ("training", "validation")
    }
    # Whoever asks for all that is left of the seven different frames gets it.
    second = pick(segments, sets=sets, n_training=7, n_validation=2)
    assert len(places(second)) == 2
    assert not places(first) & places(second)
    assert set(second["summary"].creator.inputs) >= {"training_set", "validation_set"}


def test_equal_frames_are_not_both_picked(segments: dict[str, Any]) -> None:
    picked = places(pick(segments, n_training=7, n_validation=2))
    assert len(picked) == 7
    for twins in ({"frame_s00_000003", "frame_s01_000000"}, {"frame_s00_000004", "frame_s01_000001"}):
        assert len(picked & twins) == 1


def test_frames_next_to_each_other_are_not_both_picked(segments: dict[str, Any]) -> None:
    # Frames are 0.005 ps apart.
    picked = pick(segments, separation=0.01, n_training=7, n_validation=2)
    found = sorted(map(parse_frame_label, places(picked)))
    assert 3 <= len(found) <= 5
    for segment in (0, 1):
        frames = [frame for index, frame in found if index == segment]
        assert all(after - before >= 2 for before, after in itertools.pairwise(frames))


def test_overlapping_frames_are_not_picked(
    segments: dict[str, Any], generate_segment: Callable[..., SegmentTrajectoryData]
) -> None:
    overlapping = generate_segment("failed_not_a_number", 1)
    picked = pick({**segments, "s02": overlapping}, n_training=8, n_validation=2)
    assert picked["summary"]["n_overlapping"] == 1
    assert not [name for name in places(picked) if name.startswith("frame_s02")]
    assert len(places(picked)) == 7


def test_nothing_to_pick(generate_segment: Callable[..., SegmentTrajectoryData]) -> None:
    picked = pick({"s00": generate_segment("failed_not_a_number", 1)})
    assert places(picked) == set()
    assert (picked["summary"]["n_training"], picked["summary"]["n_validation"]) == (0, 0)


def test_segments_with_other_names_or_intervals_are_refused(
    segments: dict[str, Any], generate_segment: Callable[..., SegmentTrajectoryData]
) -> None:
    with pytest.raises(InputError, match=r"are named s01 and .* have to be named s00, s01"):
        pick({"s01": segments["s01"]})
    with pytest.raises(InputError, match="keep frames at one interval"):
        pick({"s00": segments["s00"], "s01": generate_segment("with_equilibration", 4, between=10)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_trainin": 3}, "`selection.parameters.n_trainin` is not a known setting. Did you mean `n_training`"),
        ({"n_validation": 0}, "`selection.parameters.n_validation` is 0; give a whole number above zero"),
        ({"n_training": 2.5}, "`selection.parameters.n_training` is 2.5; give a whole number"),
        ({"cutoff": 1.0}, "`selection.parameters.cutoff` is 1.0; give a number of at least 1.5"),
    ],
)
def test_wrong_parameters(segments: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        pick(segments, **change)
