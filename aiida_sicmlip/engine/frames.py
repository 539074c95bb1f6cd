"""Configurations and perfect crystals that programs read from files of the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_sicmlip.science.defects.host_sites import HostSites

FRAMES_FOR_HOST = 50
"""Maximum number of configurations that a perfect crystal is inferred from."""

FRAMES_TO_TRY = 5
"""Number of configurations tried individually where they have no common perfect crystal."""


def read_frames(path: Path) -> Iterator[Atoms]:
    """Yield the frames of an extended XYZ file, one after the other.

    :raises InputError: when it cannot be read.
    """
    from ase.io import iread

    if not path.is_file():
        raise InputError(f"The file `{path}` does not exist: give one in extended XYZ.")
    try:
        yield from iread(path, index=":", format="extxyz")
    except (ValueError, KeyError, IndexError, OSError, StopIteration, RuntimeError) as error:
        raise InputError(f"The file `{path}` cannot be read as extended XYZ: {error}.") from error


def read_hosts(paths: Sequence[Path]) -> dict[str, Atoms]:
    """Return the perfect crystals of files in any format that ASE reads, by path.

    :raises InputError: when one cannot be read.
    """
    from ase import Atoms
    from ase.io import read

    hosts = {}
    for path in paths:
        try:
            found = read(path)
        except Exception as error:  # ASE's readers raise any class of error
            raise InputError(f"The perfect crystal `{path}` cannot be read: {error}.") from error
        hosts[str(path)] = found if isinstance(found, Atoms) else found[0]
    return hosts


def find_hosts(frames: Sequence[Atoms], known: Mapping[str, Atoms] | None = None) -> dict[str, Atoms]:
    """Return the known perfect crystals, and one inferred from the frames of each other cell, and print it.

    :raises InputError: when there is none.
    """
    import numpy as np

    from aiida_sicmlip.science.defects.host_search import infer_host
    from aiida_sicmlip.science.defects.host_sites import HostSites

    hosts = dict(known or {})
    found = [HostSites(host) for host in hosts.values()]
    for frame in frames:
        if any(_fits(frame, sites) for sites in found):
            continue
        alike = [other for other in frames if np.allclose(other.cell.array, frame.cell.array, atol=1e-3)]
        host = infer_host(alike[:FRAMES_FOR_HOST])
        print(f"perfect crystal of {len(host)} sites, found from {len(alike)} configurations", flush=True)
        hosts[f"cell {len(hosts)}"] = host
        found.append(HostSites(host))
    return hosts


def find_hosts_where_possible(frames: Sequence[Atoms], known: Mapping[str, Atoms] | None = None) -> dict[str, Atoms]:
    """Return the known perfect crystals, and those inferred from frames in other cells, and print them.

    Frames in whose cell no perfect crystal is found have none: they may be molten, or no crystals at all. Where all
    frames of a cell together have none, single ones are tried.
    """
    from aiida_sicmlip.science.defects.host_search import infer_host
    from aiida_sicmlip.science.defects.host_sites import HostSites

    hosts = dict(known or {})
    seen = [HostSites(host) for host in hosts.values()]
    for frame in frames:
        if not frame.pbc.all() or any(_fits(frame, sites) for sites in seen):
            continue
        alike = _alike(frame, frames)
        for chosen in (alike, *([single] for single in alike[:FRAMES_TO_TRY])):
            try:
                host = infer_host(chosen)
            except InputError:
                continue
            print(f"perfect crystal of {len(host)} sites, found from {len(chosen)} configurations", flush=True)
            hosts[f"cell {len(hosts)}"] = host
            break
        # Other frames with this cell, up to a small strain, are skipped.
        seen.append(HostSites(frame))
    return hosts


def _alike(frame: Atoms, frames: Sequence[Atoms]) -> list[Atoms]:
    """Return the frames with the cell of one of them, up to the maximum for inferring a perfect crystal."""
    import numpy as np

    same = [other for other in frames if other.pbc.all() and np.allclose(other.cell.array, frame.cell.array, atol=1e-3)]
    return same[:FRAMES_FOR_HOST]


def _fits(frame: Atoms, sites: HostSites) -> bool:
    """Return whether a frame has the cell of a host, up to a small strain."""
    try:
        sites.fractional_of(frame.positions, frame.cell.array)
    except InputError:
        return False
    return True
