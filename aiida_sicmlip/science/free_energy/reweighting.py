"""Free energies from biased runs: reweighted histograms of collective variables, with errors.

A frame that was drawn under the bias V stands for exp(V/kT) unbiased ones (Torrie and Valleau, J. Comput. Phys. 23,
187, 1977). That holds for OPES once its bias changes slowly (Invernizzi and Parrinello, J. Phys. Chem. Lett. 11, 2731,
2020; the explore variant: J. Chem. Theory Comput. 18, 3988, 2022), which is why the beginning of each run is left out.

Several walkers, each with a bias of its own: under V the mean of exp(V/kT) is exp(c/kT), where c is the shift that
makes biased and unbiased partition functions equal. So weights exp((V - c)/kT) have the mean 1 in every walker and can
be pooled. Here c comes from the mean over the kept frames (`rct` of OPES is the same over its deposits, the transient
included), so that a constant added to the bias of one walker changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.units import BOLTZMANN_KJ_MOL, EV_IN_KJ_MOL
from aiida_sicmlip.science.settings import Settings, integer, number

#: Smoothing kernels end here, in their standard deviations: what lies further from every frame is not sampled.
_KERNEL_CUTOFF = 2.0


@dataclass(frozen=True)
class FreeEnergySettings(Settings):
    """How free energies are estimated."""

    PREFIX = "free_energy."

    discard: float = number(
        0.2,
        "fraction of each walker's frames, from its beginning, that is left out while the bias still changes much",
        at_least=0,
        below=1,
    )
    bins: int = integer(50, "bins along each variable", at_least=2)
    smoothing: float = number(
        0.0,
        "standard deviation in bins of the Gaussian kernels that smooth the histogram; 0 leaves it as it is",
        at_least=0,
    )
    blocks: int = integer(
        10,
        "blocks of time that each walker is cut into for the errors; each should be longer than the slowest relaxation",
        at_least=2,
    )


@dataclass(frozen=True)
class Walker:
    """One run: collective variables (F, n) in time order and the bias (F,) in eV that acted at each frame.

    A bias of zero everywhere is an unbiased run; one of minus infinity takes a frame out.
    """

    variables: np.ndarray
    bias: np.ndarray
    name: str = "the walker"

    def __post_init__(self) -> None:
        if self.variables.ndim != 2 or self.bias.shape != self.variables.shape[:1]:
            raise InputError(
                f"{self.name}: the variables have the shape {self.variables.shape} and the bias {self.bias.shape}; "
                "give (frames, variables) and (frames,)."
            )
        if not np.isfinite(self.variables).all() or np.isnan(self.bias).any() or (self.bias == np.inf).any():
            raise InputError(
                f"{self.name}: variables or bias hold numbers that are not finite: leave those frames out."
            )

    def after(self, fraction: float) -> Walker:
        """Return the walker without a fraction of its frames at the beginning."""
        first = int(fraction * len(self.bias))
        return Walker(self.variables[first:], self.bias[first:], self.name)


@dataclass(frozen=True)
class FreeEnergy:
    """A free energy on a grid of one or more variables.

    edges: of the bins along each variable, (b + 1,) each.
    probability: density (b, ...), in inverse units of the variables.
    free_energy: kT log(highest probability / probability) in eV; not-a-number where nothing was sampled.
    error: one standard deviation of kT log(probability) in eV; infinite where all samples of a bin are of one block or
        of one walker.
    frames: how many were used.
    effective_samples: equally weighted frames of the same worth (Kish); an upper bound, for frames that follow each
        other are alike.
    """

    edges: tuple[np.ndarray, ...]
    probability: np.ndarray
    free_energy: np.ndarray
    error: np.ndarray
    frames: int
    effective_samples: float

    @property
    def centres(self) -> tuple[np.ndarray, ...]:
        """The middles of the bins along each variable, (b,) each."""
        return tuple((edges[1:] + edges[:-1]) / 2 for edges in self.edges)


def thermal_energy(temperature: float) -> float:
    """Return k_B T in eV for a temperature in K, with the constants of the bias.

    :raises InputError: for a temperature that is not above zero.
    """
    if not temperature > 0:
        raise InputError(f"The temperature is {temperature!r} K; give a number above zero.")
    return BOLTZMANN_KJ_MOL / EV_IN_KJ_MOL * temperature


def frame_weights(bias: np.ndarray, temperature: float) -> np.ndarray:
    """Return the weights (F,) of frames under a bias (F,) in eV, exp((V - c)/kT) with the mean 1.

    :raises InputError: when no frame has a weight.
    """
    scaled = bias / thermal_energy(temperature)
    highest = scaled.max(initial=-np.inf)
    if highest == -np.inf:
        raise InputError("No frame has a weight: there are none, or their bias is minus infinity.")
    weights = np.exp(scaled - highest)
    return weights / weights.mean()


def effective_samples(weights: np.ndarray) -> float:
    """Return the number of equally weighted samples of the same worth, (sum w)^2 / sum w^2 (Kish)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def reweighted_free_energy(
    walkers: Sequence[Walker],
    columns: Sequence[int],
    *,
    temperature: float,
    settings: FreeEnergySettings | None = None,
    edges: Sequence[np.ndarray] | None = None,
) -> FreeEnergy:
    """Return the free energy along some of the variables from the weights of the frames.

    :param columns: which variables, from 0, one or two for a curve or a map; the others are integrated out.
    :param temperature: of the runs, in K.
    :param edges: of the bins along each variable; by default they span all kept frames.
    :raises InputError: for walkers without enough frames or with other variables, and for a variable that stands still.
    """
    settings = settings or FreeEnergySettings()
    kept = _kept(walkers, columns, settings)
    weights = [frame_weights(walker.bias, temperature) for walker in kept]
    kt = thermal_energy(temperature)
    return _estimate(kept, weights, columns, kt=kt, settings=settings, edges=edges)


def _kept(walkers: Sequence[Walker], columns: Sequence[int], settings: FreeEnergySettings) -> list[Walker]:
    """Return the walkers without their beginnings, checked."""
    if not walkers:
        raise InputError("A free energy needs at least one walker.")
    n_variables = walkers[0].variables.shape[1]
    if not columns or min(columns) < 0 or max(columns) >= n_variables or len(set(columns)) != len(columns):
        raise InputError(f"The variables {list(columns)} are not different numbers from 0 to {n_variables - 1}.")
    for walker in walkers:
        if walker.variables.shape[1] != n_variables:
            raise InputError(f"{walker.name} has {walker.variables.shape[1]} variables, the first one {n_variables}.")
    kept = [walker.after(settings.discard) for walker in walkers]
    for walker in kept:
        if len(walker.bias) < settings.blocks:
            raise InputError(
                f"{walker.name} has {len(walker.bias)} frames after the beginning, fewer than "
                f"`{settings.PREFIX}blocks`, {settings.blocks}: leave it out, or take fewer blocks."
            )
    return kept


def _estimate(
    walkers: Sequence[Walker],
    weights: Sequence[np.ndarray],
    columns: Sequence[int],
    *,
    kt: float,
    settings: FreeEnergySettings,
    edges: Sequence[np.ndarray] | None,
) -> FreeEnergy:
    """Return the free energy of the density of weighted frames."""
    samples = [walker.variables[:, list(columns)] for walker in walkers]
    bins = tuple(edges) if edges is not None else _spanning_edges(samples, settings)
    if len(bins) != len(columns):
        raise InputError(f"`edges` has the bins of {len(bins)} variables; {len(columns)} are asked for.")

    # Sums of weights in each bin, and altogether, by walker and block.
    sums = np.zeros((len(walkers), settings.blocks, *(len(edge) - 1 for edge in bins)))
    totals = np.zeros((len(walkers), settings.blocks))
    for index, (sample, weight) in enumerate(zip(samples, weights, strict=True)):
        for block, frames in enumerate(np.array_split(np.arange(len(weight)), settings.blocks)):
            sums[index, block] = np.histogramdd(sample[frames], bins=list(bins), weights=weight[frames])[0]
            totals[index, block] = weight[frames].sum()
    if settings.smoothing:
        axes = tuple(range(2, sums.ndim))
        sums = gaussian_filter(sums, settings.smoothing, mode="constant", truncate=_KERNEL_CUTOFF, axes=axes)
    lengths = np.array([len(weight) for weight in weights], dtype=np.float64)
    volume = np.prod(np.meshgrid(*(np.diff(edge) for edge in bins), indexing="ij"), axis=0)

    def probability(sums: np.ndarray, totals: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the density from sums (W, ...) and totals (W,), each walker counting as its length (W,)."""
        shares = np.divide(lengths, totals, out=np.zeros_like(totals), where=totals > 0)
        density = np.tensordot(shares, sums, axes=1) / volume
        if not density.any():
            return density
        return density / (density * volume).sum()

    found = probability(sums.sum(axis=1), totals.sum(axis=1), lengths)
    if not found.any():
        raise InputError("No frame lies within `edges`: give edges that span the samples.")
    variance = _block_variance(probability, sums, totals, lengths)
    if len(walkers) > 1:
        variance = np.maximum(variance, _walker_variance(probability, sums, totals, lengths))
    sampled = found > 0
    free_energy = np.full(found.shape, np.nan)
    free_energy[sampled] = -kt * np.log(found[sampled] / found.max())
    pooled = np.concatenate(list(weights))
    return FreeEnergy(
        edges=bins,
        probability=found,
        free_energy=free_energy,
        error=np.where(sampled, kt * np.sqrt(variance), np.nan),
        frames=len(pooled),
        effective_samples=effective_samples(pooled),
    )


def _block_variance(
    probability: Callable[..., np.ndarray], sums: np.ndarray, totals: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Return the variance of log(probability) between blocks of time: a jackknife, walker by walker."""
    of_walker, total_of_walker = sums.sum(axis=1), totals.sum(axis=1)
    n_blocks = sums.shape[1]
    variance = np.zeros(sums.shape[2:])
    for walker in range(len(sums)):
        left_out = []
        for block in range(n_blocks):
            fewer, less = of_walker.copy(), total_of_walker.copy()
            # Subtracting could leave rounding where there is nothing.
            fewer[walker] = np.delete(sums[walker], block, axis=0).sum(axis=0)
            less[walker] = np.delete(totals[walker], block).sum()
            left_out.append(probability(fewer, less, lengths))
        variance += _jackknife(left_out)
    return variance


def _walker_variance(
    probability: Callable[..., np.ndarray], sums: np.ndarray, totals: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Return the variance of log(probability) between walkers: a jackknife over them.

    Walkers that stay in parts of their own agree with themselves from block to block, but not with each other.
    """
    of_walker, total_of_walker = sums.sum(axis=1), totals.sum(axis=1)
    others = [np.delete(np.arange(len(sums)), walker) for walker in range(len(sums))]
    return _jackknife([probability(of_walker[some], total_of_walker[some], lengths[some]) for some in others])


def _jackknife(left_out: Sequence[np.ndarray]) -> np.ndarray:
    """Return the variance of log(probability) from estimates that leave one part out each; infinite where one is 0."""
    estimates = np.stack(left_out)
    everywhere = (estimates > 0).all(axis=0)
    logs = np.log(np.where(everywhere, estimates, 1.0))
    spread = ((logs - logs.mean(axis=0)) ** 2).sum(axis=0) * (len(estimates) - 1) / len(estimates)
    return np.where(everywhere, spread, np.inf)


def _spanning_edges(samples: Sequence[np.ndarray], settings: FreeEnergySettings) -> tuple[np.ndarray, ...]:
    """Return edges that hold all samples and the kernels around them."""
    low = np.min([sample.min(axis=0) for sample in samples], axis=0)
    high = np.max([sample.max(axis=0) for sample in samples], axis=0)
    if not (high > low).all():
        raise InputError(
            f"The variables span {(high - low).tolist()}: one of them stands still and has no free energy."
        )
    margin = _KERNEL_CUTOFF * settings.smoothing
    if 2 * margin > settings.bins - 2:
        raise InputError(
            f"`{settings.PREFIX}smoothing` is {settings.smoothing:g} of {settings.bins} bins; use more bins or less of "
            "it."
        )
    width = (high - low) / (settings.bins - 2 * margin)
    low, high = low - margin * width, high + margin * width
    return tuple(np.linspace(*ends, settings.bins + 1) for ends in zip(low, high, strict=True))
