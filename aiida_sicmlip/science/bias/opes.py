"""Biases OPES_METAD and OPES_METAD_EXPLORE: on-the-fly probability enhanced sampling.

Sources: Invernizzi and Parrinello, J. Phys. Chem. Lett. 11, 2731 (2020); for OPES-Explore and adaptive widths,
Invernizzi and Parrinello, J. Chem. Theory Comput. 18, 3988 (2022). Conventions that the papers do not state (initial
values of counters, order of updates) are those of PLUMED, whose state files are read and written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.kernels import Kernel, KernelDensity
from aiida_sicmlip.science.bias.opes_settings import OpesSettings

#: Minimum width; variables with smaller fluctuations are taken to be constant.
MIN_WIDTH = 1e-6


@dataclass
class Fluctuations:
    """Running mean and squared deviations of the arguments.

    stride: decay time in steps of the mean, to which the deviations refer.
    mean: (n,).
    squares: sum of squared deviations, (n,).
    count: number of steps.
    """

    stride: int
    mean: np.ndarray
    squares: np.ndarray
    count: int = 0

    def add(self, arguments: np.ndarray) -> None:
        """Add a step."""
        self.count += 1
        before = arguments - self.mean
        self.mean = self.mean + before / min(self.count, self.stride)
        self.squares = self.squares + before * (arguments - self.mean)

    @property
    def complete(self) -> bool:
        """Whether there are enough steps for the initial width."""
        return self.count >= self.stride


@dataclass
class OpesState:
    """State of an OPES bias, in addition to its kernels.

    sum_weights: sum of exp(V/kT) at the deposits, including an initial one at the minimum bias.
    sum_weights2: sum of the squares of these weights.
    counter: number of deposits plus one.
    zed: normalisation Z.
    sigma0: reference widths for the heights, (n,); None before they are measured.
    fluctuations: of the arguments; None if widths are given.
    """

    sum_weights: float
    sum_weights2: float
    counter: int = 1
    zed: float = 1.0
    sigma0: np.ndarray | None = None
    fluctuations: Fluctuations | None = field(default=None)


class Opes:
    """OPES bias on n arguments."""

    components = ("bias", "rct", "zed", "neff", "nker")

    def __init__(self, settings: OpesSettings, n_arguments: int, where: str):
        """Initialise the bias without kernels.

        :param where: action, for messages.
        """
        self.settings = settings
        self.n_arguments = n_arguments
        self._where = where
        self.kernels = KernelDensity(
            n_arguments, cutoff=settings.cutoff, threshold=settings.threshold, recursive=settings.recursive
        )
        weight = settings.epsilon**settings.prefactor if settings.zed else 1.0
        self.state = OpesState(weight, weight**2, sigma0=settings.sigma)
        if settings.sigma is None:
            zeros = np.zeros(n_arguments)
            self.state.fluctuations = Fluctuations(settings.adaptive_stride, zeros, zeros)
        self._is_first_step = True
        self._arguments = np.zeros(n_arguments)
        self._bias = 0.0
        #: Called with each new kernel, before it is merged, and the logarithm of its weight.
        self.on_deposit: Callable[[Kernel, float], None] = lambda kernel, log_weight: None

    @property
    def norm(self) -> float:
        """Normalisation of the sum of kernels as a density."""
        return float(self.state.counter) if self.settings.explore else self.state.sum_weights

    @property
    def neff(self) -> float:
        """Effective number of samples, with 1 added to the sums as in PLUMED."""
        return (1 + self.state.sum_weights) ** 2 / (1 + self.state.sum_weights2)

    def evaluate(self, arguments: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy and gradient (n,) for arguments (n,)."""
        self._arguments = arguments
        scale = self.settings.kt * self.settings.prefactor
        if not len(self.kernels):
            self._bias = scale * math.log(self.settings.epsilon)
            return self._bias, np.zeros(self.n_arguments)
        total, gradient = self.kernels.evaluate(arguments)
        normalisation = self.norm * self.state.zed
        regularised = total / normalisation + self.settings.epsilon
        self._bias = scale * math.log(regularised)
        return self._bias, gradient * (scale / (normalisation * regularised))

    def quantities(self) -> tuple[float, ...]:
        """Return the components: the bias of the last evaluation, and the current values of the others."""
        rct = self.settings.kt * math.log(self.state.sum_weights / self.state.counter)
        return self._bias, rct, self.state.zed, self.neff, float(len(self.kernels))

    def update(self, step: int) -> bool:
        """Update the bias after a step with the arguments of the last evaluation, and deposit a kernel at its pace.

        The first step of a run is ignored: after a restart it is the last step of the previous run.

        :returns: whether the state can be written, that is, unless the initial widths are still being measured.
        """
        if self._is_first_step:
            self._is_first_step = False
            return False
        fluctuations = self.state.fluctuations
        if fluctuations is not None:
            fluctuations.add(self._arguments)
            if not fluctuations.complete and self.state.counter == 1:
                return False
        if step % self.settings.pace == 0:
            self._deposit()
        return True

    def _deposit(self) -> None:
        settings, state = self.settings, self.state
        log_weight = self._bias / settings.kt
        weight = math.exp(log_weight)
        state.counter += 1
        state.sum_weights += weight
        state.sum_weights2 += weight**2

        sigma = self._measured_widths() if state.fluctuations is not None else state.sigma0
        assert sigma is not None and state.sigma0 is not None  # for mypy: set in __init__ or by _measured_widths
        if not settings.fixed_sigma:
            # Silverman's rule; OPES-Explore samples the biased distribution, with one effective sample per deposit.
            size = state.counter if settings.explore else self.neff
            sigma = sigma * (size * (self.n_arguments + 2) / 4) ** (-1 / (self.n_arguments + 4))
            sigma = self._bounded(sigma, 0.0)
        height = float(np.prod(state.sigma0 / sigma)) * (1.0 if settings.explore else weight)
        kernel = Kernel(height, self._arguments.copy(), sigma)
        self.kernels.deposit(kernel)
        self.on_deposit(kernel, log_weight)
        if settings.zed:
            state.zed = self.kernels.pair_sum / self.norm / len(self.kernels)

    def _measured_widths(self) -> np.ndarray:
        fluctuations = self.state.fluctuations
        assert fluctuations is not None
        factor = 1.0 if self.settings.explore else self.settings.biasfactor
        first = self.state.sigma0 is None
        if first:
            # The first widths are measured without bias; the bias increases the variance by the bias factor.
            fluctuations.squares = fluctuations.squares * self.settings.biasfactor
        sigma = np.sqrt(fluctuations.squares / fluctuations.count / factor)
        if first:
            if self.settings.sigma_min is None and (sigma <= MIN_WIDTH).any():
                raise InputError(
                    f"{self._where}: the width of argument {int(np.argmin(sigma)) + 1} was measured as "
                    f"{sigma.min():.1e}, since it was almost constant; give `SIGMA=` or `SIGMA_MIN=`."
                )
            self.state.sigma0 = self._bounded(sigma, 0.0)
        return self._bounded(sigma, MIN_WIDTH)

    def _bounded(self, sigma: np.ndarray, default: float) -> np.ndarray:
        """Return the widths, at least ``sigma_min``, or ``default`` without it."""
        return np.maximum(sigma, default if self.settings.sigma_min is None else self.settings.sigma_min)
