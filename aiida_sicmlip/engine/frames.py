"""Configurations and perfect crystals that programs read from files of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.extended_xyz import read_extended_xyz, require_sound

if TYPE_CHECKING:
    from ase import Atoms

    from aiida_sicmlip.science.defects.host_sites import HostSites

FRAMES_FOR_HOST = 50
"""Maximum number of configurations that a perfect crystal is inferred from."""

FRAMES_TO_TRY = 5
"""Number of configurations tried individually where they have no common perfect crystal."""


def read_structures(path: Path, what: str) -> list[Atoms]:
    """Return the structures of a file in any format that ASE reads.

    :param what: the file, as messages name it, such as "perfect crystal".
    :raises InputError: when it cannot be read, or a structure is not sound.
    """
    from ase.io import read

    if path.suffix.lower() in (".xyz", ".extxyz"):
        found = list(read_extended_xyz(path))
    else:
        try:
            _check_counts(path)
            read_all = read(path, index=":")
            found = read_all if isinstance(read_all, list) else [read_all]
        except Exception as error:  # ASE's readers raise any class of error
            raise InputError(f"The {what} `{path}` cannot be read: {error or type(error).__name__}.") from error
        for index, structure in enumerate(found):
            require_sound(structure, f"Structure {index} of `{path}`")
    if not found:
        raise InputError(f"The {what} `{path}` holds no structure.")
    return found


def _check_counts(path: Path) -> None:
    """Raise where the first lines of a POSCAR count more atoms than the file has bytes: ASE would make them all."""
    from ase.io.formats import filetype

    if path.is_file() and filetype(str(path)) == "vasp":
        with path.open("rb") as file:
            lines = [file.readline(1 << 16).split() for _ in range(8)]
        for words in lines[5:7]:
            if words and all(word.isdigit() for word in words) and sum(map(int, words)) > path.stat().st_size:
                raise ValueError("it counts more atoms than it has bytes")


def read_hosts(paths: Sequence[Path]) -> dict[str, Atoms]:
    """Return the perfect crystals of files in any format that ASE reads, by path.

    :raises InputError: when one cannot be read.
    """
    return {str(path): read_structures(path, "perfect crystal")[-1] for path in paths}


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
