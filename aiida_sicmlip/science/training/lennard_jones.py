"""The Lennard-Jones prior of a potential: what it is, and its energy, forces and virial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs

CUTOFF_EXPONENT = 6
"""Exponent p of the envelope that ends at the cutoff; the default of NequIP's envelopes."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairForces:
    """What a pair potential says about a structure of N atoms.

    ``energy`` (eV), ``atomic_energies`` (N,) (eV, half of each pair's to either atom), ``forces`` (N, 3) (eV/A),
    ``virial`` (3, 3) (eV): minus the derivative of the energy with respect to strain. The stress of ASE is
    -virial / volume.
    """

    energy: float
    atomic_energies: Array
    forces: Array
    virial: Array


@dataclass(frozen=True, eq=False)
class LennardJonesPrior:
    """Lennard-Jones pairs with an envelope, and an energy for each atom.

    Two atoms of the elements i and j at the distance r < ``cutoff`` (A) have the energy
    (``repulsion``[i, j] / r^12 - ``attraction``[i, j] / r^6) f(r / ``cutoff``), each atom has ``offsets``[i] (eV).
    ``repulsion`` (T, T) is 4 epsilon sigma^12 (eV A^12), ``attraction`` (T, T) is 4 epsilon sigma^6 (eV A^6); both are
    symmetric and not negative. The envelope is :func:`envelope`: energy, force and second derivative are continuous at
    the cutoff. ``species`` (T,) gives the order of the elements.

    :raises InputError: when a field has another shape or values that make no sense.
    """

    species: tuple[str, ...]
    repulsion: Array
    attraction: Array
    offsets: Array
    cutoff: float

    def __post_init__(self) -> None:
        species = tuple(self.species)
        wrong = [name for name in species if atomic_numbers.get(name, 0) < 1]
        if not species or wrong or len(set(species)) < len(species):
            raise InputError(f"`species` of a prior is {list(species)}; give different chemical symbols.")
        object.__setattr__(self, "species", species)
        count = len(species)
        for name, shape in (("repulsion", (count, count)), ("attraction", (count, count)), ("offsets", (count,))):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f"`{name}` of a prior for {count} elements must be finite numbers of shape {shape}.")
            if len(shape) == 2 and (np.any(values < 0) or np.any(values != values.T)):
                raise InputError(f"`{name}` of a prior is {values.tolist()}; it must be symmetric and not negative.")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        cutoff = self.cutoff
        if isinstance(cutoff, bool) or not isinstance(cutoff, (int, float)) or not 0 < cutoff < np.inf:
            raise InputError(f"`cutoff` of a prior is {cutoff!r}; give a positive number of A.")
        object.__setattr__(self, "cutoff", float(cutoff))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LennardJonesPrior:
        """Return the prior that :meth:`to_dict` described.

        :raises InputError: when an entry is missing, or as the class does.
        """
        missing = [name for name in ("species", "repulsion", "attraction", "offsets", "cutoff") if name not in values]
        if missing:
            raise InputError(f"The prior lacks {', '.join(f'`{name}`' for name in missing)}: fit it again.")
        if values.get("envelope_exponent", CUTOFF_EXPONENT) != CUTOFF_EXPONENT:
            raise InputError(
                f"The prior has the envelope exponent {values['envelope_exponent']}; only {CUTOFF_EXPONENT} is known."
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
            raise InputError(f"The prior holds something that is no number: {error}.") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the prior as plain values, numbers at full precision."""
        return {
            "species": list(self.species),
            "repulsion": self.repulsion.tolist(),
            "attraction": self.attraction.tolist(),
            "offsets": self.offsets.tolist(),
            "cutoff": self.cutoff,
            "envelope_exponent": CUTOFF_EXPONENT,
        }

    def evaluate(self, atoms: Atoms) -> PairForces:
        """Return energy, forces and virial of ``atoms`` in any cell.

        :raises InputError: when the prior does not know an element.
        """
        kinds = self._index(np.array(atoms.get_chemical_symbols()))
        first, second, lengths, vectors = neighbour_pairs(atoms, self.cutoff)
        energies, derivatives = self._pairs(
            lengths, self.repulsion[kinds[first], kinds[second]], self.attraction[kinds[first], kinds[second]]
        )
        # Each pair stands twice, once for either atom.
        atomic = self.offsets[kinds] + 0.5 * np.bincount(first, energies, minlength=len(atoms))
        pulls = (derivatives / lengths)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, first, pulls)
        return PairForces(float(atomic.sum()), atomic, forces, -0.5 * vectors.T @ pulls)

    def _pairs(self, lengths: Array, repulsion: Any, attraction: Any) -> tuple[Array, Array]:
        """Return energies and derivatives of pairs (E,)."""
        (twelfth, its_slope), (sixth, slope) = inverse_powers(lengths, self.cutoff)
        return repulsion * twelfth - attraction * sixth, repulsion * its_slope - attraction * slope

    def _index(self, symbols: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Return the place of each symbol among the species."""
        unknown = sorted(set(symbols.tolist()) - set(self.species))
        if unknown:
            raise InputError(f"The prior knows {', '.join(self.species)}, but not {', '.join(unknown)}.")
        places = {name: place for place, name in enumerate(self.species)}
        return np.array([places[name] for name in symbols.tolist()], dtype=np.int64)


def envelope(fractions: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the envelope f(x) at the fractions x of the cutoff, and its derivative.

    f(x) = 1 - (p+1)(p+2)/2 x^p + p(p+2) x^(p+1) - p(p+1)/2 x^(p+2) with p = 6, 0 from x = 1 on; f, f' and f'' are
    continuous there, and f' is nowhere positive. Source: Gasteiger et al., arXiv:2003.03123, equation 8.
    """
    x, p = np.asarray(fractions, dtype=np.float64), CUTOFF_EXPONENT
    value = 1.0 - 0.5 * (p + 1) * (p + 2) * x**p + p * (p + 2) * x ** (p + 1) - 0.5 * p * (p + 1) * x ** (p + 2)
    slope = -0.5 * p * (p + 1) * (p + 2) * x ** (p - 1) * (1.0 - x) ** 2
    return np.where(x < 1.0, value, 0.0), np.where(x < 1.0, slope, 0.0)


def inverse_powers(distances: npt.ArrayLike, cutoff: float) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return r^-12 f(r / cutoff) and its derivative, then r^-6 f(r / cutoff) and its derivative, at ``distances``.

    Distances and ``cutoff`` are in A; a prior is a linear combination of these.
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
