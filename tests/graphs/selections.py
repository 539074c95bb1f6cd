"""Selections on frames with made-up descriptors: no trajectory is read, everything else is the package's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.science.selection.candidates import FramePool, LabelledData, find_candidates, keep_candidates
from aiida_sicmlip.science.selection.candidates_file import Candidates
from aiida_sicmlip.science.selection.farthest_point import UnitRows
from aiida_sicmlip.science.selection.frames import select_frames_of_candidates
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings

FRAMES = 30
"""Frames of a segment, 0.25 ps apart; each segment is a trajectory of its own."""
DIMENSION = 8


@dataclass(frozen=True)
class MadeSelection:
    """One round: candidates, what was picked of them, and what the description and the selection say."""

    settings: SelectionSettings
    n_segments: int
    candidates: Candidates
    picks: Picks
    summary: dict[str, Any]
    results: dict[str, Any]


def walk(number: int) -> np.ndarray:
    """Return descriptors (FRAMES, DIMENSION) that begin at one place and wander, as those of a trajectory do."""
    generator = np.random.default_rng(number)
    scale = 0.12 / np.arange(1, DIMENSION + 1)
    rows = 1.0 + generator.normal(size=(FRAMES, DIMENSION)).cumsum(axis=0) * scale
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made_selection(
    settings: SelectionSettings,
    atoms: Atoms,
    n_segments: int,
    only: Sequence[tuple[int, int]] | None,
    earlier: Sequence[MadeSelection],
) -> MadeSelection:
    """Return the selection of a round from segments of their own, after earlier rounds whose picks are all labelled.

    :param only: frames (segment of this round, frame) that pass a filter; all by default.
    """
    first = sum(entry.n_segments for entry in earlier)
    candidates = [entry.candidates for entry in earlier]
    new = np.concatenate([walk(first + place) for place in range(n_segments)])
    segment = np.repeat(np.arange(first, first + n_segments), FRAMES)
    frame = np.tile(np.arange(FRAMES), n_segments)
    allowed = np.ones(len(new), dtype=bool)
    if only is not None:
        allowed[:] = False
        allowed[[place * FRAMES + index for place, index in only]] = True

    def after_earlier(name: str, values: np.ndarray) -> np.ndarray:
        return np.concatenate([*(getattr(entry, name) for entry in candidates), values])

    n_earlier = sum(map(len, candidates))
    pool = FramePool(
        rows=UnitRows("descriptors", after_earlier("descriptors", new)),
        n_earlier=n_earlier,
        trajectory=after_earlier("trajectory", segment),
        time=after_earlier("time", 0.25 * frame),
        allowed=np.concatenate([np.ones(n_earlier, dtype=bool), allowed]),
        held_out=np.zeros(n_earlier + len(new), dtype=bool),
        migrating=np.zeros(n_earlier + len(new), dtype=bool),
        weights=after_earlier("represents", np.ones(len(new), dtype=int)),
        keys=after_earlier("keys", np.random.default_rng(first).random(len(new))),
    )
    picks = Picks.joined([entry.picks for entry in earlier])
    none = np.empty((0, DIMENSION), np.float32)
    known = (
        LabelledData(none, none)
        if picks is None
        else LabelledData(picks.descriptors[picks.of("training")], none, picks)
    )
    with_fixed = not earlier and settings.n_fixed_validation > 0
    findings = find_candidates(settings, pool, known, with_fixed=with_fixed, seed=3)
    kept = findings.chosen - n_earlier
    current = keep_candidates(findings, pool, [atoms] * len(kept), segment[kept], frame[kept])
    selection = select_frames_of_candidates(settings, 5, current, candidates)
    counts = {"n_frames": len(new), "n_overlapping": 0, "n_filtered": int((~allowed).sum())}
    return MadeSelection(
        settings, n_segments, current, selection.picks, selection.summary, {**counts, **findings.summary}
    )
