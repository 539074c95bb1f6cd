"""Labelled configurations, as a node."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.filenames import DATASET_FILE
from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames, read_states, write_labelled_frames
from aiida_sicmlip.science.labels.level_of_theory import charge_and_spin, without_state
from aiida_sicmlip.science.labels.states import EnergySurface, LabelState, set_state, state_of_frame

_ONE_LEVEL = "level_of_theory"
"""Attribute of the data sets of before charge and spin belonged to each configuration: the level that all share."""


class LabelledDataSetData(orm.SinglefileData):
    """Configurations with energies (eV) and forces (eV/A), each with its charge, spin and level of theory.

    They stand in a fixed order. The content depends on the configurations and labels alone: equal data give equal bytes
    and equal hashes (no uuid, date or path inside), and numbers are kept at full precision. What charge and spin mean,
    and when there is none, says :mod:`aiida_sicmlip.science.labels.states`.
    """

    @classmethod
    def from_frames(cls, frames: Sequence[Atoms], levels_of_theory: Sequence[Mapping[str, Any]]) -> LabelledDataSetData:
        """Return an unstored data set of ``frames``.

        Levels are kept once each, in the order in which configurations have them; those of none are left out.

        :param frames: each with a calculator that holds its energy (eV) and forces (eV/A), and in ``info`` its
            ``charge`` and ``spin`` (none where they are missing) and ``level_of_theory``, an index (0 by default).
        :param levels_of_theory: the settings of each level, as in ``LevelOfTheoryData``.
        :raises InputError: if there is no frame, a frame without energy or forces, or one at a level that is not there.
        """
        if not frames:
            raise InputError("The data set has no configuration; give at least one label.")
        stated = [without_state(level) for level in levels_of_theory]
        levels: list[dict[str, Any]] = []
        states = []
        for index, frame in enumerate(frames):
            state = state_of_frame(frame)
            if state.level >= len(stated):
                raise InputError(
                    f"configuration {index} is at level of theory {state.level}, but there are {len(stated)}, from 0."
                )
            level = stated[state.level]
            if level not in levels:
                levels.append(level)
            states.append(LabelState(state.charge, state.spin, levels.index(level)))
        content = io.BytesIO()
        write_labelled_frames(content, frames, states)
        content.seek(0)
        node = cls(file=content, filename=DATASET_FILE)
        node.base.attributes.set_many(
            {
                "n_frames": len(frames),
                "n_atoms": sum(len(frame) for frame in frames),
                "species": sorted({symbol for frame in frames for symbol in frame.symbols}),
                "formulas": dict(sorted(Counter(frame.get_chemical_formula() for frame in frames).items())),
                "levels_of_theory": levels,
                "states": [{**vars(state), "n_frames": count} for state, count in Counter(states).items()],
            }
        )
        return node

    def frames(self) -> list[Atoms]:
        """Return the configurations, each with a calculator that holds its energy (eV) and forces (eV/A).

        ``info`` holds ``charge`` (e), ``spin`` (number of unpaired electrons) and ``level_of_theory``, an index into
        :attr:`levels_of_theory`.
        """
        with self.open(mode="rb") as handle:
            frames = read_labelled_frames(io.BytesIO(handle.read()))
        if self._shared_state is not None:
            for frame in frames:
                set_state(frame, self._shared_state)
        return frames

    def states(self) -> list[LabelState]:
        """Return charge, spin and index of the level of theory of each configuration."""
        counts = self.state_counts
        if len(counts) == 1:
            return list(counts) * self.n_frames
        with self.open(mode="rb") as handle:
            return read_states(io.BytesIO(handle.read()))

    @property
    def _shared_state(self) -> LabelState | None:
        """The state of all configurations of a data set that was made before each had its own."""
        level = self.base.attributes.get(_ONE_LEVEL, None)
        return None if level is None else LabelState(*charge_and_spin(level))

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
    def levels_of_theory(self) -> list[dict[str, Any]]:
        """The settings of each level of theory, in the order in which configurations have them."""
        shared = self.base.attributes.get(_ONE_LEVEL, None)
        return self.base.attributes.get("levels_of_theory") if shared is None else [without_state(shared)]

    @property
    def state_counts(self) -> dict[LabelState, int]:
        """Number of configurations of each charge, spin and level of theory, in the order of the first of each."""
        if self._shared_state is not None:
            return {self._shared_state: self.n_frames}
        return {
            LabelState(entry["charge"], entry["spin"], entry["level"]): entry["n_frames"]
            for entry in self.base.attributes.get("states")
        }

    @property
    def surfaces(self) -> list[EnergySurface]:
        """The energy surfaces that the labels are on, each with its number of configurations."""
        levels = self.levels_of_theory
        return [
            EnergySurface(state.charge, state.spin, levels[state.level], count)
            for state, count in self.state_counts.items()
        ]

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        formulas = ", ".join(self.formulas)
        return f"{self.n_frames} configurations of {formulas}"

    def _validate(self) -> bool:
        super()._validate()
        missing = {"n_frames", "species", "levels_of_theory"} - set(self.base.attributes.keys())
        if missing and _ONE_LEVEL not in self.base.attributes.all:
            raise ValidationError(f"attributes {sorted(missing)} are missing; make the node with `from_frames`.")
        return True
