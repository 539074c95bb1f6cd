"""Host crystals from a description: tetrahedrally bonded crystals of one or two elements.

`crystal` selects the structure:

* `zincblende`: two species; 3C polytypes. The first species is at the origin, the second at a quarter of the diagonal.
* `diamond`: one species.
* `wurtzite`: one or two species in double layers along c, in the order of `stacking`: `AB` is 2H (wurtzite itself),
  `ABCB` 4H, `ABCACB` 6H. In each double layer the second species is above the first (+c), one bond away.

Order of atoms: the unit cell in the order of ASE (`zincblende`, `diamond`) or double layer by double layer from the
bottom, first species before the second (`wurtzite`); repeated along the first vector last, along the third first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.settings import REQUIRED, Settings, choice, number, sequence, setting
from aiida_sicmlip.science.value_tests import is_integer, is_symbol

CRYSTALS = {"zincblende": (2,), "diamond": (1,), "wurtzite": (1, 2)}
"""Supported crystals, and the possible numbers of species."""

CELLS = {
    "zincblende": ("conventional", "primitive"),
    "diamond": ("conventional", "primitive"),
    "wurtzite": ("hexagonal", "orthohexagonal"),
}
"""Cells of each crystal; the first is the default."""

WURTZITE = "AB"
"""Stacking of 2H."""

# Positions of double layers in the basal plane, in fractions of vectors at 120 degrees.
_LETTERS = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}


def _is_stacking(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 1 and not set(value) - set(_LETTERS)


@dataclass(frozen=True)
class HostSettings(Settings):
    """A perfect crystal."""

    PREFIX = "host."

    crystal: str = choice(REQUIRED, tuple(CRYSTALS), "structure of the crystal")
    species: tuple[str, ...] = sequence(
        REQUIRED,
        "its elements: one for `diamond`, two for `zincblende`, either for `wurtzite`",
        "a list of chemical symbols, such as [Si, C]",
        is_symbol,
        different=True,
    )
    lattice_constant: float = number(
        REQUIRED, "a, of the cubic cell (`zincblende`, `diamond`) or of the basal plane (`wurtzite`)", unit="A", above=0
    )
    c: float | None = number(
        None,
        "height of the cell of `wurtzite`; null for that of ideal tetrahedra, sqrt(2/3) a for each double layer",
        unit="A",
        above=0,
    )
    stacking: str | None = setting(
        None,
        "order of the double layers of `wurtzite` along c; null for AB",
        "two or more of the letters A, B and C: AB (2H), ABCB (4H), ABCACB (6H)",
        _is_stacking,
    )
    repeats: tuple[int, ...] = sequence(
        (1, 1, 1),
        "repeats of the cell along its three vectors",
        "three whole numbers from 1, such as [3, 3, 3]",
        lambda value: is_integer(value) and value > 0,
        length=3,
    )
    cell: str | None = choice(
        None,
        ("conventional", "primitive", "hexagonal", "orthohexagonal"),
        "cell that is repeated: `conventional` (8 atoms, cubic; the default) or `primitive` (2 atoms) of `zincblende` "
        "and `diamond`; `hexagonal` (the default) or `orthohexagonal` (right-angled, twice the size) of `wurtzite`",
    )

    def __post_init__(self) -> None:
        """Check all values.

        :raises InputError: when one is missing, of the wrong type, or incompatible with the crystal.
        """
        super().__post_init__()
        self._check_species()
        if self.crystal == "wurtzite":
            self._check_stacking()
        else:
            for name in ("c", "stacking"):
                if getattr(self, name) is not None:
                    raise InputError(
                        f"`host.{name}` is {getattr(self, name)!r}, but {self.crystal} is cubic; leave it out, or set "
                        "`crystal: wurtzite`."
                    )
        if self.cell is not None and self.cell not in CELLS[self.crystal]:
            raise InputError(
                f"`host.cell` is {self.cell!r}; {self.crystal} has the cells {' and '.join(CELLS[self.crystal])}."
            )

    def _check_species(self) -> None:
        counts = CRYSTALS[self.crystal]
        if len(self.species) not in counts:
            examples = {1: "one, such as [C]", 2: "two, such as [Si, C]"}
            raise InputError(
                f"`host.species` is {list(self.species)}; {self.crystal} needs "
                f"{' or '.join(examples[count] for count in counts)}."
            )

    def _check_stacking(self) -> None:
        letters = self.stacking or WURTZITE
        for place, letter in enumerate(letters):
            following = letters[(place + 1) % len(letters)]
            if letter == following:
                where = f"letters {place + 1} and {place + 2}" if place + 1 < len(letters) else "the last and the first"
                raise InputError(
                    f"`host.stacking` is {letters!r}, in which {where} are both {letter}; neighbouring double layers, "
                    "the last and the first among them, need different letters."
                )


def build_host(settings: HostSettings) -> Atoms:
    """Return a perfect crystal, its atoms in the order of the module's docstring.

    Axes follow the usual convention: cubic cells along x, y and z; in hexagonal ones a is along x and c along z.
    """
    if settings.crystal == "wurtzite":
        unit = _stacked(settings)
    else:
        cubic = (settings.cell or CELLS[settings.crystal][0]) == "conventional"
        unit = bulk("".join(settings.species), settings.crystal, a=float(settings.lattice_constant), cubic=cubic)
    return unit.repeat(tuple(int(n) for n in settings.repeats))


def _stacked(settings: HostSettings) -> Atoms:
    """Return the unit cell of double layers, with the internal parameter of ideal tetrahedra."""
    a = float(settings.lattice_constant)
    letters = settings.stacking or WURTZITE
    species = (settings.species[0], settings.species[-1])
    height = float(settings.c) if settings.c is not None else len(letters) * np.sqrt(2 / 3) * a
    symbols, places = [], []
    for layer, letter in enumerate(letters):
        for symbol, above in zip(species, (0.0, 0.75), strict=True):
            symbols.append(symbol)
            places.append((*_LETTERS[letter], (layer + above) / len(letters)))
    cell = np.array([[a, 0.0, 0.0], [-a / 2, np.sqrt(3) / 2 * a, 0.0], [0.0, 0.0, height]])
    hexagonal = Atoms(symbols, scaled_positions=places, cell=cell, pbc=True)
    if (settings.cell or CELLS["wurtzite"][0]) == "hexagonal":
        return hexagonal
    positions = np.stack([hexagonal.positions, hexagonal.positions + cell[0] + cell[1]], axis=1).reshape(-1, 3)
    right_angled = Atoms(np.repeat(symbols, 2), positions, cell=[a, np.sqrt(3) * a, height], pbc=True)
    right_angled.wrap()
    return right_angled
