"""The evaluation of a plumed.dat: energy, forces and virial of its biases, step by step, and its files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, ProgramError
from aiida_sicmlip.science.bias.actions import Planner
from aiida_sicmlip.science.bias.directives import parse_directives
from aiida_sicmlip.science.bias.distances import Distances


@dataclass(frozen=True)
class BiasResult:
    """All biases of one step.

    energy (eV), forces (N, 3) (eV/A), virial (3, 3) (eV; the sum of r x f, minus the derivative of the energy with
    strain). ``names`` and ``numbers`` are all values of plumed.dat in its units, those of the files it has written.
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    names: tuple[str, ...]
    numbers: np.ndarray

    @property
    def values(self) -> dict[str, float]:
        """The values by name: `label` or `label.component`."""
        return dict(zip(self.names, self.numbers.tolist(), strict=True))


class Bias:
    """The built-in evaluator of plumed.dat.

    Each call of :meth:`calculate` is one step as PLUMED counts them: the bias is that before the step, then kernels are
    deposited and files are written. ``atoms`` (M,) are the atoms, from 0, that any action needs;
    :meth:`calculate_selected` takes and gives those alone, which costs the same however many others there are.
    ``actions`` are the names of all actions, in order.
    """

    def __init__(
        self,
        text: str,
        *,
        kt_ev: float | None,
        timestep_ps: float,
        n_atoms: int,
        folder: str | Path = ".",
        restart: bool = False,
    ):
        """Read the text of a plumed.dat, open its files and load its models and states.

        ``kt_ev`` is k_B T (eV) of the dynamics for actions without TEMP, None where it has none. File names are
        relative to ``folder``. With ``restart`` all actions continue, as if the text began with RESTART.

        :raises InputError: for an action, a keyword or a value that the evaluator does not know, named in the message.
        """
        planner = Planner(kt_ev=kt_ev, n_atoms=n_atoms, folder=Path(folder), restart=restart)
        directives = parse_directives(text)
        plan = planner.plan(directives)
        self.actions = tuple(directive.action for directive in directives)
        self.n_atoms = n_atoms
        self._units = plan.units
        self._timestep = timestep_ps / plan.units.time_ps
        self._terms, self._transformations, self._updates = plan.terms, plan.transformations, plan.updates
        self.names = tuple(plan.names.names)
        self._values = np.zeros(len(self.names))

        pairs = np.array(plan.pairs, dtype=np.intp).reshape(-1, 2)
        self.atoms, places = np.unique(pairs, return_inverse=True)
        self._distances = Distances([(int(i), int(j)) for i, j in places.reshape(-1, 2)], plan.periodic)
        # In the order of their definition: the first one that is not finite is the one to name.
        self._variables = np.array(sorted(plan.names.variables), dtype=np.intp)
        self._distance_places = np.array(plan.distances, dtype=np.intp)
        for update in self._updates:
            update.open()

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        kt_ev: float | None,
        timestep_ps: float,
        n_atoms: int,
        folder: str | Path = ".",
        restart: bool = False,
    ) -> Bias:
        """Read a plumed.dat; the arguments are those of the class.

        :raises InputError: also when there is no such file.
        """
        try:
            text = Path(path).read_text()
        except OSError as error:
            raise InputError(
                f"The file `{path}` with the actions of PLUMED cannot be read: {error.strerror}."
            ) from error
        return cls(text, kt_ev=kt_ev, timestep_ps=timestep_ps, n_atoms=n_atoms, folder=folder, restart=restart)

    def calculate(self, step: int, positions: np.ndarray, cell: np.ndarray) -> BiasResult:
        """Do one step with positions (N, 3) in A, wrapped or not, and the cell (3, 3) in A, rows are its vectors.

        :raises InputError: for arrays of other shapes, and for a cell without volume that is not zero.
        :raises ProgramError: when a variable is not a finite number; no kernel is deposited and no file written then.
        """
        if positions.shape != (self.n_atoms, 3):
            raise InputError(f"Positions have the shape {positions.shape}; ({self.n_atoms}, 3) is needed.")
        selected = self.calculate_selected(step, positions[self.atoms], cell)
        forces = np.zeros((self.n_atoms, 3))
        forces[self.atoms] = selected.forces
        return BiasResult(selected.energy, forces, selected.virial, selected.names, selected.numbers)

    def calculate_selected(
        self, step: int, positions: np.ndarray, cell: np.ndarray, *, counted: bool = True
    ) -> BiasResult:
        """Do one step as :meth:`calculate` does, with the positions (M, 3) of ``atoms`` alone; so are the forces.

        Not ``counted``: evaluate only; no kernel is deposited and no file written, as for a step that was done before.
        """
        values, units = self._values, self._units
        length = units.length_angstrom
        values[self._distance_places] = self._distances.evaluate(positions / length, cell / length)
        for transformation in self._transformations:
            values[transformation.outputs] = transformation.model.evaluate(values[transformation.arguments])
        if not math.isfinite(values[self._variables].sum()):
            raise self._not_a_number(step)

        energy = 0.0
        gradient = np.zeros(len(values))
        for term in self._terms:
            part, slope = term.potential.evaluate(values[term.arguments])
            energy += part
            # An argument may be named twice: its slopes add up.
            np.add.at(gradient, term.arguments, slope)
            values[term.components] = term.potential.quantities()
        for transformation in reversed(self._transformations):
            slope = gradient[transformation.outputs]
            if slope.any():
                np.add.at(gradient, transformation.arguments, transformation.model.pull_back(slope))
        forces, virial = self._distances.forces(gradient[self._distance_places], len(positions))

        if counted:
            time = step * self._timestep
            for update in self._updates:
                update.update(step, time, values)
        scale = units.energy_ev
        return BiasResult(energy * scale, forces * (scale / length), virial * scale, self.names, values.copy())

    def _not_a_number(self, step: int) -> ProgramError:
        place = next(place for place in self._variables if not math.isfinite(self._values[place]))
        return ProgramError(
            f"`{self.names[place]}` of plumed.dat is {self._values[place]} at step {step}: the run has blown up, or "
            "the model of the variables has. The files of the bias hold what came before."
        )

    def close(self) -> None:
        """Close all files."""
        for update in self._updates:
            update.close()
