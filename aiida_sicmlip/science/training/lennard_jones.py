"""Lennard-Jones prior of a potential: parameters, energy, forces and virial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs
from aiida_sicmlip.science.value_tests import is_symbol

CUTOFF_EXPONENT = 6
"""Exponent p of the cutoff envelope; the default of NequIP."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairForces:
    """Energy, forces and virial of a pair potential for a structure of N atoms.

    energy: eV.
    atomic_energies: (N,), eV; each pair energy is divided equally between its atoms.
    forces: (N, 3), eV/A.
    virial: (3, 3), eV, minus the derivative of the energy with respect to strain; ASE's stress is -virial / volume.
    """

    energy: float
    atomic_energies: Array
    forces: Array
    virial: Array


@dataclass(frozen=True, eq=False)
class LennardJonesPrior:
    """Lennard-Jones pair potential with a cutoff envelope, and an energy offset for each atom.

    The energy of two atoms of the elements i and j at the distance r < ``cutoff`` is
    (``repulsion[i, j]`` / r^12 - ``attraction[i, j]`` / r^6) f(r / ``cutoff``) with the envelope f of :func:`envelope`:
    energy, force and second derivative are continuous at the cutoff. Each atom of element i adds ``offsets[i]``.

    species: elements, (T,).
    repulsion: 4 epsilon sigma^12, (T, T), eV A^12; symmetric and not negative.
    attraction: 4 epsilon sigma^6, (T, T), eV A^6; symmetric and not negative.
    offsets: energy of an atom of each element, (T,), eV.
    cutoff: A.

    :raises InputError: if a field has the wrong shape or invalid values.
    """

    species: tuple[str, ...]
    repulsion: Array
    attraction: Array
    offsets: Array
    cutoff: float

    def __post_init__(self) -> None:
        species = tuple(self.species)
        wrong = [name for name in species if not is_symbol(name)]
        if not species or wrong or len(set(species)) < len(species):
            raise InputError(f"`species` of the prior is {list(species)}; give different chemical symbols.")
        object.__setattr__(self, "species", species)
        count = len(species)
        for name, shape in (("repulsion", (count, count)), ("attraction", (count, count)), ("offsets", (count,))):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f"`{name}` of the prior must be finite numbers of shape {shape} for {count} elements.")
            if len(shape) == 2 and (np.any(values < 0) or np.any(values != values.T)):
                raise InputError(f"`{name}` of the prior is {values.tolist()}; it must be symmetric and not negative.")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        cutoff = self.cutoff
        if isinstance(cutoff, bool) or not isinstance(cutoff, (int, float)) or not 0 < cutoff < np.inf:
            raise InputError(f"`cutoff` of the prior is {cutoff!r}; give a positive number, in A.")
        object.__setattr__(self, "cutoff", float(cutoff))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LennardJonesPrior:
        """Return the prior of a mapping written by :meth:`to_dict`.

        :raises InputError: if a key is missing, or as for the class.
        """
        missing = [name for name in ("species", "repulsion", "attraction", "offsets", "cutoff") if name not in values]
        if missing:
            raise InputError(f"The prior lacks {', '.join(f'`{name}`' for name in missing)}; fit it again.")
        if values.get("envelope_exponent", CUTOFF_EXPONENT) != CUTOFF_EXPONENT:
            raise InputError(
                f"`envelope_exponent` of the prior is {values['envelope_exponent']}; give {CUTOFF_EXPONENT}."
            )
        try:
            return cls(
                tuple(values["species"]),
                np.array(values["repulsion"], dtype=np.float64),
                np.array(values["attraction"], dtype=np.float64),
                np.array(values["offsets"], dtype=np.float64),
                values["cutoff"],
            )
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"The prior contains a value that is not a number: {error}.") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the prior as a mapping of lists and numbers."""
        return {
            "species": list(self.species),
            "repulsion": self.repulsion.tolist(),
            "attraction": self.attraction.tolist(),
            "offsets": self.offsets.tolist(),
            "cutoff": self.cutoff,
            "envelope_exponent": CUTOFF_EXPONENT,
        }

    def evaluate(self, atoms: Atoms) -> PairForces:
        """Return energy, forces and virial of ``atoms``, in a cell of any shape and size.

        :raises InputError: if the prior has no parameters for an element.
        """
        types = self._types(np.array(atoms.get_chemical_symbols()))
        first, second, lengths, vectors = neighbour_pairs(atoms, self.cutoff)
        energies, derivatives = self._pairs(
            lengths, self.repulsion[types[first], types[second]], self.attraction[types[first], types[second]]
        )
        # Each pair occurs twice, once for each of its atoms.
        atomic = self.offsets[types] + 0.5 * np.bincount(first, energies, minlength=len(atoms))
        pair_forces = (derivatives / lengths)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, first, pair_forces)
        return PairForces(float(atomic.sum()), atomic, forces, -0.5 * vectors.T @ pair_forces)

    def _pairs(self, lengths: Array, repulsion: Any, attraction: Any) -> tuple[Array, Array]:
        """Return energies and their derivatives with respect to distance for pairs (E,)."""
        (r12, r12_slope), (r6, r6_slope) = inverse_powers(lengths, self.cutoff)
        return repulsion * r12 - attraction * r6, repulsion * r12_slope - attraction * r6_slope

    def _types(self, symbols: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Return the index of each symbol in ``species``."""
        unknown = sorted(set(symbols.tolist()) - set(self.species))
        if unknown:
            raise InputError(
                f"The structure contains {', '.join(unknown)}, but the prior is for {', '.join(self.species)}; fit a "
                "prior for all elements."
            )
        type_of = {name: index for index, name in enumerate(self.species)}
        return np.array([type_of[name] for name in symbols.tolist()], dtype=np.int64)


def envelope(fractions: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the envelope f(x) at fractions x of the cutoff, and its derivative.

    f(x) = 1 - (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) - p(p+1)/2 x^(p+2) with p = 6 for x < 1, and 0 beyond; f, f'
    and f'' are continuous at x = 1, and f' is never positive. Source: Gasteiger et al., arXiv:2003.03123, equation 8.
    """
    x, p = np.asarray(fractions, dtype=np.float64), CUTOFF_EXPONENT
    value = 1.0 - 0.5 * (p + 1) * (p + 2) * x**p + p * (p + 2) * x ** (p + 1) - 0.5 * p * (p + 1) * x ** (p + 2)
    slope = -0.5 * p * (p + 1) * (p + 2) * x ** (p - 1) * (1.0 - x) ** 2
    return np.where(x < 1.0, value, 0.0), np.where(x < 1.0, slope, 0.0)


def inverse_powers(distances: npt.ArrayLike, cutoff: float) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return r^-12 f(r / cutoff) and r^-6 f(r / cutoff), each with its derivative, at ``distances``.

    The pair energy of a prior is a linear combination of the two.

    :param distances: r, A.
    :param cutoff: A.
    """
    r = np.asarray(distances, dtype=np.float64)
    value, slope = envelope(r / cutoff)
    slope = slope / cutoff
    sixth = r**-6.0
    twelfth = sixth**2
    return (
        (twelfth * value, twelfth * (slope - 12.0 * value / r)),
        (sixth * value, sixth * (slope - 6.0 * value / r)),
    )
