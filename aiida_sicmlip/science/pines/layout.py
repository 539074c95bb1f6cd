"""The order of atoms, pairs and blocks in the permutation invariant vector; torch is not needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement

import numpy as np

from aiida_sicmlip.common.exceptions import InputError


@dataclass(frozen=True)
class PivLayout:
    """Groups of atoms that count as identical, and what follows from them.

    Atoms are taken in ascending order of their indices, pairs (i, j) with i before j in the order of
    :func:`itertools.combinations`. The pairs between two groups (or inside one) make a block; blocks are in
    alphabetical order of their names.

    names: the groups' names, ascending.
    members: the atoms of each, ascending, from 0.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def from_groups(cls, groups: Mapping[str, Sequence[int]]) -> PivLayout:
        """Check and sort groups, a mapping of names to indices of atoms from 0.

        :raises InputError: when a group is empty or no list of indices, an atom is in two groups, or there are fewer
            than two atoms.
        """
        if not isinstance(groups, Mapping) or not groups:
            raise InputError(
                f"`groups` is {groups!r}; give a mapping of names to indices of atoms, as {{Si1: [0, 5]}}."
            )
        owner: dict[int, str] = {}
        for name, indices in groups.items():
            if isinstance(indices, str) or not isinstance(indices, (Sequence, np.ndarray)) or not len(indices):
                raise InputError(f"`groups.{name}` is {indices!r}; give a list of indices of atoms from 0.")
            for index in indices:
                if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or index < 0:
                    raise InputError(f"`groups.{name}` holds {index!r}; give indices of atoms from 0.")
                if int(index) in owner:
                    raise InputError(f"Atom {index} is in `groups.{owner[int(index)]}` and `groups.{name}`: keep one.")
                owner[int(index)] = str(name)
        if len(owner) < 2:
            raise InputError("`groups` holds one atom only; a distance needs two.")
        names = tuple(sorted(set(owner.values())))
        return cls(names, tuple(tuple(sorted(atom for atom in owner if owner[atom] == name)) for name in names))

    @property
    def groups(self) -> dict[str, list[int]]:
        """The groups as a mapping, as :meth:`from_groups` takes it."""
        return {name: list(members) for name, members in zip(self.names, self.members, strict=True)}

    @cached_property
    def atoms(self) -> tuple[int, ...]:
        """All atoms, ascending."""
        return tuple(sorted(atom for members in self.members for atom in members))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The group of each of :attr:`atoms`."""
        owner = {atom: name for name, members in zip(self.names, self.members, strict=True) for atom in members}
        return tuple(owner[atom] for atom in self.atoms)

    @cached_property
    def local_pairs(self) -> np.ndarray:
        """Pairs as indices into :attr:`atoms`, (P, 2) int64."""
        return np.array(list(combinations(range(len(self.atoms)), 2)), dtype=np.int64)

    @cached_property
    def pairs(self) -> np.ndarray:
        """Pairs as indices of atoms in the structure, (P, 2) int64; a model's distances are in this order."""
        return np.array(self.atoms, dtype=np.int64)[self.local_pairs]

    @cached_property
    def blocks(self) -> dict[str, list[int]]:
        """The pairs of each block, as indices into :attr:`pairs`; a group of one atom has no block with itself."""
        found: dict[str, list[int]] = {f"{a}-{b}": [] for a, b in combinations_with_replacement(self.names, 2)}
        for place, (first, second) in enumerate(self.local_pairs):
            found["-".join(sorted((self.labels[first], self.labels[second])))].append(place)
        return {name: places for name, places in found.items() if places}

    @property
    def order(self) -> list[int]:
        """Indices of the pairs, block after block, (P,)."""
        return [place for places in self.blocks.values() for place in places]

    @property
    def block_sizes(self) -> list[int]:
        """How many pairs each block has."""
        return [len(places) for places in self.blocks.values()]

    def __len__(self) -> int:
        """The number of pairs, which is the length of the vector."""
        return len(self.local_pairs)
