"""Static biases: actions UPPER_WALLS, LOWER_WALLS and RESTRAINT."""

from __future__ import annotations

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords


class Wall:
    """Walls with the energy sum_i kappa_i (u_i / eps_i)^exp_i over arguments i with u_i > 0.

    The distance beyond the wall is u = x - at + offset for an upper wall, and at + offset - x for a lower one.
    """

    components = ("bias", "force2")

    def __init__(self, keywords: Keywords, n_arguments: int, *, upper: bool):
        """Read the keywords of UPPER_WALLS or LOWER_WALLS.

        :raises InputError: if numbers are missing, or EPS is not positive.
        """
        self._sign = 1.0 if upper else -1.0
        self._at = np.array(keywords.numbers("AT", n_arguments))
        self._kappa = np.array(keywords.numbers("KAPPA", n_arguments))
        self._exponent = np.array(keywords.numbers("EXP", n_arguments, 2.0))
        self._eps = np.array(keywords.numbers("EPS", n_arguments, 1.0))
        self._offset = np.array(keywords.numbers("OFFSET", n_arguments, 0.0))
        keywords.finish()
        if (self._eps <= 0).any():
            raise InputError(f"{keywords.where}: `EPS=` must be positive.")
        self._quantities = (0.0, 0.0)

    def evaluate(self, arguments: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy and gradient (n,) for arguments (n,)."""
        beyond = (self._sign * (arguments - self._at) + self._offset) / self._eps
        reached = beyond > 0
        beyond = np.where(reached, beyond, 1.0)
        slope = self._kappa * self._exponent * beyond ** (self._exponent - 1) / self._eps
        gradient = np.where(reached, self._sign * slope, 0.0)
        energy = float(np.where(reached, self._kappa * beyond**self._exponent, 0.0).sum())
        self._quantities = (energy, float(gradient @ gradient))
        return energy, gradient

    def quantities(self) -> tuple[float, ...]:
        """Return the components of the last evaluation."""
        return self._quantities


class Restraint:
    """Restraint with the energy sum_i kappa_i/2 (x_i - at_i)^2 + slope_i (x_i - at_i)."""

    components = ("bias", "force2")

    def __init__(self, keywords: Keywords, n_arguments: int):
        """Read the keywords of RESTRAINT.

        :raises InputError: if numbers are missing.
        """
        self._at = np.array(keywords.numbers("AT", n_arguments))
        self._kappa = np.array(keywords.numbers("KAPPA", n_arguments, 0.0))
        self._slope = np.array(keywords.numbers("SLOPE", n_arguments, 0.0))
        keywords.finish()
        self._quantities = (0.0, 0.0)

    def evaluate(self, arguments: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy and gradient (n,) for arguments (n,)."""
        difference = arguments - self._at
        gradient = self._kappa * difference + self._slope
        energy = float(difference @ (0.5 * self._kappa * difference + self._slope))
        self._quantities = (energy, float(gradient @ gradient))
        return energy, gradient

    def quantities(self) -> tuple[float, ...]:
        """Return the components of the last evaluation."""
        return self._quantities
