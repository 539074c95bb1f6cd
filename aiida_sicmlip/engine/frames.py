"""Configurations and perfect crystals that programs read from files of the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_sicmlip.science.host_sites import HostSites

FRAMES_FOR_HOST = 50
"""Configurations that a perfect crystal is found from, at most."""


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
        except Exception as error:  # ASE's readers raise whatever they stumble on
            raise InputError(f"The perfect crystal `{path}` cannot be read: {error}.") from error
        hosts[str(path)] = found if isinstance(found, Atoms) else found[0]
    return hosts


def find_hosts(frames: Sequence[Atoms], known: Mapping[str, Atoms] | None = None) -> dict[str, Atoms]:
    """Return the known perfect crystals and one for each other cell, found from the frames that have it, and say so.

    :raises InputError: when there is none.
    """
    import numpy as np

    from aiida_sicmlip.science.host_sites import HostSites
    from aiida_sicmlip.science.hosts import infer_host

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


def _fits(frame: Atoms, sites: HostSites) -> bool:
    """Return whether a frame has the cell of a host, up to a small strain."""
    try:
        sites.fractional_of(frame.positions, frame.cell.array)
    except InputError:
        return False
    return True
