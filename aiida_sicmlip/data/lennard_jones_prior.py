"""A Lennard-Jones prior, as a node."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesFit, fit_report


class LennardJonesPriorData(orm.Dict):
    """Coefficients of a Lennard-Jones prior, with its residuals.

    Made by the calcfunction ``fit_lennard_jones_prior`` from a data set. Entries: `species`; `repulsion` (eV A^12) and
    `attraction` (eV A^6) by pair of elements; `offsets` (eV); `cutoff` (A) and `envelope_exponent`; `residuals` and
    `pairs` as in :class:`aiida_sicmlip.science.training.lennard_jones_fit.LennardJonesFit`.
    """

    @classmethod
    def from_fit(cls, fit: LennardJonesFit) -> LennardJonesPriorData:
        """Return an unstored node of ``fit``."""
        return cls(fit_report(fit))

    def prior(self) -> LennardJonesPrior:
        """Return the prior, which gives energies, forces and virials."""
        return LennardJonesPrior.from_dict(self.get_dict())

    @property
    def residuals(self) -> dict[str, dict[str, float]]:
        """Root mean square errors `energy_rmse` (eV/atom) and `forces_rmse` (eV/A), `before` and `after` the fit."""
        residuals_of_fit: dict[str, Any] = self.get_dict().get("residuals", {})
        return residuals_of_fit

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        prior = self.prior()
        return f"pairs of {', '.join(prior.species)}, cutoff {prior.cutoff:g} A"

    def _validate(self) -> bool:
        super()._validate()
        try:
            self.prior()
        except InputError as error:
            raise ValidationError(str(error)) from error
        return True
