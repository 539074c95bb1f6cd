"""A trained interatomic potential in its portable form, as a node."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.science.training.packaged_weights import read_packaged_weights


class ModelFileData(orm.SinglefileData):
    """A file with a NequIP or Allegro model, portable or compiled."""

    @property
    def species(self) -> list[str]:
        """Chemical symbols that the model knows, in the order of its types."""
        return self.base.attributes.get("species")

    @property
    def cutoff(self) -> float:
        """Radius of the local environments in A."""
        return self.base.attributes.get("cutoff")

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        return f"{'-'.join(self.species)}, cutoff {self.cutoff:g} A"

    def _validate(self) -> bool:
        super()._validate()
        if not self.base.attributes.get("species", None):
            raise ValidationError("`species` is missing: give the chemical symbols that the model knows.")
        cutoff = self.base.attributes.get("cutoff", None)
        if not isinstance(cutoff, (int, float)) or cutoff <= 0:
            raise ValidationError(f"`cutoff` is {cutoff!r}: give a positive radius in A.")
        return True


class PotentialData(ModelFileData):
    """A packaged NequIP or Allegro model (``*.nequip.zip``): portable between machines, compiled for one by
    ``CompilationCalculation``.

    Its creator is the calculation that trained it.
    """

    def __init__(
        self,
        file: Any,
        filename: str | None = None,
        *,
        species: list[str] | None = None,
        cutoff: float | None = None,
        metrics: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Construct an unstored node.

        :param species: chemical symbols that the model knows, in the order of its types.
        :param cutoff: radius of the local environments in A.
        :param metrics: errors at the end of training (eV/A for forces, eV/atom for energies).
        """
        super().__init__(file, filename=filename, **kwargs)
        self.base.attributes.set_many({"species": species, "cutoff": cutoff, "metrics": metrics or {}})

    @property
    def metrics(self) -> dict[str, Any]:
        """Errors at the end of training (eV/A for forces, eV/atom for energies)."""
        return self.base.attributes.get("metrics")

    def weights(self) -> dict[str, np.ndarray]:
        """Return the parameters and buffers of the model by their names; torch is not needed.

        :raises InputError: if the file is no packaged model.
        """
        with self.open(mode="rb") as handle:
            return read_packaged_weights(io.BytesIO(handle.read()))
