"""What the potential that explored, and the other members of its committee, predict of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.committee import force_disagreement

if TYPE_CHECKING:
    from aiida_sicmlip.engine.compiled_potential import CompiledPotential


class Committee:
    """Members of a committee of compiled models; the potential that explored is one of them.

    Cost: one evaluation of each member for each frame, as a step of molecular dynamics, on one core.
    """

    def __init__(self, members: Sequence[CompiledPotential]) -> None:
        self._members = members

    @classmethod
    def load(cls, paths: Sequence[Path]) -> Committee:
        """Load compiled models, each for the device that it was compiled for.

        :raises InputError: when a file was compiled for another machine.
        :raises ProgramError: when torch cannot load one.
        """
        # torch is slow to import and needed only for compiled models.
        import torch

        from aiida_sicmlip.engine.compiled_potential import CompiledPotential

        # A second thread waits for the first in each of many small steps: on two cores with other work it took 7 to 12
        # times as long for 64 atoms.
        torch.set_num_threads(1)
        return cls([CompiledPotential.load(path) for path in paths])

    def predict(self, frames: Sequence[Atoms]) -> tuple[np.ndarray, np.ndarray]:
        """Return the largest disagreement on the force on an atom, and the largest force, of each frame, (F,) in eV/A.

        The force is the largest that any member predicts; both are infinite where a prediction is not finite. One
        member alone has no disagreement: not a number.

        :raises InputError: when a member does not know a species.
        """
        disagreement, max_force = np.full((2, len(frames)), np.nan)
        for index, frame in enumerate(frames):
            forces = np.array([self._forces(member, frame) for member in self._members])
            if not np.isfinite(forces).all():
                disagreement[index] = max_force[index] = np.inf
                continue
            max_force[index] = np.linalg.norm(forces, axis=2).max()
            if len(forces) > 1:
                disagreement[index] = force_disagreement(forces).max()
        return disagreement, max_force

    @staticmethod
    def _forces(member: CompiledPotential, frame: Atoms) -> np.ndarray:
        number = {symbol: index for index, symbol in enumerate(member.species)}
        unknown = sorted(set(frame.symbols) - set(number))
        if unknown:
            raise InputError(f"A member of the committee knows {', '.join(number)}, but not {', '.join(unknown)}.")
        types = [number[symbol] for symbol in frame.symbols]
        return member.compute(frame.positions, frame.cell.array, frame.pbc, types).forces
