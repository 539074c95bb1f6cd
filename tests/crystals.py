"""Hosts that tests build upon."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms
from ase.build import make_supercell
from ase.spacegroup import crystal

from aiida_sicmlip.science.defects.hosts import HostSettings, build_host


def silicon_carbide_host(
    lattice_constant: float = 4.416, repeats: Sequence[int] = (3, 3, 3), cell: str = "conventional"
) -> Atoms:
    """3C-SiC, by default that of the paper: 216 sites."""
    return build_host(HostSettings("zincblende", ("Si", "C"), lattice_constant, repeats=tuple(repeats), cell=cell))


def skewed_silicon_carbide() -> Atoms:
    """3C-SiC in a long and skewed cell of 54 sites, whose vectors are far from the shortest ones."""
    primitive = silicon_carbide_host(repeats=(1, 1, 1), cell="primitive")
    return make_supercell(primitive, [[3, 0, 0], [2, 3, 0], [3, 4, 3]])


def silicon_carbide_hosts() -> dict[str, Atoms]:
    """3C-SiC in cells of several sizes and forms."""
    return {
        "216 conventional": silicon_carbide_host(),
        "64 conventional": silicon_carbide_host(repeats=(2, 2, 2)),
        "16 primitive": silicon_carbide_host(repeats=(2, 2, 2), cell="primitive"),
        "skewed": skewed_silicon_carbide(),
    }


def four_h(repeats: tuple[int, int, int] = (1, 1, 1)) -> Atoms:
    """4H-SiC, Si and C double layers in the order ABCB, from its space group: independent of the package's hosts."""
    unit = crystal(
        ["Si", "Si", "C", "C"],
        [(0, 0, 0.1875), (1 / 3, 2 / 3, 0.4375), (0, 0, 0), (1 / 3, 2 / 3, 0.25)],
        spacegroup=186,
        cellpar=[3.08, 3.08, 10.08, 90, 90, 120],
    )
    assert len(unit) == 8
    return unit.repeat(repeats)
