"""The Lennard-Jones prior fitted to labelled frames, with a wall between the atoms of every pair of elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.metrics import fit_energy_offsets
from aiida_sicmlip.science.labels.labelled_frames import label_of_frame
from aiida_sicmlip.science.settings import Settings, flag, number
from aiida_sicmlip.science.training.constrained_least_squares import solve_constrained
from aiida_sicmlip.science.training.lennard_jones import Array, LennardJonesPrior, inverse_powers
from aiida_sicmlip.science.training.neighbour_pairs import neighbour_pairs

WALL_FRACTION = 0.7
"""Below this fraction of the shortest distance in the data, every pair of elements is repulsive."""
WALL_BESIDE_FIT, WALL_ALONE = 5.0, 20.0
"""Least repulsion of a wall in eV. Alone, walls of 5 eV let hot atoms through, those of 20 eV do not."""


@dataclass(frozen=True)
class PriorParameters(Settings):
    """How a Lennard-Jones prior is fitted, beside the cutoff of the model."""

    PREFIX = "prior."
    ELSEWHERE: ClassVar[Mapping[str, str]] = {"cutoff": "the model (`training.parameters.model.cutoff`)"}

    energy_weight: float = number(
        1.0, "weight of the mean squared error of the energy per atom, in (eV/atom)^2", at_least=0
    )
    forces_weight: float = number(
        1.0, "weight of the mean squared error of the force components, in (eV/A)^2", at_least=0
    )
    wall_energy: float | None = number(
        None,
        "least repulsion at 0.7 of the bond length: the sum of the covalent radii, or the shortest distance in the "
        "data where that is shorter; null for 5 eV beside a fit, which adds to it, and 20 eV for walls alone",
        unit="eV",
        above=0,
    )
    bond_energy: float = number(
        1.0,
        "greatest energy that a pair may have at the sum of the covalent radii; without it, a pair that the data know "
        "as second neighbours only, as carbon with carbon in SiC, could not come together to a bond",
        unit="eV",
        above=0,
    )
    wall_only: bool = flag(
        False, "whether there is no fit: each pair has its least wall alone, which hardly acts where the data are"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.energy_weight == 0 and self.forces_weight == 0:
            raise InputError("`prior.energy_weight` and `prior.forces_weight` are both 0: make one positive.")
        least = self.least_wall * WALL_FRACTION**12
        if self.bond_energy < least:
            raise InputError(
                f"`prior.bond_energy` is {self.bond_energy}, but a wall of {self.least_wall} eV alone gives "
                f"{least:.3g} eV at the bond length: raise it, or lower `prior.wall_energy`."
            )

    @property
    def least_wall(self) -> float:
        """The wall's energy in eV, by default or as given."""
        if self.wall_energy is not None:
            return self.wall_energy
        return WALL_ALONE if self.wall_only else WALL_BESIDE_FIT


@dataclass(frozen=True)
class LennardJonesSettings(PriorParameters):
    """How a Lennard-Jones prior is fitted."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    cutoff: float = number(
        5.0,
        "distance from which on two atoms do not feel each other; not above the cutoff of the potential",
        unit="A",
        above=0,
    )


@dataclass(frozen=True, eq=False)
class LennardJonesFit:
    """A fitted prior and how well it does.

    ``residuals``: root mean square errors `energy_rmse` (eV/atom) and `forces_rmse` (eV/A) with offsets alone, under
    `before`, and with the pairs, under `after`. ``pairs``, by `C-Si`: `min_distance` in the data (A; None without
    data) and `wall_distance` (A), below which the pair is repulsive for certain (None: everywhere).
    """

    prior: LennardJonesPrior
    residuals: dict[str, dict[str, float]]
    pairs: dict[str, dict[str, float | None]]


def fit_prior(
    frames: Sequence[Atoms], settings: LennardJonesSettings | None = None, species: Sequence[str] | None = None
) -> LennardJonesFit:
    """Fit a Lennard-Jones prior to energies and forces.

    Minimised is energy_weight * (mean squared error of the energy per atom) + forces_weight * (mean squared error of
    the force components). Both are linear in A (repulsion) and B (attraction) of each pair of elements and in the
    offsets. Where compositions do not determine the offsets, as with one composition, each element takes the mean
    energy per atom and the smallest corrections. For every pair that is seen within the cutoff, with the shortest
    distance d in the data, s = 0.7 d, the sum R of the covalent radii and w = 0.7 min(d, R), the fit holds to

    - B >= 0 and A - B s^6 >= wall_energy w^12: the pair is repulsive at all r < s, and its wall is never zero;
    - A / R^12 - B / R^6 <= bond_energy: no wall that stands in the way of a bond.

    A pair that is not seen has B = 0 and A = wall_energy (0.7 R)^12: nothing but the least wall, repulsive everywhere.
    With ``wall_only`` every pair has nothing else, those that are seen with w in place of 0.7 R.

    :param species: elements of the prior in their order; by default those of the frames, sorted.
    :raises InputError: when there is no frame, a frame lacks energy or forces or holds an element that is not among
        ``species``, or the cutoff is shorter than a bond.
    """
    settings = settings or LennardJonesSettings()
    if not len(frames):
        raise InputError("There are no frames to fit a prior to: give at least one.")
    found = sorted({symbol for frame in frames for symbol in frame.get_chemical_symbols()})
    names = tuple(found if species is None else species)
    if missing := sorted(set(found) - set(names)):
        raise InputError(f"The frames hold {', '.join(missing)}, but `species` of the prior is {list(names)}: add it.")
    pairs = list(combinations_with_replacement(range(len(names)), 2))
    bonds = np.array([_bond_length(names[i], names[j]) for i, j in pairs])
    if settings.cutoff <= bonds.max():
        raise InputError(
            f"`prior.cutoff` is {settings.cutoff} A, but the covalent radii of a pair of {', '.join(names)} add up to "
            f"{bonds.max():.2f} A: give a longer one."
        )
    system = _System.of_frames(frames, names, settings)
    seen = np.isfinite(system.least)
    # Coefficients in the solver are energies at the wall distance: A / s^12 and B / s^6.
    walls = WALL_FRACTION * np.where(seen, system.least, bonds)
    floors = settings.least_wall * (WALL_FRACTION * np.minimum(system.least, bonds) / walls) ** 12
    strengths = np.stack([floors, np.zeros(len(pairs))], axis=1)
    if seen.any() and not settings.wall_only:
        strengths[seen] = _fit_pairs(system, settings, seen=seen, walls=walls, floors=floors, bonds=bonds)
    coefficients = np.stack([strengths[:, 0] * walls**12, strengths[:, 1] * walls**6], axis=1)
    repulsion, attraction = np.zeros((2, len(names), len(names)))
    for (i, j), (twelfth, sixth) in zip(pairs, coefficients, strict=True):
        repulsion[i, j] = repulsion[j, i] = twelfth
        attraction[i, j] = attraction[j, i] = sixth
    flat = coefficients.reshape(-1)
    offsets = system.offsets(flat)
    prior = LennardJonesPrior(names, repulsion, attraction, offsets, settings.cutoff)
    residuals = {
        "before": system.errors(np.zeros_like(flat), system.offsets(np.zeros_like(flat))),
        "after": system.errors(flat, offsets),
    }
    described = {
        "-".join(sorted((names[i], names[j]))): {
            "min_distance": float(system.least[place]) if seen[place] else None,
            "wall_distance": float(walls[place]) if seen[place] else None,
        }
        for place, (i, j) in enumerate(pairs)
    }
    return LennardJonesFit(prior, residuals, described)


def _bond_length(first: str, second: str) -> float:
    """Return the sum of the covalent radii of two elements, A."""
    return float(covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]])


def _fit_pairs(
    system: _System,
    settings: LennardJonesSettings,
    *,
    seen: npt.NDArray[np.bool_],
    walls: Array,
    floors: Array,
    bonds: Array,
) -> Array:
    """Return A / s^12 and B / s^6 (K, 2) of the seen pairs by least squares with the constraints."""
    unseen = np.stack([np.where(seen, 0.0, floors * walls**12), np.zeros_like(floors)], axis=1).reshape(-1)
    rows, targets = system.rows(settings, unseen)
    walls, floors, ratios = walls[seen], floors[seen], walls[seen] / bonds[seen]
    scale = np.stack([walls**12, walls**6], axis=1).reshape(-1)
    matrix = rows[:, np.repeat(seen, 2)] * scale
    count = len(walls)
    constraints = np.zeros((3 * count, 2 * count))
    limits = np.zeros(3 * count)
    for pair in range(count):
        at = slice(2 * pair, 2 * pair + 2)
        constraints[3 * pair, at], limits[3 * pair] = (0.0, 1.0), 0.0
        constraints[3 * pair + 1, at], limits[3 * pair + 1] = (1.0, -1.0), floors[pair]
        # The bound of the energy at the bond length, in units of the wall distance.
        ratio = ratios[pair]
        constraints[3 * pair + 2, at], limits[3 * pair + 2] = (-(ratio**12), ratio**6), -settings.bond_energy
    strengths = solve_constrained(matrix, targets, constraints, limits).reshape(-1, 2)
    # What rounding has left: the first two constraints hold exactly.
    strengths[:, 1] = np.maximum(strengths[:, 1], 0.0)
    strengths[:, 0] = np.maximum(strengths[:, 0], strengths[:, 1] + floors)
    return strengths


@dataclass(frozen=True)
class _System:
    """The linear equations of all frames (F); unknowns are A and B of each pair of elements (P), in turns.

    ``energies`` (F,) and ``energy_rows`` (F, 2P), both per atom; ``counts`` (F, T); ``triangle``: triangular factor of
    the force equations with their right side as the last column, (2P + 1, 2P + 1), which is all that least squares
    needs of them; ``n_components``: number of these equations; ``least`` (P,): shortest distances, A, else infinite.
    """

    energies: Array
    energy_rows: Array
    counts: Array
    triangle: Array
    n_components: int
    least: Array

    @classmethod
    def of_frames(cls, frames: Sequence[Atoms], species: tuple[str, ...], settings: LennardJonesSettings) -> _System:
        """Return the equations of labelled frames."""
        places = {name: place for place, name in enumerate(species)}
        number = len(species)
        pair_of = np.zeros((number, number), dtype=np.int64)
        for place, (i, j) in enumerate(combinations_with_replacement(range(number), 2)):
            pair_of[i, j] = pair_of[j, i] = place
        n_pairs = number * (number + 1) // 2
        least = np.full(n_pairs, np.inf)
        triangle = np.zeros((0, 2 * n_pairs + 1))
        energies, energy_rows, counts = [], [], []
        for index, frame in enumerate(frames):
            energy, forces = label_of_frame(frame, index)
            kinds = np.array([places[name] for name in frame.get_chemical_symbols()], dtype=np.int64)
            first, second, lengths, vectors = neighbour_pairs(frame, settings.cutoff)
            pairs = pair_of[kinds[first], kinds[second]]
            np.minimum.at(least, pairs, lengths)
            row = np.zeros((n_pairs, 2))
            force_rows = np.zeros((3, len(frame), n_pairs, 2))
            for term, (values, slopes) in enumerate(inverse_powers(lengths, settings.cutoff)):
                sign = 1.0 if term == 0 else -1.0
                row[:, term] = sign * 0.5 * np.bincount(pairs, values, minlength=n_pairs)
                for axis in range(3):
                    pulls = sign * slopes / lengths * vectors[:, axis]
                    force_rows[axis, :, :, term] = np.bincount(
                        first * n_pairs + pairs, pulls, minlength=len(frame) * n_pairs
                    ).reshape(len(frame), n_pairs)
            block = np.column_stack([force_rows.reshape(-1, 2 * n_pairs), forces.T.reshape(-1)])
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, block]), mode="r"))
            energies.append(energy / len(frame))
            energy_rows.append(row.reshape(-1) / len(frame))
            counts.append(np.bincount(kinds, minlength=number))
        n_components = 3 * sum(len(frame) for frame in frames)
        return cls(
            np.array(energies), np.array(energy_rows), np.array(counts, dtype=float), triangle, n_components, least
        )

    def rows(self, settings: LennardJonesSettings, fixed: Array) -> tuple[Array, Array]:
        """Return weighted equations and right sides, what ``fixed`` (2P,) explains and all offsets taken out."""
        fractions = self.counts / self.counts.sum(axis=1)[:, None]
        left, values, _ = np.linalg.svd(fractions, full_matrices=False)
        basis = left[:, values > 1e-10 * values[0]]
        energies = np.column_stack([self.energy_rows, self.energies - self.energies.mean()])
        energies -= basis @ (basis.T @ energies)
        equations = np.vstack(
            [
                np.sqrt(settings.energy_weight / len(self.energies)) * energies,
                np.sqrt(settings.forces_weight / self.n_components) * self.triangle,
            ]
        )
        return equations[:, :-1], equations[:, -1] - equations[:, :-1] @ fixed

    def offsets(self, coefficients: Array) -> Array:
        """Return the energy of each element, eV, beside ``coefficients`` (2P,) of the pairs."""
        remaining = self.energies - self.energy_rows @ coefficients
        mean = float(remaining.mean())
        return mean + fit_energy_offsets(self.counts, (remaining - mean) * self.counts.sum(axis=1))

    def errors(self, coefficients: Array, offsets: Array) -> dict[str, float]:
        """Return the root mean square errors of energies per atom (eV) and force components (eV/A)."""
        fractions = self.counts / self.counts.sum(axis=1)[:, None]
        energy_errors = self.energies - self.energy_rows @ coefficients - fractions @ offsets
        force_errors = self.triangle[:, -1] - self.triangle[:, :-1] @ coefficients
        return {
            "energy_rmse": float(np.sqrt((energy_errors**2).mean())),
            "forces_rmse": float(np.sqrt((force_errors**2).sum() / self.n_components)),
        }


def fit_report(fit: LennardJonesFit) -> dict[str, Any]:
    """Return a fit as plain values: the prior's own, with `residuals` and `pairs`."""
    return {**fit.prior.to_dict(), "residuals": fit.residuals, "pairs": fit.pairs}
