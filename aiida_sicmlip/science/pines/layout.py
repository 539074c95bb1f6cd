"""Order of atoms, pairs and blocks in the permutation invariant vector; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement

import numpy as np

from aiida_sicmlip.common.exceptions import InputError


@dataclass(frozen=True)
class PivLayout:
    """Groups of equivalent atoms, and the order of the elements of the vector.

    Atoms are in ascending order of their indices, and pairs (i, j) with i before j in the order of
    :func:`itertools.combinations`. The pairs between two groups, or within one, form a block; blocks are in
    alphabetical order of their names.

    names: of the groups, ascending.
    members: indices of the atoms of each group, ascending, from 0.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def from_groups(cls, groups: Mapping[str, Sequence[int]]) -> PivLayout:
        """Return the layout of groups, a mapping of names to indices of atoms from 0.

        :raises InputError: if a group is empty or not a list of indices, an atom is in two groups, or there are fewer
            than two atoms.
        """
        if not isinstance(groups, Mapping) or not groups:
            raise InputError(
                f"`groups` is {groups!r}; give a mapping of names to indices of atoms, such as {{Si1: [0, 5]}}."
            )
        owner: dict[int, str] = {}
        for name, indices in groups.items():
            if isinstance(indices, str) or not isinstance(indices, (Sequence, np.ndarray)) or not len(indices):
                raise InputError(f"`groups.{name}` is {indices!r}; give a list of indices of atoms from 0.")
            for index in indices:
                if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or index < 0:
                    raise InputError(f"`groups.{name}` contains {index!r}; give indices of atoms from 0.")
                if int(index) in owner:
                    raise InputError(
                        f"Atom {index} is in `groups.{owner[int(index)]}` and `groups.{name}`; remove it from one."
                    )
                owner[int(index)] = str(name)
        if len(owner) < 2:
            raise InputError("`groups` contains only one atom; give at least two.")
        names = tuple(sorted(set(owner.values())))
        return cls(names, tuple(tuple(sorted(atom for atom in owner if owner[atom] == name)) for name in names))

    @property
    def groups(self) -> dict[str, list[int]]:
        """The groups as a mapping, as :meth:`from_groups` takes it."""
        return {name: list(members) for name, members in zip(self.names, self.members, strict=True)}

    @cached_property
    def atoms(self) -> tuple[int, ...]:
        """Indices of all atoms, ascending."""
        return tuple(sorted(atom for members in self.members for atom in members))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Name of the group of each of :attr:`atoms`."""
        owner = {atom: name for name, members in zip(self.names, self.members, strict=True) for atom in members}
        return tuple(owner[atom] for atom in self.atoms)

    @cached_property
    def local_pairs(self) -> np.ndarray:
        """Pairs as indices into :attr:`atoms`, (P, 2) int64."""
        return np.array(list(combinations(range(len(self.atoms)), 2)), dtype=np.int64)

    @cached_property
    def pairs(self) -> np.ndarray:
        """Pairs as indices of atoms in the structure, (P, 2) int64, in the order of the distances of a model."""
        return np.array(self.atoms, dtype=np.int64)[self.local_pairs]

    @cached_property
    def blocks(self) -> dict[str, list[int]]:
        """Pairs of each block as indices into :attr:`pairs`; a group of one atom has no block with itself."""
        blocks: dict[str, list[int]] = {f"{a}-{b}": [] for a, b in combinations_with_replacement(self.names, 2)}
        for pair, (first, second) in enumerate(self.local_pairs):
            blocks["-".join(sorted((self.labels[first], self.labels[second])))].append(pair)
        return {name: pairs for name, pairs in blocks.items() if pairs}

    @property
    def order(self) -> list[int]:
        """Indices of the pairs in the order of blocks, (P,)."""
        return [pair for pairs in self.blocks.values() for pair in pairs]

    @property
    def block_sizes(self) -> list[int]:
        """Number of pairs of each block."""
        return [len(pairs) for pairs in self.blocks.values()]

    def __len__(self) -> int:
        """Number of pairs, the length of the vector."""
        return len(self.local_pairs)
