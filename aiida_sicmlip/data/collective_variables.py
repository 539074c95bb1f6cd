"""Collective variables learnt from trajectories, as a node."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.common.filenames import CV_DESCRIPTION_FILE, CV_MODEL_FILE, CV_WEIGHTS_FILE
from aiida_sicmlip.science.pines.layout import PivLayout

if TYPE_CHECKING:
    from aiida_sicmlip.science.pines.export import CollectiveVariableModel

FILES = (CV_MODEL_FILE, CV_DESCRIPTION_FILE, CV_WEIGHTS_FILE)
_ATTRIBUTES = ("groups", "switching", "autoencoder", "variance_explained", "ranges", "n_frames")


class CollectiveVariablesData(orm.Data):
    """A model that turns pair distances around a defect into a few numbers, and its description.

    Three files: `model.ptc` (TorchScript, for PLUMED), `cv.json` (atoms, pairs, settings, ranges) and `autoencoder.npz`
    (all weights, the decoder's too). They depend on the input of the training alone, so that equal models hash equally.
    Atoms are indices, from 0, in the structure that the variables were made for.
    """

    @classmethod
    def from_folder(cls, folder: str | Path) -> CollectiveVariablesData:
        """Return an unstored node of the three files in a folder.

        :raises FileNotFoundError: when one of them is missing.
        """
        node = cls()
        for name in FILES:
            node.base.repository.put_object_from_bytes((Path(folder) / name).read_bytes(), name)
        description = node.details()
        node.base.attributes.set_many({name: description[name] for name in _ATTRIBUTES})
        return node

    def details(self) -> dict[str, Any]:
        """Return the whole description (`cv.json`); the node's own `description` is AiiDA's."""
        return json.loads(self.base.repository.get_object_content(CV_DESCRIPTION_FILE))

    @property
    def groups(self) -> dict[str, list[int]]:
        """Atoms that count as identical, by name."""
        return self.base.attributes.get("groups")

    @property
    def pairs(self) -> list[list[int]]:
        """Pairs of atoms in the order of the model's distances, (P, 2)."""
        return PivLayout.from_groups(self.groups).pairs.tolist()

    @property
    def n_variables(self) -> int:
        """Number of collective variables."""
        return len(self.ranges)

    @property
    def ranges(self) -> list[dict[str, float]]:
        """`minimum`, `maximum`, `mean` and `std` of each variable over the frames of the training."""
        return self.base.attributes.get("ranges")

    @property
    def variance_explained(self) -> dict[str, float | None]:
        """The part of the vectors' variance that the decoder gives back, for `training` and `held_out` frames."""
        return self.base.attributes.get("variance_explained")

    @property
    def switching(self) -> dict[str, Any]:
        """The switching function's settings."""
        return self.base.attributes.get("switching")

    @property
    def training_curve(self) -> list[dict[str, Any]]:
        """Losses by epoch."""
        return self.details()["training_curve"]

    def model(self) -> CollectiveVariableModel:
        """Return the model; torch is loaded for it."""
        from aiida_sicmlip.science.pines.export import read_model

        with tempfile.TemporaryDirectory() as folder:
            for name in FILES:
                (Path(folder) / name).write_bytes(self.base.repository.get_object_content(name, mode="rb"))
            return read_model(folder)

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        return f"{self.n_variables} variables of {len(self.pairs)} distances"

    def _validate(self) -> bool:
        super()._validate()
        missing = set(FILES) - set(self.base.repository.list_object_names())
        missing |= {name for name in _ATTRIBUTES if self.base.attributes.get(name, None) is None}
        if missing:
            raise ValidationError(f"{', '.join(sorted(missing))} is missing; make the node with `from_folder`.")
        return True
