"""Link labels: written and read back, valid for AiiDA, in the order of what they name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiida.common.links import validate_link_label

from aiida_sicmlip.common import labels


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("frame_s03_012345", labels.frame_label(3, 12345)),
        ("frame_s123_1234567", labels.frame_label(123, 1234567)),
        ("s07", labels.segment_label(7)),
        ("label_000012", labels.label_of_index(12)),
        ("dataset_03", labels.dataset_label(3)),
        ("round_02_labelling", labels.round_label(2, "labelling")),
    ],
)
def test_written(text: str, made: str) -> None:
    assert made == text
    validate_link_label(made)


@pytest.mark.parametrize("pair", [(0, 0), (3, 12345), (123, 1234567)])
def test_frames_are_read_back(pair: tuple[int, int]) -> None:
    assert labels.parse_frame_label(labels.frame_label(*pair)) == pair


@pytest.mark.parametrize("index", [0, 12, 1234567])
def test_indices_are_read_back(index: int) -> None:
    assert labels.index_of_label(labels.label_of_index(index)) == index


@pytest.mark.parametrize("index", [0, 12, 123])
def test_merged_sets_are_read_back(index: int) -> None:
    assert labels.index_of_dataset(labels.dataset_label(index)) == index


def test_rounds_are_read_back() -> None:
    assert labels.parse_round_label(labels.round_label(12, "training_set")) == (12, "training_set")


def test_names_sort_as_numbers_do() -> None:
    frames = [labels.frame_label(segment, frame) for segment in (0, 9, 10) for frame in (0, 99, 100000)]
    assert sorted(frames) == frames
    names = [labels.label_of_index(index) for index in (0, 9, 10, 99999)]
    assert sorted(names) == names


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (labels.parse_frame_label, "frame_3_12"),
        (labels.parse_frame_label, "frame_s03_012345_more"),
        (labels.index_of_label, "level_of_theory"),
        (labels.index_of_dataset, "dataset"),
        (labels.parse_round_label, "seeds"),
    ],
)
def test_other_names_are_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"`{text}` is not the"):
        read(text)
