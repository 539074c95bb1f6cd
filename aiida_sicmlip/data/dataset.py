"""Labelled configurations, as a node."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import DATASET_FILE
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, write_labelled_frames


class LabelledDataSetData(orm.SinglefileData):
    """Configurations with energies (eV) and forces (eV/A), all at one level of theory, in a fixed order.

    The content depends on the configurations and labels alone: equal data give equal bytes and equal hashes
    (no uuid, date or path inside), and numbers are kept at full precision.
    """

    @classmethod
    def from_frames(cls, frames: Sequence[Atoms], level_of_theory: dict[str, Any]) -> LabelledDataSetData:
        """Return an unstored data set of ``frames``.

        :param frames: each with a calculator that holds its energy (eV) and forces (eV/A).
        :param level_of_theory: the settings, as in ``LevelOfTheoryData``.
        :raises InputError: if there is no frame, or a frame without energy or forces.
        """
        if not frames:
            raise InputError("The data set has no configuration; give at least one label.")
        settings = level_of_theory["settings"]
        content = io.BytesIO()
        write_labelled_frames(content, frames)
        content.seek(0)
        node = cls(file=content, filename=DATASET_FILE)
        node.base.attributes.set_many(
            {
                "n_frames": len(frames),
                "n_atoms": sum(len(frame) for frame in frames),
                "species": sorted({symbol for frame in frames for symbol in frame.symbols}),
                "formulas": dict(sorted(Counter(frame.get_chemical_formula() for frame in frames).items())),
                "level_of_theory": level_of_theory,
                "charge": float(settings.get("tot_charge", 0.0)),
                "spin": settings.get("tot_magnetization"),
            }
        )
        return node

    def frames(self) -> list[Atoms]:
        """Return the configurations, each with a calculator that holds its energy (eV) and forces (eV/A)."""
        with self.open(mode="rb") as handle:
            return read_labelled_frames(io.BytesIO(handle.read()))

    @property
    def n_frames(self) -> int:
        """Number of configurations."""
        return self.base.attributes.get("n_frames")

    @property
    def species(self) -> list[str]:
        """Chemical symbols that occur, sorted."""
        return self.base.attributes.get("species")

    @property
    def formulas(self) -> dict[str, int]:
        """Number of configurations of each chemical formula."""
        return self.base.attributes.get("formulas")

    @property
    def level_of_theory(self) -> dict[str, Any]:
        """The settings that all labels share."""
        return self.base.attributes.get("level_of_theory")

    @property
    def charge(self) -> float:
        """Total charge of the cell in units of e."""
        return self.base.attributes.get("charge")

    @property
    def spin(self) -> float | None:
        """Total magnetisation that was imposed, in Bohr magnetons (2 for a triplet); ``None`` where it was free."""
        return self.base.attributes.get("spin")

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        formulas = ", ".join(self.formulas)
        return f"{self.n_frames} configurations of {formulas}"

    def _validate(self) -> bool:
        super()._validate()
        missing = {"n_frames", "species", "level_of_theory"} - set(self.base.attributes.keys())
        if missing:
            raise ValidationError(f"attributes {sorted(missing)} are missing; make the node with `from_frames`.")
        return True
