"""One segment of molecular dynamics, as a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.exceptions import ValidationError
from ase import Atoms

from aiida_sicmlip.science.dynamics.segments import frames_of_dcd


class SegmentTrajectoryData(orm.SinglefileData):
    """The frames of one uninterrupted run, in the binary DCD file that LAMMPS wrote.

    The file keeps LAMMPS' own orientation of the cell; ``frames`` gives positions in the user's. Species, cell and
    the true step of each frame are attributes, so that nothing needs the calculation to read the file.
    """

    def __init__(
        self,
        file: Any,
        filename: str | None = None,
        *,
        symbols: Sequence[str] = (),
        cell: Any = None,
        n_frames: int = 0,
        first_step: int = 0,
        steps_between_frames: int = 1,
        timestep_ps: float = 0.001,
        continues: bool = False,
        **kwargs: Any,
    ) -> None:
        """Construct an unstored node.

        :param symbols: chemical symbol of each atom, in the order of the file.
        :param cell: (3, 3) cell vectors in A in the user's orientation, constant along the segment.
        :param n_frames: number of complete frames; the file of an interrupted run may hold more.
        :param first_step: MD step of the first frame.
        :param timestep_ps: length of an MD step in ps.
        :param continues: whether the segment goes on where the one before it in the same run ended.
        """
        super().__init__(file, filename=filename, **kwargs)
        self.base.attributes.set_many(
            {
                "symbols": list(symbols),
                "cell": np.asarray(cell, dtype=float).tolist(),
                "n_frames": int(n_frames),
                "first_step": int(first_step),
                "steps_between_frames": int(steps_between_frames),
                "timestep_ps": float(timestep_ps),
                "continues": bool(continues),
            }
        )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.base.attributes.get("n_frames")

    @property
    def continues(self) -> bool:
        """Whether the segment goes on where the one before it in the same run ended."""
        return self.base.attributes.get("continues", False)

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each atom."""
        return self.base.attributes.get("symbols")

    @property
    def frame_interval_ps(self) -> float:
        """Time between two frames in ps."""
        return self.base.attributes.get("steps_between_frames") * self.base.attributes.get("timestep_ps")

    def steps(self) -> np.ndarray:
        """Return the MD step of each frame, (n_frames,)."""
        first, between = (self.base.attributes.get(key) for key in ("first_step", "steps_between_frames"))
        return first + between * np.arange(self.n_frames)

    def times(self) -> np.ndarray:
        """Return the time of each frame since the start of the run in ps, (n_frames,)."""
        return self.steps() * self.base.attributes.get("timestep_ps")

    def frames(self, indices: Sequence[int] | None = None) -> list[Atoms]:
        """Return the frames with the given indices (all by default), wrapped into the cell, in the user's orientation.

        :raises IndexError: if an index lies outside the segment.
        """
        wanted = list(range(self.n_frames) if indices is None else indices)
        outside = [index for index in wanted if not 0 <= index < self.n_frames]
        if outside:
            raise IndexError(f"frame {outside[0]} was asked of a segment of {self.n_frames} frames.")
        with self.open(mode="rb") as handle:
            return frames_of_dcd(handle, self.symbols, np.asarray(self.base.attributes.get("cell")), wanted)

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        first, last = self.steps()[[0, -1]] * self.base.attributes.get("timestep_ps")
        return f"{self.n_frames} frames of {len(self.symbols)} atoms, {first:g} to {last:g} ps"

    def _validate(self) -> bool:
        super()._validate()
        if self.n_frames < 1:
            raise ValidationError("a segment without frames is not stored.")
        return True
