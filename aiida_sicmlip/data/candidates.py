"""Frames of a round that a selection may pick, as a node."""

from __future__ import annotations

import io
from pathlib import Path

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.common.filenames import CANDIDATES_FILE
from aiida_sicmlip.science.selection.candidates_file import Candidates, read_candidates


class CandidateFramesData(orm.SinglefileData):
    """Frames with positions at full precision, descriptors, and the position of each in the run's trajectories.

    One file (npz) that depends on the frames and settings alone, so that equal candidates hash equally. What it holds
    is described by :class:`~aiida_sicmlip.science.selection.candidates_file.Candidates`.
    """

    @classmethod
    def from_file(cls, path: str | Path) -> CandidateFramesData:
        """Return an unstored node of a file of candidates.

        :raises InputError: if it is none.
        """
        candidates = read_candidates(path)
        node = cls(file=str(path), filename=CANDIDATES_FILE)
        node.base.attributes.set_many(
            {
                "n_candidates": len(candidates),
                "n_earlier": len(candidates.earlier_reference_distance),
                "n_clusters": len(candidates.centres),
                "n_features": candidates.descriptors.shape[1],
            }
        )
        return node

    def candidates(self) -> Candidates:
        """Return what the file holds."""
        with self.open(mode="rb") as handle:
            return read_candidates(io.BytesIO(handle.read()))

    @property
    def n_candidates(self) -> int:
        """Number of frames."""
        return self.base.attributes.get("n_candidates")

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        return f"{self.n_candidates} frames"

    def _validate(self) -> bool:
        super()._validate()
        if self.base.attributes.get("n_candidates", None) is None:
            raise ValidationError("`n_candidates` is missing; make the node with `from_file`.")
        return True
