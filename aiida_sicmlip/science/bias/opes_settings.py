"""Keywords of OPES_METAD and OPES_METAD_EXPLORE, with the defaults that PLUMED derives from the barrier."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords

#: Default of ADAPTIVE_SIGMA_STRIDE in PLUMED, in units of PACE.
ADAPTIVE_PACES = 10


@dataclass(frozen=True)
class OpesSettings:
    """Parameters of an OPES bias, in the units of plumed.dat.

    explore: whether the density is that of the sampled distribution, not of the unbiased one (OPES-Explore).
    kt: k_B T.
    pace: number of steps between two deposits.
    biasfactor: bias factor gamma.
    prefactor: of the bias, prefactor x kt x log(density/zed + epsilon).
    epsilon: regularisation of the density.
    cutoff: of the kernels, in units of sigma.
    threshold: distance below which kernels are merged, in units of sigma.
    recursive: whether merged kernels are merged again.
    sigma: widths before rescaling, (n,); None: measured.
    adaptive_stride: number of steps over which widths are measured.
    sigma_min: minimum widths, (n,), or None.
    fixed_sigma: whether widths are not rescaled during the run.
    zed: whether the normalisation Z is computed.
    """

    explore: bool
    kt: float
    pace: int
    biasfactor: float
    prefactor: float
    epsilon: float
    cutoff: float
    threshold: float
    recursive: bool
    sigma: np.ndarray | None
    adaptive_stride: int
    sigma_min: np.ndarray | None
    fixed_sigma: bool
    zed: bool


def read_opes_settings(keywords: Keywords, n: int, kt: float | None, *, explore: bool) -> OpesSettings:
    """Return the parameters of a bias from its keywords, except for files and RESTART.

    :param n: number of arguments.
    :param kt: k_B T in the units of plumed.dat; None if it is unknown.
    :param explore: whether the action is OPES_METAD_EXPLORE.
    :raises InputError: for invalid values.
    """
    where = keywords.where
    if kt is None or kt <= 0:
        raise InputError(f"{where} needs `TEMP=` (K), since the dynamics has no temperature.")
    pace = keywords.integer("PACE")
    barrier = keywords.number("BARRIER")
    if pace < 1 or not 0 < barrier < math.inf:
        raise InputError(f"{where}: `PACE=` and `BARRIER=` must be positive.")

    biasfactor = keywords.number("BIASFACTOR", barrier / kt)
    if not biasfactor > 1:
        raise InputError(
            f"{where}: the bias factor is {biasfactor:g}, but must be above 1; without `BIASFACTOR=` it is BARRIER/kT."
        )
    if explore and math.isinf(biasfactor):
        raise InputError(f"{where}: `BIASFACTOR=inf` is for OPES_METAD only.")
    prefactor = biasfactor - 1 if explore else 1 - 1 / biasfactor

    epsilon = keywords.number("EPSILON", math.exp(-barrier / prefactor / kt))
    cutoff = keywords.number("KERNEL_CUTOFF", math.sqrt(2 * barrier / kt / (1 if explore else prefactor)))
    threshold = keywords.number("COMPRESSION_THRESHOLD", 1.0)
    if not epsilon > 0 or not cutoff > 0:
        raise InputError(
            f"{where}: `EPSILON=` and `KERNEL_CUTOFF=` must be positive; decrease `BARRIER=`, or give them."
        )
    if not 0 <= threshold < cutoff:
        raise InputError(f"{where}: `COMPRESSION_THRESHOLD=` must be between 0 and the kernel cutoff, {cutoff:g}.")

    sigma, stride, sigma_min = _widths(keywords, n, pace, biasfactor, explore=explore)
    return OpesSettings(
        explore=explore,
        kt=kt,
        pace=pace,
        biasfactor=biasfactor,
        prefactor=prefactor,
        epsilon=epsilon,
        cutoff=cutoff,
        threshold=threshold,
        recursive=not keywords.flag("RECURSIVE_MERGE_OFF"),
        sigma=sigma,
        adaptive_stride=stride,
        sigma_min=sigma_min,
        fixed_sigma=keywords.flag("FIXED_SIGMA"),
        zed=not keywords.flag("NO_ZED"),
    )


def _widths(
    keywords: Keywords, n: int, pace: int, biasfactor: float, *, explore: bool
) -> tuple[np.ndarray | None, int, np.ndarray | None]:
    where = keywords.where
    words = keywords.words("SIGMA")
    stride = keywords.integer("ADAPTIVE_SIGMA_STRIDE", 0)
    minimum = keywords.words("SIGMA_MIN")
    sigma_min = _numbers(minimum, n, f"{where}: `SIGMA_MIN=`") if minimum else None
    if not words or [word.upper() for word in words] == ["ADAPTIVE"]:
        if math.isinf(biasfactor):
            raise InputError(f"{where}: `BIASFACTOR=inf` needs `SIGMA=` with numbers; widths cannot be measured.")
        stride = stride or ADAPTIVE_PACES * pace
        if stride < pace:
            raise InputError(f"{where}: `ADAPTIVE_SIGMA_STRIDE={stride}` must be at least `PACE={pace}`.")
        return None, stride, sigma_min
    if stride:
        raise InputError(
            f"{where}: `ADAPTIVE_SIGMA_STRIDE=` has no effect with numbers in `SIGMA=`; remove one of them."
        )
    sigma = _numbers(words, n, f"{where}: `SIGMA=`")
    if explore:
        # SIGMA is the width of the unbiased distribution in a basin; the well-tempered distribution is wider.
        sigma = sigma * math.sqrt(biasfactor)
    if sigma_min is not None and (sigma_min > sigma).any():
        raise InputError(f"{where}: `SIGMA_MIN=` must not be above `SIGMA=`.")
    return sigma, 0, sigma_min


def _numbers(words: list[str], count: int, field: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not (values > 0).all() or not np.isfinite(values).all():
        raise InputError(f"{field} is `{','.join(words)}`; give {count} positive numbers, one for each argument.")
    return values
