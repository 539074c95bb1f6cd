"""Free energies from biased runs by reweighted histograms of collective variables, with errors.

A frame sampled with the bias V has the weight exp(V/kT) (Torrie and Valleau, J. Comput. Phys. 23, 187, 1977). For OPES
this holds once the bias is quasi-static (Invernizzi and Parrinello, J. Phys. Chem. Lett. 11, 2731, 2020; OPES-Explore:
J. Chem. Theory Comput. 18, 3988, 2022); the beginning of each run is therefore discarded.

Several walkers with different biases are combined as follows. In each, the mean of exp(V/kT) is exp(c/kT), where c is
the shift that makes biased and unbiased partition functions equal. The weights exp((V - c)/kT) have mean 1 in every
walker and can be pooled. Here c is computed from the frames that are not discarded (`rct` of OPES is the same over its
deposited kernels, including the transient), so that the result does not depend on a constant added to a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.units import BOLTZMANN_KJ_MOL, EV_IN_KJ_MOL
from aiida_sicmlip.science.settings import Settings, integer, number

#: Cutoff of the smoothing kernels in standard deviations; bins farther from every frame are not sampled.
_KERNEL_CUTOFF = 2.0


@dataclass(frozen=True)
class FreeEnergySettings(Settings):
    """Settings of the estimation of free energies."""

    PREFIX = "free_energy."

    discard: float = number(
        0.2,
        "fraction of the frames at the beginning of each walker that is discarded, while the bias is not quasi-static",
        at_least=0,
        below=1,
    )
    bins: int = integer(50, "number of bins along each variable", at_least=2, limit=1000)
    smoothing: float = number(
        0.0,
        "standard deviation, in bins, of the Gaussian kernels that smooth the histogram; 0: no smoothing",
        at_least=0,
    )
    blocks: int = integer(
        10,
        "number of blocks in time of each walker for the errors; a block should be longer than the slowest relaxation",
        at_least=2,
    )


@dataclass(frozen=True)
class Walker:
    """Collective variables and bias of a run.

    variables: (F, n), in the order of time.
    bias: of each frame, (F,), eV; zero for an unbiased run, minus infinity to exclude a frame.
    name: for messages.
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
                f"{self.name}: variables or bias contain numbers that are not finite; remove these frames."
            )

    def after(self, fraction: float) -> Walker:
        """Return the walker without a fraction of its frames at the beginning."""
        first = int(fraction * len(self.bias))
        return Walker(self.variables[first:], self.bias[first:], self.name)


@dataclass(frozen=True)
class FreeEnergy:
    """Free energy on a grid of one or more variables.

    edges: of the bins along each variable, (b + 1,) each.
    probability: density, (b, ...), in inverse units of the variables.
    free_energy: kT log(maximum probability / probability), eV; not-a-number for bins without samples.
    error: standard deviation of kT log(probability), eV; infinite if all samples of a bin are from one block or one
        walker.
    frames: number of frames used.
    effective_samples: effective number of samples (Kish); an upper bound, since successive frames are correlated.
    """

    edges: tuple[np.ndarray, ...]
    probability: np.ndarray
    free_energy: np.ndarray
    error: np.ndarray
    frames: int
    effective_samples: float

    @property
    def centres(self) -> tuple[np.ndarray, ...]:
        """Centres of the bins along each variable, (b,) each."""
        return tuple((edges[1:] + edges[:-1]) / 2 for edges in self.edges)


def thermal_energy(temperature: float) -> float:
    """Return k_B T in eV for a temperature in K, with the constants of the bias.

    :raises InputError: unless the temperature is above zero.
    """
    if not temperature > 0:
        raise InputError(f"The temperature is {temperature!r} K; give a number above zero.")
    return BOLTZMANN_KJ_MOL / EV_IN_KJ_MOL * temperature


def frame_weights(bias: np.ndarray, temperature: float) -> np.ndarray:
    """Return the weights of frames, (F,), exp((V - c)/kT) with mean 1.

    :param bias: V of each frame, (F,), eV.
    :param temperature: K.
    :raises InputError: if no frame has a weight above zero.
    """
    scaled = bias / thermal_energy(temperature)
    maximum = scaled.max(initial=-np.inf)
    if maximum == -np.inf:
        raise InputError("No frame has a weight: there are no frames, or their bias is minus infinity.")
    weights = np.exp(scaled - maximum)
    return weights / weights.mean()


def effective_samples(weights: np.ndarray) -> float:
    """Return the effective number of samples, (sum w)^2 / sum w^2 (Kish)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def reweighted_free_energy(
    walkers: Sequence[Walker],
    columns: Sequence[int],
    *,
    temperature: float,
    settings: FreeEnergySettings | None = None,
    edges: Sequence[np.ndarray] | None = None,
) -> FreeEnergy:
    """Return the free energy along some of the variables by reweighting; the other variables are integrated out.

    :param columns: indices of the variables, from 0.
    :param temperature: of the runs, K.
    :param edges: of the bins along each variable; by default they span all frames that are not discarded.
    :raises InputError: if a walker has too few frames or a different number of variables, or a variable is constant.
    """
    settings = settings or FreeEnergySettings()
    equilibrated = _without_beginning(walkers, columns, settings)
    weights = [frame_weights(walker.bias, temperature) for walker in equilibrated]
    kt = thermal_energy(temperature)
    return _estimate(equilibrated, weights, columns, kt=kt, settings=settings, edges=edges)


def _without_beginning(walkers: Sequence[Walker], columns: Sequence[int], settings: FreeEnergySettings) -> list[Walker]:
    """Return the walkers without their discarded frames, after checks."""
    if not walkers:
        raise InputError("There are no walkers; a free energy needs at least one.")
    n_variables = walkers[0].variables.shape[1]
    if not columns or min(columns) < 0 or max(columns) >= n_variables or len(set(columns)) != len(columns):
        raise InputError(f"The variables are {list(columns)}; give different numbers from 0 to {n_variables - 1}.")
    for walker in walkers:
        if walker.variables.shape[1] != n_variables:
            raise InputError(f"{walker.name} has {walker.variables.shape[1]} variables, but the first {n_variables}.")
    equilibrated = [walker.after(settings.discard) for walker in walkers]
    for walker in equilibrated:
        if len(walker.bias) < settings.blocks:
            raise InputError(
                f"{walker.name} has {len(walker.bias)} frames that are not discarded, fewer than "
                f"`{settings.PREFIX}blocks` ({settings.blocks}); remove the walker, or decrease the number of blocks."
            )
    return equilibrated


def _estimate(
    walkers: Sequence[Walker],
    weights: Sequence[np.ndarray],
    columns: Sequence[int],
    *,
    kt: float,
    settings: FreeEnergySettings,
    edges: Sequence[np.ndarray] | None,
) -> FreeEnergy:
    """Return the free energy from the weights of the frames of each walker."""
    samples = [walker.variables[:, list(columns)] for walker in walkers]
    bins = tuple(edges) if edges is not None else _spanning_edges(samples, settings)
    if len(bins) != len(columns):
        raise InputError(f"`edges` has the bins of {len(bins)} variables; give those of {len(columns)}.")

    # Sums of weights in each bin, and over all bins, by walker and block.
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
        """Return the density from sums (W, ...) and totals (W,), with walkers weighted by their lengths (W,)."""
        shares = np.divide(lengths, totals, out=np.zeros_like(totals), where=totals > 0)
        density = np.tensordot(shares, sums, axes=1) / volume
        if not density.any():
            return density
        return density / (density * volume).sum()

    density = probability(sums.sum(axis=1), totals.sum(axis=1), lengths)
    if not density.any():
        raise InputError("No frame is within `edges`; give edges that span the samples.")
    variance = _block_variance(probability, sums, totals, lengths)
    if len(walkers) > 1:
        variance = np.maximum(variance, _walker_variance(probability, sums, totals, lengths))
    sampled = density > 0
    free_energy = np.full(density.shape, np.nan)
    free_energy[sampled] = -kt * np.log(density[sampled] / density.max())
    pooled = np.concatenate(list(weights))
    return FreeEnergy(
        edges=bins,
        probability=density,
        free_energy=free_energy,
        error=np.where(sampled, kt * np.sqrt(variance), np.nan),
        frames=len(pooled),
        effective_samples=effective_samples(pooled),
    )


def _block_variance(
    probability: Callable[..., np.ndarray], sums: np.ndarray, totals: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Return the variance of log(probability) by a jackknife over blocks in time, summed over walkers."""
    walker_sums, walker_totals = sums.sum(axis=1), totals.sum(axis=1)
    n_blocks = sums.shape[1]
    variance = np.zeros(sums.shape[2:])
    for walker in range(len(sums)):
        estimates = []
        for block in range(n_blocks):
            other_sums, other_totals = walker_sums.copy(), walker_totals.copy()
            # Sums without the block, not differences, which have rounding errors in empty bins.
            other_sums[walker] = np.delete(sums[walker], block, axis=0).sum(axis=0)
            other_totals[walker] = np.delete(totals[walker], block).sum()
            estimates.append(probability(other_sums, other_totals, lengths))
        variance += _jackknife(estimates)
    return variance


def _walker_variance(
    probability: Callable[..., np.ndarray], sums: np.ndarray, totals: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Return the variance of log(probability) by a jackknife over walkers.

    Walkers that are confined to different basins agree between their blocks, but not with each other.
    """
    walker_sums, walker_totals = sums.sum(axis=1), totals.sum(axis=1)
    subsets = [np.delete(np.arange(len(sums)), walker) for walker in range(len(sums))]
    return _jackknife([probability(walker_sums[some], walker_totals[some], lengths[some]) for some in subsets])


def _jackknife(estimates: Sequence[np.ndarray]) -> np.ndarray:
    """Return the variance of log(probability) from leave-one-out estimates; infinite in bins where one is zero."""
    stacked = np.stack(estimates)
    positive = (stacked > 0).all(axis=0)
    logs = np.log(np.where(positive, stacked, 1.0))
    variance = ((logs - logs.mean(axis=0)) ** 2).sum(axis=0) * (len(stacked) - 1) / len(stacked)
    return np.where(positive, variance, np.inf)


def _spanning_edges(samples: Sequence[np.ndarray], settings: FreeEnergySettings) -> tuple[np.ndarray, ...]:
    """Return edges that span all samples and their smoothing kernels."""
    low = np.min([sample.min(axis=0) for sample in samples], axis=0)
    high = np.max([sample.max(axis=0) for sample in samples], axis=0)
    if not (high > low).all():
        raise InputError(
            f"The ranges of the variables are {(high - low).tolist()}; leave out the constant one, which has no free "
            "energy."
        )
    margin = _KERNEL_CUTOFF * settings.smoothing
    if 2 * margin > settings.bins - 2:
        raise InputError(
            f"`{settings.PREFIX}smoothing` is {settings.smoothing:g}, but there are only {settings.bins} bins; use "
            "more bins or less smoothing."
        )
    width = (high - low) / (settings.bins - 2 * margin)
    low, high = low - margin * width, high + margin * width
    return tuple(np.linspace(*limits, settings.bins + 1) for limits in zip(low, high, strict=True))
