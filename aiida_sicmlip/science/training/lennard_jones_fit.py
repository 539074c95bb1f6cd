"""Fit of the Lennard-Jones prior to labelled frames, with a repulsive wall for every pair of elements."""

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
"""Position of the walls, as a fraction of the sum of two covalent radii."""
CLEAN_FRACTION = 0.75
"""Frames in which two atoms are closer than this fraction of the sum of their covalent radii are left out of the fit.

In SiC that is 1.40 A for Si-C, 1.14 A for C-C and 1.67 A for Si-Si.
"""
NEAR_QUANTILE = 0.01
"""Quantile of the nearest-neighbour distances of a pair of elements that is taken as its shortest distance."""
FITTED_WALL_ENERGY, UNFITTED_WALL_ENERGY = 5.0, 10.0
"""Default minimum energy of the wall, eV. Without a fit it is 250 eV for Si-C at 1.0 A."""


@dataclass(frozen=True)
class PriorParameters(Settings):
    """Settings of the fit of a Lennard-Jones prior whose cutoff is that of the model."""

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
        "minimum energy of a pair at 0.7 of the sum of the covalent radii, for any data; null: 5 eV with a fit, which "
        "may add to it, 10 eV with `wall_only`",
        unit="eV",
        above=0,
    )
    bond_energy: float = number(
        1.0,
        "maximum energy of a pair at the sum of the covalent radii; without it, elements that are only second "
        "neighbours in the data, such as carbon and carbon in SiC, could not form a bond",
        unit="eV",
        above=0,
    )
    wall_only: bool = flag(
        False, "no fit: each pair has only its minimum wall, which hardly acts at the distances in the data"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.energy_weight == 0 and self.forces_weight == 0:
            raise InputError(
                "`prior.energy_weight` and `prior.forces_weight` are both 0; at least one must be positive."
            )
        at_bond = self.min_wall_energy * WALL_FRACTION**12
        if self.bond_energy < at_bond:
            raise InputError(
                f"`prior.bond_energy` is {self.bond_energy} eV, but a wall of {self.min_wall_energy} eV has "
                f"{at_bond:.3g} eV at the bond length; increase it, or decrease `prior.wall_energy`."
            )

    @property
    def min_wall_energy(self) -> float:
        """``wall_energy``, or its default, eV."""
        if self.wall_energy is not None:
            return self.wall_energy
        return UNFITTED_WALL_ENERGY if self.wall_only else FITTED_WALL_ENERGY


@dataclass(frozen=True)
class LennardJonesSettings(PriorParameters):
    """Settings of the fit of a Lennard-Jones prior."""

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    cutoff: float = number(
        5.0,
        "distance beyond which atoms do not interact; at most the cutoff of the potential",
        unit="A",
        above=0,
        limit=20,
    )


@dataclass(frozen=True, eq=False)
class LennardJonesFit:
    """A fitted prior and its errors.

    prior: the prior.
    residuals: root mean square errors `energy_rmse` (eV/atom) and `forces_rmse` (eV/A), `before` with offsets alone,
        `after` with the pair potential.
    pairs: for each pair of elements, such as `C-Si`, `near_distance`, the :data:`NEAR_QUANTILE` of its
        nearest-neighbour distances (A; None without data), and `wall_distance` (A), below which the pair is always
        repulsive (None: at all distances).
    n_frames: number of frames of the fit.
    n_left_out: number of frames left out because of overlapping atoms. If all are, offsets and residuals are those of
        all frames, and every pair has its minimum wall alone.
    """

    prior: LennardJonesPrior
    residuals: dict[str, dict[str, float]]
    pairs: dict[str, dict[str, float | None]]
    n_frames: int
    n_left_out: int


def fit_prior(
    frames: Sequence[Atoms], settings: LennardJonesSettings | None = None, species: Sequence[str] | None = None
) -> LennardJonesFit:
    """Fit a Lennard-Jones prior to energies and forces.

    The fit minimises energy_weight * (mean squared error of the energy per atom) + forces_weight * (mean squared error
    of the force components). Energies and forces are linear in A (repulsion) and B (attraction) of each pair of
    elements and in the offsets. Offsets that the compositions do not determine, as for a single composition, are the
    mean energy per atom plus corrections of minimum norm.

    Frames with two atoms closer than :data:`CLEAN_FRACTION` of the sum R of their covalent radii are left out: r^-12
    would follow them at the expense of all others. Let d be the :data:`NEAR_QUANTILE` of the nearest-neighbour
    distances of a pair in the other frames, s = 0.7 max(d, R) and w = 0.7 R. For a pair that occurs within the cutoff,
    the constraints are

    - B >= 0 and A - B s^6 >= wall_energy w^12: the pair is repulsive at all r < s, with a minimum wall;
    - A / R^12 - B / R^6 <= bond_energy: the wall does not prevent a bond.

    A pair that does not occur has B = 0 and A = wall_energy w^12: the minimum wall alone, repulsive at all r. With
    ``wall_only`` so have all pairs. Therefore no frame can lower a wall.

    :param species: elements of the prior in their order; by default those of the frames, sorted.
    :raises InputError: if there is no frame, a frame lacks energy or forces or contains an element that is not in
        ``species``, or the cutoff is shorter than a bond.
    """
    settings = settings or LennardJonesSettings()
    if not len(frames):
        raise InputError("There are no frames to fit a prior to; give at least one.")
    elements = sorted({symbol for frame in frames for symbol in frame.get_chemical_symbols()})
    names = tuple(elements if species is None else species)
    if missing := sorted(set(elements) - set(names)):
        raise InputError(
            f"The frames contain {', '.join(missing)}, but `species` of the prior is {list(names)}; add the element."
        )
    pairs = list(combinations_with_replacement(range(len(names)), 2))
    bonds = np.array([_bond_length(names[i], names[j]) for i, j in pairs])
    if settings.cutoff <= bonds.max():
        raise InputError(
            f"`prior.cutoff` is {settings.cutoff} A, but the covalent radii of a pair of {', '.join(names)} add up to "
            f"{bonds.max():.2f} A; give a larger cutoff."
        )
    clean = [frame for frame in frames if not _has_overlap(frame)]
    system = _System.of_frames(clean or frames, names, settings)
    occurs = np.isfinite(system.near_distances) & bool(clean)
    # The unknowns of the solver are energies at the wall distance, A / s^12 and B / s^6.
    walls = WALL_FRACTION * np.where(occurs, np.maximum(system.near_distances, bonds), bonds)
    min_energies = settings.min_wall_energy * (WALL_FRACTION * bonds / walls) ** 12
    energies = np.stack([min_energies, np.zeros(len(pairs))], axis=1)
    if occurs.any() and not settings.wall_only:
        energies[occurs] = _fit_pairs(
            system, settings, occurs=occurs, walls=walls, min_energies=min_energies, bonds=bonds
        )
    coefficients = np.stack([energies[:, 0] * walls**12, energies[:, 1] * walls**6], axis=1)
    repulsion, attraction = np.zeros((2, len(names), len(names)))
    for (i, j), (a, b) in zip(pairs, coefficients, strict=True):
        repulsion[i, j] = repulsion[j, i] = a
        attraction[i, j] = attraction[j, i] = b
    flat = coefficients.reshape(-1)
    offsets = system.offsets(flat)
    prior = LennardJonesPrior(names, repulsion, attraction, offsets, settings.cutoff)
    residuals = {
        "before": system.errors(np.zeros_like(flat), system.offsets(np.zeros_like(flat))),
        "after": system.errors(flat, offsets),
    }
    distances = {
        "-".join(sorted((names[i], names[j]))): {
            "near_distance": float(system.near_distances[pair]) if occurs[pair] else None,
            "wall_distance": float(walls[pair]) if occurs[pair] else None,
        }
        for pair, (i, j) in enumerate(pairs)
    }
    return LennardJonesFit(prior, residuals, distances, len(clean), len(frames) - len(clean))


def _bond_length(first: str, second: str) -> float:
    """Return the sum of the covalent radii of two elements, A."""
    return float(covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]])


def _near_distance(distances: Array) -> float:
    """Return the quantile of nearest-neighbour distances, A; infinite if no atom has a neighbour within the cutoff."""
    finite = distances[np.isfinite(distances)]
    return float(np.quantile(finite, NEAR_QUANTILE)) if len(finite) else np.inf


def _has_overlap(frame: Atoms) -> bool:
    """Return whether two atoms are closer than :data:`CLEAN_FRACTION` of the sum of their covalent radii."""
    radii = CLEAN_FRACTION * covalent_radii[frame.numbers]
    first, second, lengths, _ = neighbour_pairs(frame, 2.0 * float(radii.max()))
    return bool((lengths < radii[first] + radii[second]).any())


def _fit_pairs(
    system: _System,
    settings: LennardJonesSettings,
    *,
    occurs: npt.NDArray[np.bool_],
    walls: Array,
    min_energies: Array,
    bonds: Array,
) -> Array:
    """Return A / s^12 and B / s^6, eV, of the pairs that occur, (K, 2), by least squares with the constraints.

    :param occurs: whether each pair of elements occurs within the cutoff, (P,).
    :param walls: wall distances s, (P,), A.
    :param min_energies: minimum energies of the walls at s, (P,), eV.
    :param bonds: bond lengths R, (P,), A.
    """
    fixed = np.stack([np.where(occurs, 0.0, min_energies * walls**12), np.zeros_like(walls)], axis=1).reshape(-1)
    rows, targets = system.weighted_equations(settings, fixed)
    walls, min_energies, ratios = walls[occurs], min_energies[occurs], walls[occurs] / bonds[occurs]
    scale = np.stack([walls**12, walls**6], axis=1).reshape(-1)
    matrix = rows[:, np.repeat(occurs, 2)] * scale
    count = len(walls)
    constraints = np.zeros((3 * count, 2 * count))
    limits = np.zeros(3 * count)
    for pair in range(count):
        at = slice(2 * pair, 2 * pair + 2)
        constraints[3 * pair, at], limits[3 * pair] = (0.0, 1.0), 0.0
        constraints[3 * pair + 1, at], limits[3 * pair + 1] = (1.0, -1.0), min_energies[pair]
        # The maximum energy at the bond length, in terms of the energies at the wall distance.
        ratio = ratios[pair]
        constraints[3 * pair + 2, at], limits[3 * pair + 2] = (-(ratio**12), ratio**6), -settings.bond_energy
    energies = solve_constrained(matrix, targets, constraints, limits).reshape(-1, 2)
    # The first two constraints are to hold exactly, in spite of rounding.
    energies[:, 1] = np.maximum(energies[:, 1], 0.0)
    energies[:, 0] = np.maximum(energies[:, 0], energies[:, 1] + min_energies)
    return energies


@dataclass(frozen=True)
class _System:
    """Linear equations of all frames for A and B of each pair of elements: A_0, B_0, A_1, B_1, ...

    energies: per atom, (F,), eV.
    energy_rows: coefficients of the energies per atom, (F, 2P).
    counts: atoms of each element in each frame, (F, T).
    triangle: triangular QR factor of the force equations with their right-hand side as the last column,
        (2P + 1, 2P + 1); least squares needs nothing else of them.
    n_components: number of force equations.
    near_distances: :data:`NEAR_QUANTILE` of the nearest-neighbour distances of each pair of elements, (P,), A;
        infinite where it does not occur.
    """

    energies: Array
    energy_rows: Array
    counts: Array
    triangle: Array
    n_components: int
    near_distances: Array

    @classmethod
    def of_frames(cls, frames: Sequence[Atoms], species: tuple[str, ...], settings: LennardJonesSettings) -> _System:
        """Return the equations of labelled frames."""
        type_of = {name: index for index, name in enumerate(species)}
        n_types = len(species)
        pair_of = np.zeros((n_types, n_types), dtype=np.int64)
        for pair, (i, j) in enumerate(combinations_with_replacement(range(n_types), 2)):
            pair_of[i, j] = pair_of[j, i] = pair
        n_pairs = n_types * (n_types + 1) // 2
        nearest: list[Array] = []
        triangle = np.zeros((0, 2 * n_pairs + 1))
        energies, energy_rows, counts = [], [], []
        for index, frame in enumerate(frames):
            energy, forces = label_of_frame(frame, index)
            types = np.array([type_of[name] for name in frame.get_chemical_symbols()], dtype=np.int64)
            first, second, lengths, vectors = neighbour_pairs(frame, settings.cutoff)
            pairs = pair_of[types[first], types[second]]
            # The distance of each atom to the nearest atom of each element, by pair of elements.
            of_atoms = np.full((len(frame), n_pairs), np.inf)
            np.minimum.at(of_atoms, (first, pairs), lengths)
            nearest.append(of_atoms)
            row = np.zeros((n_pairs, 2))
            force_rows = np.zeros((3, len(frame), n_pairs, 2))
            for term, (values, slopes) in enumerate(inverse_powers(lengths, settings.cutoff)):
                sign = 1.0 if term == 0 else -1.0
                row[:, term] = sign * 0.5 * np.bincount(pairs, values, minlength=n_pairs)
                for axis in range(3):
                    components = sign * slopes / lengths * vectors[:, axis]
                    force_rows[axis, :, :, term] = np.bincount(
                        first * n_pairs + pairs, components, minlength=len(frame) * n_pairs
                    ).reshape(len(frame), n_pairs)
            block = np.column_stack([force_rows.reshape(-1, 2 * n_pairs), forces.T.reshape(-1)])
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, block]), mode="r"))
            energies.append(energy / len(frame))
            energy_rows.append(row.reshape(-1) / len(frame))
            counts.append(np.bincount(types, minlength=n_types))
        n_components = 3 * sum(len(frame) for frame in frames)
        return cls(
            np.array(energies),
            np.array(energy_rows),
            np.array(counts, dtype=float),
            triangle,
            n_components,
            np.array([_near_distance(column) for column in np.concatenate(nearest).T]),
        )

    def weighted_equations(self, settings: LennardJonesSettings, fixed: Array) -> tuple[Array, Array]:
        """Return matrix and right-hand side of the weighted equations, with the offsets eliminated.

        :param fixed: coefficients whose contribution is subtracted from the right-hand side, (2P,).
        """
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
        """Return the energy of each element, eV, for ``coefficients`` (2P,) of the pairs."""
        remaining = self.energies - self.energy_rows @ coefficients
        mean = float(remaining.mean())
        return mean + fit_energy_offsets(self.counts, (remaining - mean) * self.counts.sum(axis=1))

    def errors(self, coefficients: Array, offsets: Array) -> dict[str, float]:
        """Return the root mean square errors of energies per atom (eV/atom) and force components (eV/A)."""
        fractions = self.counts / self.counts.sum(axis=1)[:, None]
        energy_errors = self.energies - self.energy_rows @ coefficients - fractions @ offsets
        force_errors = self.triangle[:, -1] - self.triangle[:, :-1] @ coefficients
        return {
            "energy_rmse": float(np.sqrt((energy_errors**2).mean())),
            "forces_rmse": float(np.sqrt((force_errors**2).sum() / self.n_components)),
        }


def fit_report(fit: LennardJonesFit) -> dict[str, Any]:
    """Return a fit as a mapping: the prior's values, `residuals`, `pairs`, `n_frames` and `n_left_out`."""
    counts = {"n_frames": fit.n_frames, "n_left_out": fit.n_left_out}
    return {**fit.prior.to_dict(), "residuals": fit.residuals, "pairs": fit.pairs, **counts}
