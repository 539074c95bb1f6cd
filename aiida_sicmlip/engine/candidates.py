"""Candidates of a round, computed where its trajectories are: `sicmlip describe`."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.engine.candidate_predictions import Committee
from aiida_sicmlip.engine.cv_trajectories import read_kept
from aiida_sicmlip.engine.description import CHUNK, Describer, Progress, RowFile, chunks_of_segments, describe_chunks
from aiida_sicmlip.engine.frames import find_hosts, read_structures
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.archives import opened_archive
from aiida_sicmlip.science.defects.host_search import infer_host
from aiida_sicmlip.science.dynamics.segments import SegmentFile
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames
from aiida_sicmlip.science.selection.candidates import (
    CandidateSearch,
    FramePool,
    LabelledData,
    NothingNewError,
    find_candidates,
    hold_out,
    keep_candidates,
)
from aiida_sicmlip.science.selection.candidates_file import Candidates, read_candidates, write_candidates
from aiida_sicmlip.science.selection.farthest_point import UnitRows
from aiida_sicmlip.science.selection.picks import Picks
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.science.selection.window import Window
from aiida_sicmlip.science.settings import REQUIRED, Settings, flag, group, integer, mapping, sequence
from aiida_sicmlip.science.value_tests import is_mapping

ROWS_FILE = "descriptors.rows"
"""Descriptors of all frames while the program runs."""
_FRAMES_FOR_HOST = 10


def _files(meaning: str) -> Any:
    """Return a field that lists files."""
    return sequence((), meaning, "a list of file names", lambda name: isinstance(name, str), empty=True)


@dataclass(frozen=True, kw_only=True)
class CandidatesSettings(Settings):
    """Contents of `descriptors.json`; files are given by their paths."""

    parameters: SelectionSettings = group(SelectionSettings, "settings of the selection")
    seed: int = integer(1, "seed of held-out trajectories, random keys and clusters", at_least=0, limit=None)
    segments: tuple[Mapping[str, Any], ...] = sequence(
        REQUIRED,
        "the round's segments: fields of `SegmentFile`; `kept` names a file (.npy) of frame indices, or is null",
        "a list of at least one trajectory",
        is_mapping,
    )
    hosts: Mapping[str, str] = mapping({}, "the perfect crystal of each start structure, extended XYZ")
    training: tuple[str, ...] = _files("labelled frames (.npz) that are trained on")
    other: tuple[str, ...] = _files("labelled frames (.npz) that are not trained on")
    picks: tuple[str, ...] = _files("picks of earlier rounds (.npz)")
    earlier: tuple[str, ...] = _files("candidates of earlier rounds (.npz), oldest first")
    with_fixed: bool = flag(False, "whether to pick fixed validation configurations")
    committee: tuple[str, ...] = _files(
        "compiled models: the potential that explored, and others trained along with it"
    )


def write_round_candidates(settings_file: Path, output: Path, processes: int, report: dict[str, Any]) -> None:
    """Describe all frames of a round and write those that are candidates into the file ``output``.

    Memory does not grow with the number of frames: their descriptors are in a file beside ``output`` during the run.
    Cost: the descriptors, about 2 ms for 30 centres, 15 ms for 216, on one core of 2025, and see
    :func:`~aiida_sicmlip.science.selection.candidates.find_candidates`.

    :raises InputError: when the settings or the data cannot be used.
    """
    given = read_json(settings_file, "settings file")
    if not isinstance(given, Mapping):
        raise InputError(f"The settings file `{settings_file}` must hold a mapping, with `segments` at least.")
    asked = CandidatesSettings.from_mapping(given)
    settings = asked.parameters
    segments = [_segment(entry) for entry in asked.segments]
    earlier = [read_candidates(_existing(path)) for path in asked.earlier]
    training, other = (
        [frame for path in paths for frame in read_labelled_frames(_existing(path))]
        for paths in (asked.training, asked.other)
    )
    picks = Picks.joined([_read_picks(path) for path in asked.picks])
    species = {symbol for segment in segments for symbol in segment.symbols}
    species |= {symbol for frame in (*training, *other) for symbol in frame.symbols}
    hosts = {}
    if settings.centres == "defect" or settings.hop_share:
        hosts = _hosts(asked.hosts, segments)
    if settings.centres == "defect":
        # Labelled frames may be of structures without a trajectory in this round.
        hosts = find_hosts([*training, *other], hosts)
    describer = Describer(settings, sorted(species), hosts)

    rows_file = RowFile(output.with_name(ROWS_FILE), describer.n_features)
    try:
        for candidates in earlier:
            if candidates.descriptors.shape[1] != describer.n_features:
                raise InputError(
                    f"Earlier candidates have descriptors of {candidates.descriptors.shape[1]} numbers, those of this "
                    f"round {describer.n_features}: keep SOAP's settings and the species from round to round."
                )
            rows_file.append(candidates.descriptors)
        n_frames = sum(segment.n_frames for segment in segments)
        print(f"{n_frames} frames of {len(segments)} segments, {processes} processes", flush=True)
        overlapping, migrating = [], []
        for found in describe_chunks(describer, chunks_of_segments(segments), processes, Progress(n_frames)):
            rows_file.append(found.rows)
            overlapping.append(found.overlapping)
            migrating.append(found.migrating)
        known = LabelledData(_described(describer, training), _described(describer, other), picks)
        flags = {"overlapping": np.concatenate(overlapping), "migrating": np.concatenate(migrating)}
        pool, counts = _pool(asked, UnitRows("descriptors", rows_file.read()), segments, earlier, flags)
        search = partial(
            find_candidates,
            settings,
            labelled=known,
            with_fixed=asked.with_fixed,
            seed=asked.seed,
            progress=lambda text: print(text, flush=True),
        )
        frames = _PoolFrames(segments, earlier)
        committee = _load_committee(asked, report)
        if committee is None:
            findings, predicted = search(pool), None
        else:
            findings, pool, predicted, counts_of_window = _search_in_window(search, pool, settings, committee, frames)
            counts |= counts_of_window
        write_candidates(output, _candidates(findings, pool, frames, predicted))
    finally:
        output.with_name(ROWS_FILE).unlink(missing_ok=True)
    report.update(
        n_frames=n_frames,
        **counts,
        **findings.summary,
        n_training_configurations=len(training),
        processes=processes,
        peak_memory_gb=_peak_memory(),
    )


def _segment(entry: Mapping[str, Any]) -> SegmentFile:
    """Return a segment from its settings."""
    entry = dict(entry)
    kept = entry.pop("kept", None)
    path = _existing(entry.pop("file"))
    if kept is not None:
        kept = tuple(read_kept(_existing(kept)).tolist())
    cell = tuple(tuple(row) for row in entry.pop("cell"))
    return SegmentFile(path=path, kept=kept, cell=cell, symbols=tuple(entry.pop("symbols")), **entry)


def _existing(path: str) -> Path:
    """Return the path of an existing file."""
    if not Path(path).is_file():
        raise InputError(f"The file `{path}` does not exist.")
    return Path(path)


def _read_picks(path: str) -> Picks:
    with opened_archive(_existing(path), f"The file of picks `{path}`") as arrays:
        return Picks.from_arrays({name: arrays[name] for name in arrays.files})


def _hosts(files: Mapping[str, str], segments: Sequence[SegmentFile]) -> dict[str, Atoms]:
    """Return the given perfect crystals, and for each other initial structure one inferred from its frames."""
    hosts: dict[str, Atoms] = {}
    for name, path in files.items():
        hosts[name] = read_structures(_existing(path), "perfect crystal")[-1]
    for name in dict.fromkeys(segment.structure for segment in segments):
        if name in hosts:
            continue
        frames: list[Atoms] = []
        for segment in segments:
            if segment.structure == name:
                frames += segment.frames(range(min(_FRAMES_FOR_HOST, segment.n_frames)))
        hosts[name] = infer_host(frames)
        print(f"no perfect crystal was given for `{name}`; its frames show one of {len(hosts[name])} sites", flush=True)
    return hosts


def _described(describer: Describer, frames: Sequence[Atoms]) -> np.ndarray:
    """Return the descriptors of labelled frames, (F, D) float32."""
    if not frames:
        return np.empty((0, describer.n_features), dtype=np.float32)
    return describer.describe(frames)


def _pool(
    asked: CandidatesSettings,
    rows: UnitRows,
    segments: Sequence[SegmentFile],
    earlier: Sequence[Candidates],
    flags: Mapping[str, np.ndarray],
) -> tuple[FramePool, dict[str, int]]:
    """Return the candidates of earlier rounds and all frames of this one, and the numbers of frames left out.

    :param flags: which frames of this round are `overlapping` and have `migrating` atoms, (F,) bool each.
    """
    is_sound = ~flags["overlapping"]
    passed = np.concatenate(
        [
            np.ones(segment.n_frames, dtype=bool)
            if segment.kept is None
            else np.isin(np.arange(segment.n_frames), segment.kept)
            for segment in segments
        ]
    )
    n_frames = len(is_sound)
    trajectory = np.concatenate([np.full(segment.n_frames, segment.trajectory) for segment in segments])
    structures = {segment.trajectory: segment.structure for segment in segments}
    settings = asked.parameters
    held_out = hold_out(settings, trajectory, structures, asked.seed)

    def after_earlier(name: str, now: np.ndarray) -> np.ndarray:
        return np.concatenate([*(getattr(candidates, name) for candidates in earlier), now])

    n_earlier = sum(map(len, earlier))
    pool = FramePool(
        rows=rows,
        n_earlier=n_earlier,
        trajectory=after_earlier("trajectory", trajectory),
        time=after_earlier("time", np.concatenate([segment.times() for segment in segments])),
        allowed=np.concatenate([np.ones(n_earlier, dtype=bool), is_sound & passed]),
        held_out=after_earlier("held_out", held_out),
        migrating=after_earlier("migrating", flags["migrating"]),
        weights=after_earlier("represents", np.ones(n_frames, dtype=np.int64)),
        keys=after_earlier("keys", np.random.Generator(np.random.PCG64(asked.seed)).random(n_frames)),
    )
    counts = {"n_overlapping": ~is_sound, "n_filtered": ~passed, "n_with_migrating_atoms": flags["migrating"]}
    return pool, {name: int(frames.sum()) for name, frames in counts.items()}


class _PoolFrames:
    """The frames of a pool: candidates of earlier rounds, and after them those of this round's segments."""

    def __init__(self, segments: Sequence[SegmentFile], earlier: Sequence[Candidates]) -> None:
        self._earlier = [(candidates, row) for candidates in earlier for row in range(len(candidates))]
        self._segments = segments
        self._ends = len(self._earlier) + np.cumsum([segment.n_frames for segment in segments])

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for rows of this round the numbers of their segments and their indices in these."""
        place = np.searchsorted(self._ends, rows, side="right")
        starts = self._ends - np.array([segment.n_frames for segment in self._segments])
        return np.array([self._segments[index].segment for index in place], dtype=int), rows - starts[place]

    def structures(self, rows: np.ndarray) -> list[Atoms]:
        """Return frames by their rows, which ascend."""
        n_earlier = len(self._earlier)
        found = [candidates.structure(row) for candidates, row in (self._earlier[at] for at in rows[rows < n_earlier])]
        numbers, indices = self.places(rows[rows >= n_earlier])
        for segment in self._segments:
            found += segment.frames([int(index) for index in indices[numbers == segment.segment]])
        return found


def _candidates(
    findings: CandidateSearch,
    pool: FramePool,
    frames: _PoolFrames,
    predicted: tuple[np.ndarray, np.ndarray] | None,
) -> Candidates:
    """Return the candidates for the chosen frames."""
    numbers, indices = frames.places(findings.chosen)
    structures = frames.structures(findings.chosen)
    return keep_candidates(findings, pool, structures, numbers, indices, predicted=predicted)


def _load_committee(asked: CandidatesSettings, report: dict[str, Any]) -> Committee | None:
    """Return the committee of the settings; None without one, or where it cannot run here, which is reported."""
    if not asked.committee:
        return None
    paths = [_existing(path) for path in asked.committee]
    try:
        return Committee.load(paths)
    except (InputError, ProgramError) as error:
        report["not_predicted"] = str(error)
        print(
            f"The committee cannot be run here, so that no frame is left out by what it predicts: {error}", flush=True
        )
        return None


def _search_in_window(
    search: Callable[[FramePool], CandidateSearch],
    pool: FramePool,
    settings: SelectionSettings,
    committee: Committee,
    frames: _PoolFrames,
) -> tuple[CandidateSearch, FramePool, tuple[np.ndarray, np.ndarray], dict[str, int]]:
    """Return candidates of which at least half are in the window, with what the committee predicts of all frames.

    Only candidates are predicted, of this round and of earlier ones. Where more than half of those of this round are
    outside, as after a long failure of a walker, these are left out of the pool and the search is repeated among the
    others.
    """
    predicted = np.full((2, len(pool.rows)), np.nan)
    known = np.zeros(len(pool.rows), dtype=bool)

    def predict(rows: np.ndarray) -> None:
        new = rows[~known[rows]]
        for begin in range(0, len(new), CHUNK):
            part = new[begin : begin + CHUNK]
            predicted[:, part] = committee.predict(frames.structures(part))
        known[new] = True

    findings, n_left_out = search(pool), 0
    while True:
        predict(findings.chosen)
        outside = findings.chosen[~Window.of(settings, *predicted[:, findings.chosen]).for_validation]
        if 2 * len(outside) <= len(findings.chosen):
            break
        allowed = pool.allowed.copy()
        allowed[outside] = False
        fewer = replace(pool, allowed=allowed)
        try:
            found = search(fewer)
        except NothingNewError:
            # The selection says what is left, and why it is so little.
            break
        findings, pool, n_left_out = found, fewer, n_left_out + len(outside)
        print(f"{n_left_out} frames are outside the window of the selection", flush=True)
    earlier = np.arange(pool.n_earlier)
    predict(earlier[(findings.for_training | findings.for_validation)[: pool.n_earlier]])
    counts = {"n_predicted": int(known.sum()), "n_outside_window": n_left_out}
    return findings, pool, (predicted[0], predicted[1]), counts


def _peak_memory() -> float:
    """Return the sum of the peak memory of this process and that of its largest child process, in GB."""
    kilobytes = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return kilobytes / 1024**2
