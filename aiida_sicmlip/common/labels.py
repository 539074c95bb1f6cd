"""Names of links in the provenance graph: links have no attributes, so that their labels carry the information."""

from __future__ import annotations

import re

REPLACED = "replacements"
"""The step of a round that picks frames that replace those whose labels have failed."""

_FRAME = re.compile(r"frame_s(\d{2,})_(\d{6,})")
_SEGMENT = re.compile(r"s(\d{2,})")
_PLACE = re.compile(r"label_(\d{6,})")
_DATASET = re.compile(r"dataset_(\d{2,})")


def frame_label(segment: int, frame: int) -> str:
    """Return the link label of frame ``frame`` of segment ``segment``: ``frame_s03_012345``."""
    return f"frame_s{segment:02d}_{frame:06d}"


def parse_frame_label(label: str) -> tuple[int, int]:
    """Return segment and frame of a link label made by :func:`frame_label`.

    :raises ValueError: if ``label`` is none.
    """
    match = _FRAME.fullmatch(label)
    if match is None:
        raise ValueError(f"`{label}` is not the label of a frame, such as `frame_s03_012345`.")
    return int(match[1]), int(match[2])


def segment_label(segment: int) -> str:
    """Return the link label of segment ``segment`` of a pool: ``s03``."""
    return f"s{segment:02d}"


def number_of_segment(label: str) -> int:
    """Return the number of a segment whose link label was made by :func:`segment_label`.

    :raises ValueError: if ``label`` is none.
    """
    match = _SEGMENT.fullmatch(label)
    if match is None:
        raise ValueError(f"`{label}` is not the label of a segment, such as `s03`.")
    return int(match[1])


def label_of_index(index: int) -> str:
    """Return the link label of the label at ``index`` of a data set: ``label_000012``."""
    return f"label_{index:06d}"


def index_of_label(label: str) -> int:
    """Return the index that a link label made by :func:`label_of_index` names.

    :raises ValueError: if ``label`` is none.
    """
    match = _PLACE.fullmatch(label)
    if match is None:
        raise ValueError(f"`{label}` is not the index of a label, such as `label_000012`.")
    return int(match[1])


def dataset_label(index: int) -> str:
    """Return the link label of data set ``index`` among those that are merged: ``dataset_03``."""
    return f"dataset_{index:02d}"


def index_of_dataset(label: str) -> int:
    """Return the index that a link label made by :func:`dataset_label` names.

    :raises ValueError: if ``label`` is none.
    """
    match = _DATASET.fullmatch(label)
    if match is None:
        raise ValueError(f"`{label}` is not the label of a merged data set, such as `dataset_03`.")
    return int(match[1])


def state_label(index: int) -> str:
    """Return the link label of state ``index``, from 1, among those that walkers found: ``state_01``."""
    return f"state_{index:02d}"


def round_label(index: int, step: str) -> str:
    """Return the label of the call that does ``step`` in round ``index``: ``round_02_labelling``."""
    return f"round_{index:02d}_{step}"


def parse_round_label(label: str) -> tuple[int, str]:
    """Return round and step of a label made by :func:`round_label`.

    :raises ValueError: if ``label`` is none.
    """
    match = re.fullmatch(r"round_(\d{2,})_(\w+)", label)
    if match is None:
        raise ValueError(f"`{label}` is not the label of a round's step, such as `round_02_labelling`.")
    return int(match[1]), match[2]
