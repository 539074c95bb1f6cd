"""SOAP descriptors of many frames, with several processes and only a few frames in memory."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.centres import DefectCentres
from aiida_sicmlip.science.defects.crystals import frames_with_overlap
from aiida_sicmlip.science.defects.host_sites import first_host_that_fits
from aiida_sicmlip.science.defects.migrating_atoms import DefectFinder, frames_with_migrating_atoms
from aiida_sicmlip.science.dynamics.segments import SegmentFile
from aiida_sicmlip.science.selection.descriptors import averaged_soap, number_of_features
from aiida_sicmlip.science.selection.settings import SelectionSettings

CHUNK = 100
"""Frames per task of a process."""
_CHUNKS_AHEAD = 3
"""Chunks per process that may be queued: bounds the memory."""


@dataclass(frozen=True)
class Describer:
    """Parameters of the descriptors.

    species: all species of any frame.
    hosts: perfect crystals by name, needed for centres at defects and for a share of hops; by default the first that
        fits a frame is used.
    """

    settings: SelectionSettings
    species: Sequence[str]
    hosts: Mapping[str, Atoms] = field(default_factory=dict)

    @property
    def n_features(self) -> int:
        """Length of a descriptor."""
        return number_of_features(self.species, **self.settings.soap)

    @cached_property
    def _centres(self) -> dict[str, DefectCentres]:
        return {name: DefectCentres(host, self.settings.centre_radius) for name, host in self.hosts.items()}

    @cached_property
    def _finders(self) -> dict[str, DefectFinder]:
        return {name: DefectFinder(host) for name, host in self.hosts.items()}

    def find_hops(self, frames: Sequence[Atoms], host: str | None) -> np.ndarray:
        """Return which frames have a migrating atom, (F,) bool; none where no share of the picks is asked for them.

        :param host: name of the perfect crystal that they are of.
        """
        if not self.settings.hop_share or host not in self._finders:
            return np.zeros(len(frames), dtype=bool)
        return frames_with_migrating_atoms(frames, self._finders[host])

    def describe(self, frames: Sequence[Atoms], host: str | None = None) -> np.ndarray:
        """Return the descriptors (F, D) of frames as float32 of unit length.

        :param host: name of the perfect crystal that they are of.
        :raises InputError: when a frame fits no host, or as :func:`averaged_soap`.
        """
        centres: Sequence[int] | Sequence[Sequence[int]] | None = None
        if self.settings.centres == "defect":
            centres = [[int(atom) for atom in found] for group in _alike(frames) for found in self._find(group, host)]
        elif not isinstance(self.settings.centres, str):
            centres = self.settings.centres
        rows = averaged_soap(frames, self.species, centres=centres, **self.settings.soap)
        return rows.astype(np.float32)

    def _find(self, frames: Sequence[Atoms], host: str | None) -> list[np.ndarray]:
        """Return the atoms around the defects of frames with one cell and one order of species."""
        first, positions = frames[0], np.array([frame.positions for frame in frames])
        centres = self._centres if host is None else {host: self._centres[host]}
        try:
            return first_host_that_fits(
                centres, positions, lambda found, positions: found.find(positions, first.cell.array, first.numbers)
            )[1]
        except InputError as problem:
            what = (
                f"A frame of {first.get_chemical_formula()} fits none of the {len(self.hosts)} perfect crystals given"
            )
            raise InputError(f"{what}. {problem}") from problem


def _alike(frames: Sequence[Atoms]) -> Iterator[list[Atoms]]:
    """Yield runs of frames that have the same cell and the same species in the same order."""
    run: list[Atoms] = []
    for frame in frames:
        if run and not (
            np.array_equal(frame.numbers, run[0].numbers) and np.array_equal(frame.cell.array, run[0].cell.array)
        ):
            yield run
            run = []
        run.append(frame)
    if run:
        yield run


@dataclass(frozen=True)
class Chunk:
    """Frames of one file, read by the process that describes them, or frames in memory."""

    segment: SegmentFile | None = None
    begin: int = 0
    end: int = 0
    frames: Sequence[Atoms] = ()

    def __len__(self) -> int:
        return self.end - self.begin if self.segment is not None else len(self.frames)

    def read(self) -> Sequence[Atoms]:
        """Return the frames."""
        return self.frames if self.segment is None else self.segment.frames(range(self.begin, self.end))

    @property
    def host(self) -> str | None:
        """Name of the perfect crystal of the frames, if known."""
        return self.segment.structure if self.segment is not None else None


def chunks_of_segments(segments: Sequence[SegmentFile]) -> Iterator[Chunk]:
    """Yield the frames of all segments, in order."""
    for segment in segments:
        for begin in range(0, segment.n_frames, CHUNK):
            yield Chunk(segment, begin, min(begin + CHUNK, segment.n_frames))


def chunks_of_frames(frames: Iterator[Atoms] | Sequence[Atoms]) -> Iterator[Chunk]:
    """Yield frames that this process reads, a few at a time."""
    waiting: list[Atoms] = []
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == CHUNK:
            yield Chunk(frames=waiting)
            waiting = []
    if waiting:
        yield Chunk(frames=waiting)


@dataclass(frozen=True)
class DescribedChunk:
    """What is known of F frames.

    rows: descriptors (F, D), float32.
    overlapping: which have overlapping atoms, (F,) bool.
    migrating: which have a migrating atom, (F,) bool.
    """

    rows: np.ndarray
    overlapping: np.ndarray
    migrating: np.ndarray


def describe_chunks(
    describer: Describer,
    chunks: Iterator[Chunk],
    processes: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[DescribedChunk]:
    """Yield what is known of the frames of each chunk.

    The order of the chunks is kept for any number of processes.

    :param progress: called with the number of completed frames.
    :raises InputError: as :meth:`Describer.describe`.
    """
    done = 0
    if processes == 1:
        for chunk in chunks:
            yield _describe(describer, chunk)
            done += len(chunk)
            progress(done)
        return
    waiting: deque[tuple[int, Future[DescribedChunk]]] = deque()
    # Spawned, since a forked process could inherit locks held by threads of libraries.
    with ProcessPoolExecutor(processes, get_context("spawn"), _start_process, (describer,)) as pool:
        try:
            for chunk in chunks:
                waiting.append((len(chunk), pool.submit(_describe_in_process, chunk)))
                if len(waiting) >= _CHUNKS_AHEAD * processes:
                    count, future = waiting.popleft()
                    yield future.result()
                    done += count
                    progress(done)
            while waiting:
                count, future = waiting.popleft()
                yield future.result()
                done += count
                progress(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_of_process: Describer


def _start_process(describer: Describer) -> None:
    """Store what all chunks of a process share, and limit it to one core."""
    global _of_process  # noqa: PLW0603 - the only way to pass an object to all tasks of a process
    _of_process = describer
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)


def _describe_in_process(chunk: Chunk) -> DescribedChunk:
    return _describe(_of_process, chunk)


def _describe(describer: Describer, chunk: Chunk) -> DescribedChunk:
    frames = chunk.read()
    overlapping = [
        frames_with_overlap(
            np.array([frame.positions for frame in group]),
            group[0].cell.array,
            group[0].numbers,
            describer.settings.overlap_fraction,
        )
        for group in _alike(frames)
    ]
    return DescribedChunk(
        describer.describe(frames, chunk.host), np.concatenate(overlapping), describer.find_hops(frames, chunk.host)
    )


def usable_cores() -> int:
    """Return the number of cores available to this process, which a scheduler may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class RowFile:
    """Descriptors in a file on disk, written chunk by chunk and read as one array."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self._handle = path.open("wb")
        self.count = 0

    def append(self, rows: np.ndarray) -> None:
        """Add rows (F, D) at the end."""
        self._handle.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
        self.count += len(rows)

    def read(self) -> np.ndarray:
        """Return all rows, (F, D) float32; they stay in the file."""
        self._handle.close()
        if not self.count:
            return np.empty((0, self._dimension), dtype=np.float32)
        return np.memmap(self._path, dtype=np.float32, mode="r", shape=(self.count, self._dimension))


class Progress:
    """Prints progress lines, at most one every few seconds."""

    def __init__(self, total: int | None, seconds: float = 5.0) -> None:
        self._total = total
        self._seconds = seconds
        self._start = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """Print a line if enough time has passed since the last one, or all frames are done."""
        now = time.monotonic()
        if done != self._total and now - self._last < self._seconds:
            return
        self._last = now
        rate = (now - self._start) / done
        text = f"described {done} frames"
        if self._total is not None:
            left = rate * (self._total - done)
            text = f"described {done} of {self._total} frames ({100 * done // self._total} %)"
            text += f", about {left:.0f} s more" if left else ""
        print(f"{text}, {1000 * rate:.2f} ms a frame", flush=True)
