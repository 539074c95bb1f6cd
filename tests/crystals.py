"""Hosts that tests build upon."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from aiida_sicmlip.science.defects.hosts import HostSettings, build_host


def silicon_carbide_host(
    lattice_constant: float = 4.416, repeats: Sequence[int] = (3, 3, 3), cell: str = "conventional"
) -> Atoms:
    """3C-SiC, by default that of the paper: 216 sites."""
    return build_host(HostSettings("zincblende", ("Si", "C"), lattice_constant, repeats=tuple(repeats), cell=cell))
