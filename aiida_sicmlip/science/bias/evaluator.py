"""Evaluation of a plumed.dat: energy, forces and virial of its biases at each step, and its files."""

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
    """Sum of all biases at a step, and the values of plumed.dat.

    energy: eV.
    forces: (N, 3), eV/A.
    virial: (3, 3), eV; the sum of r x f, minus the derivative of the energy with respect to strain.
    names: names of all values of plumed.dat, (V,).
    numbers: all values of plumed.dat in its units, as in its files, (V,).
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    names: tuple[str, ...]
    numbers: np.ndarray

    @property
    def values(self) -> dict[str, float]:
        """Values by name, `label` or `label.component`."""
        return dict(zip(self.names, self.numbers.tolist(), strict=True))


class Bias:
    """Built-in evaluator of plumed.dat.

    Each call of :meth:`calculate` is one step, as in PLUMED: the bias is evaluated, and then kernels are deposited and
    files are written. :meth:`calculate_selected` uses only the atoms that an action needs, so that its cost does not
    depend on the number of other atoms.

    n_atoms: number of atoms of the run, N.
    atoms: indices of the atoms that an action needs, from 0, (M,).
    actions: names of all actions, in order.
    names: names of all values.
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
        """Read a plumed.dat, open its files and load its models and states.

        :param text: content of plumed.dat.
        :param kt_ev: k_B T of the dynamics for actions without TEMP, eV; None if it has no temperature.
        :param timestep_ps: ps.
        :param n_atoms: number of atoms of the run.
        :param folder: of the files in plumed.dat with relative names.
        :param restart: whether to continue, as with RESTART at the beginning of the text.
        :raises InputError: for an unsupported action, keyword or value, which the message names.
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
        self.atoms, local_pairs = np.unique(pairs, return_inverse=True)
        self._distances = Distances([(int(i), int(j)) for i, j in local_pairs.reshape(-1, 2)], plan.periodic)
        # In the order of definition, so that a message names the first variable that is not finite.
        self._variables = np.array(sorted(plan.names.variables), dtype=np.intp)
        self._distance_indices = np.array(plan.distances, dtype=np.intp)
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
        """Read the file of a plumed.dat; the other parameters are those of the class.

        :raises InputError: also if the file cannot be read.
        """
        try:
            # Comments may be in any encoding; names of files are bytes to the system.
            text = Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")
        except OSError as error:
            raise InputError(
                f"The file `{path}` with the actions of PLUMED cannot be read: {error.strerror}."
            ) from error
        return cls(text, kt_ev=kt_ev, timestep_ps=timestep_ps, n_atoms=n_atoms, folder=folder, restart=restart)

    def calculate(self, step: int, positions: np.ndarray, cell: np.ndarray) -> BiasResult:
        """Evaluate the biases at a step, and update them.

        :param step: number of the step.
        :param positions: wrapped or unwrapped, (N, 3), A.
        :param cell: cell vectors in rows, (3, 3), A; zeros: not periodic.
        :raises InputError: for arrays of the wrong shape, and for a cell without volume that is not zero.
        :raises ProgramError: if a variable is not finite; then no kernel is deposited and no file is written.
        """
        if positions.shape != (self.n_atoms, 3):
            raise InputError(f"The positions have the shape {positions.shape}; give ({self.n_atoms}, 3).")
        selected = self.calculate_selected(step, positions[self.atoms], cell)
        forces = np.zeros((self.n_atoms, 3))
        forces[self.atoms] = selected.forces
        return BiasResult(selected.energy, forces, selected.virial, selected.names, selected.numbers)

    def calculate_selected(
        self, step: int, positions: np.ndarray, cell: np.ndarray, *, counted: bool = True
    ) -> BiasResult:
        """Evaluate as :meth:`calculate`, with positions and forces (M, 3) of ``atoms`` only.

        :param counted: whether to update the biases; without it, no kernel is deposited and no file is written, as for
            a repeated step.
        """
        values, units = self._values, self._units
        length = units.length_angstrom
        values[self._distance_indices] = self._distances.evaluate(positions / length, cell / length)
        for transformation in self._transformations:
            values[transformation.outputs] = transformation.model.evaluate(values[transformation.arguments])
        if not math.isfinite(values[self._variables].sum()):
            raise self._not_a_number(step)

        energy = 0.0
        gradient = np.zeros(len(values))
        for term in self._terms:
            term_energy, term_gradient = term.potential.evaluate(values[term.arguments])
            energy += term_energy
            # `add.at` sums over arguments that occur twice.
            np.add.at(gradient, term.arguments, term_gradient)
            values[term.components] = term.potential.quantities()
        for transformation in reversed(self._transformations):
            output_gradient = gradient[transformation.outputs]
            if output_gradient.any():
                np.add.at(gradient, transformation.arguments, transformation.model.backward(output_gradient))
        forces, virial = self._distances.forces(gradient[self._distance_indices], len(positions))

        if counted:
            time = step * self._timestep
            for update in self._updates:
                update.update(step, time, values)
        scale = units.energy_ev
        return BiasResult(energy * scale, forces * (scale / length), virial * scale, self.names, values.copy())

    def _not_a_number(self, step: int) -> ProgramError:
        index = next(index for index in self._variables if not math.isfinite(self._values[index]))
        return ProgramError(
            f"`{self.names[index]}` of plumed.dat is {self._values[index]} at step {step}: the dynamics, or the model "
            "of the variables, is unstable. The files of the bias contain the earlier steps."
        )

    def close(self) -> None:
        """Close all files."""
        for update in self._updates:
            update.close()
