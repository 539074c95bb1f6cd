"""The biases OPES_METAD and OPES_METAD_EXPLORE: on-the-fly probability enhanced sampling.

Invernizzi and Parrinello, J. Phys. Chem. Lett. 11, 2731 (2020); the explore variant and the measured widths:
Invernizzi and Parrinello, J. Chem. Theory Comput. 18, 3988 (2022). Conventions that the papers leave open (what is
counted from where, in which order) are those of PLUMED, whose state files are read and written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.kernels import Kernel, KernelDensity
from aiida_sicmlip.science.bias.opes_settings import OpesSettings

#: A width below this is taken for a variable that does not move.
LEAST_WIDTH = 1e-6


@dataclass
class Fluctuations:
    """Running mean and sum of squared deviations of the arguments (n,), over ``count`` steps.

    The mean forgets steps that lie more than ``stride`` behind; so do the deviations, which are from that mean.
    """

    stride: int
    mean: np.ndarray
    squares: np.ndarray
    count: int = 0

    def add(self, arguments: np.ndarray) -> None:
        """Count one step more."""
        self.count += 1
        before = arguments - self.mean
        self.mean = self.mean + before / min(self.count, self.stride)
        self.squares = self.squares + before * (arguments - self.mean)

    @property
    def complete(self) -> bool:
        """Whether enough steps were counted for a first width."""
        return self.count >= self.stride


@dataclass
class OpesState:
    """What an OPES bias carries from step to step besides its kernels.

    sum_weights, sum_weights2: sums of exp(V/kT) and of its square at the deposits, from a first one at the lowest bias.
    counter: number of deposits plus one.
    sigma0: widths (n,) that heights refer to; None before they are measured.
    """

    sum_weights: float
    sum_weights2: float
    counter: int = 1
    zed: float = 1.0
    sigma0: np.ndarray | None = None
    fluctuations: Fluctuations | None = field(default=None)


class Opes:
    """One OPES bias on n arguments."""

    components = ("bias", "rct", "zed", "neff", "nker")

    def __init__(self, settings: OpesSettings, n_arguments: int, where: str):
        """Start without kernels; ``where`` names the action in error messages."""
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
        #: Called with each new kernel (before it is merged) and the logarithm of its weight.
        self.on_deposit: Callable[[Kernel, float], None] = lambda kernel, log_weight: None

    @property
    def norm(self) -> float:
        """What the sum of kernels is divided by to give the density."""
        return float(self.state.counter) if self.settings.explore else self.state.sum_weights

    @property
    def neff(self) -> float:
        """The effective number of samples; the 1 keeps it sane at the start."""
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
        regular = total / normalisation + self.settings.epsilon
        self._bias = scale * math.log(regular)
        return self._bias, gradient * (scale / (normalisation * regular))

    def quantities(self) -> tuple[float, ...]:
        """Return the components: the bias of the last call, the rest as it is now."""
        rct = self.settings.kt * math.log(self.state.sum_weights / self.state.counter)
        return self._bias, rct, self.state.zed, self.neff, float(len(self.kernels))

    def update(self, step: int) -> bool:
        """Count the step whose arguments were evaluated last, and deposit a kernel when it is due.

        The very first step of a run is not counted: after a restart it is the last one of the run before.

        :returns: whether the state is worth being written: not while the first widths are being measured.
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
            # Silverman's rule; the sampled distribution grows by one sample a deposit, the unbiased one by less.
            size = state.counter if settings.explore else self.neff
            sigma = sigma * (size * (self.n_arguments + 2) / 4) ** (-1 / (self.n_arguments + 4))
            sigma = self._at_least(sigma, 0.0)
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
            # Measured without bias; the biased distribution is wider by the bias factor.
            fluctuations.squares = fluctuations.squares * self.settings.biasfactor
        sigma = np.sqrt(fluctuations.squares / fluctuations.count / factor)
        if first:
            if self.settings.sigma_min is None and (sigma <= LEAST_WIDTH).any():
                raise InputError(
                    f"{self._where}: argument {int(np.argmin(sigma)) + 1} hardly moved while its width was measured "
                    f"({sigma.min():.1e}); give `SIGMA=` or `SIGMA_MIN=`."
                )
            self.state.sigma0 = self._at_least(sigma, 0.0)
        return self._at_least(sigma, LEAST_WIDTH)

    def _at_least(self, sigma: np.ndarray, otherwise: float) -> np.ndarray:
        return np.maximum(sigma, otherwise if self.settings.sigma_min is None else self.settings.sigma_min)
