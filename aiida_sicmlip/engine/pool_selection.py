"""Picks of the most novel configurations of a pool, `sicmlip select`."""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.io import write

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.new_files import write_new
from aiida_sicmlip.engine.description import (
    Describer,
    Progress,
    RowFile,
    chunks_of_frames,
    describe_chunks,
    usable_cores,
)
from aiida_sicmlip.engine.frames import FRAMES_FOR_HOST, find_hosts, read_hosts
from aiida_sicmlip.science.extended_xyz import read_extended_xyz, species_of_file
from aiida_sicmlip.science.selection.farthest_point import Eligibility, Pick, UnitRows, choose_frames, distance_to_set
from aiida_sicmlip.science.selection.settings import SelectionSettings


def select_from_pool(options: argparse.Namespace) -> None:
    """Pick configurations and write them, with `pool_index`, `distance` and `reference_distance` of each.

    Memory does not grow with the size of the pool: descriptors are in a temporary file.

    :raises InputError: when a file or a setting cannot be used.
    """
    settings = SelectionSettings(
        centres=options.centres,
        centre_radius=options.centre_radius,
        cutoff=options.cutoff,
        n_max=options.n_max,
        l_max=options.l_max,
        sigma=options.sigma,
        tolerance=options.tolerance,
        overlap_fraction=options.overlap_fraction,
    )
    training = list(read_extended_xyz(options.training)) if options.training is not None else []
    in_pool = species_of_file(options.pool)
    if not in_pool:
        raise InputError(f"The pool `{options.pool}` holds no configuration.")
    hosts = {}
    if options.centres == "defect":
        first = itertools.islice(read_extended_xyz(options.pool), FRAMES_FOR_HOST)
        hosts = read_hosts(options.host) if options.host else find_hosts([*training, *first])
    species = sorted(in_pool.union(*(frame.symbols for frame in training)))
    describer = Describer(settings, species, hosts)
    processes = options.processes or usable_cores()
    with tempfile.TemporaryDirectory() as folder:
        rows_file = RowFile(Path(folder) / "rows", describer.n_features)
        sound = []
        chunks = chunks_of_frames(read_extended_xyz(options.pool))
        for described in describe_chunks(describer, chunks, processes, Progress(None)):
            rows_file.append(described.rows)
            sound.append(~described.overlapping)
        pool = UnitRows("pool", rows_file.read())
        allowed = np.concatenate(sound)
        known = describer.describe(training) if training else np.empty((0, describer.n_features), dtype=np.float32)
        picks = choose_frames(
            options.method,
            pool,
            distance_to_set(pool, known),
            options.count,
            Eligibility(allowed=allowed, tolerance=settings.tolerance),
            keys=np.random.Generator(np.random.PCG64(options.seed)).random(len(pool)),
        )
    n_left_out = int((~allowed).sum())
    print(f"{len(allowed)} configurations in the pool, {len(training)} known, {n_left_out} with overlapping atoms")
    _write(options.output, options.pool, picks)
    print("    pick  pool index          distance  from the known ones")
    for number, pick in enumerate(picks):
        print(f"{number:8d}  {pick.index:10d}  {pick.distance:16.9e}  {pick.reference_distance:19.9e}")
    print(f"{len(picks)} of {options.count} are in {options.output}")
    if len(picks) < options.count:
        print("The rest of the pool repeats known or picked configurations.", file=sys.stderr)


def _write(output: Path, pool: Path, picks: Sequence[Pick]) -> None:
    """Write the picks in their order; the pool is read again as far as needed."""
    wanted = {pick.index for pick in picks}
    found = {}
    for index, frame in enumerate(read_extended_xyz(pool)):
        if index in wanted:
            found[index] = frame
            if len(found) == len(wanted):
                break
    for pick in picks:
        frame = found[pick.index]
        frame.info |= {"pool_index": pick.index, "distance": pick.distance}
        if pick.reference_distance < float("inf"):
            frame.info["reference_distance"] = pick.reference_distance
    text = io.StringIO()
    write(text, [found[pick.index] for pick in picks], format="extxyz")
    write_new(output, text.getvalue())
