"""Construction of the actions of plumed.dat from its directives."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.bias.directives import Directive, Keywords
from aiida_sicmlip.science.bias.distances import read_distance
from aiida_sicmlip.science.bias.model import TorchModel
from aiida_sicmlip.science.bias.opes import Opes
from aiida_sicmlip.science.bias.opes_files import OpesFiles, restore_state
from aiida_sicmlip.science.bias.opes_settings import read_opes_settings
from aiida_sicmlip.science.bias.printing import Print, number_format
from aiida_sicmlip.science.bias.static import Restraint, Wall
from aiida_sicmlip.science.bias.tables import FULL_PRECISION
from aiida_sicmlip.science.bias.units import EV_IN_KJ_MOL, Units
from aiida_sicmlip.science.bias.values import ValueNames


class Potential(Protocol):
    """A bias potential on n arguments."""

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components."""

    def evaluate(self, arguments: np.ndarray) -> tuple[float, np.ndarray]:
        """Return energy and gradient (n,) for arguments (n,)."""

    def quantities(self) -> tuple[float, ...]:
        """Return the values of the components after the last evaluation."""


@dataclass(frozen=True)
class Term:
    """A bias potential, with the indices of its arguments and components in the array of values."""

    potential: Potential
    arguments: np.ndarray
    components: np.ndarray


@dataclass(frozen=True)
class Transformation:
    """A model, with the indices of its arguments and outputs in the array of values."""

    model: TorchModel
    arguments: np.ndarray
    outputs: np.ndarray


@dataclass(frozen=True)
class OpesUpdate:
    """Update of an OPES bias after a step.

    opes: the bias.
    files: its files.
    state_stride: number of steps between two states; 0: no states.
    components: indices of its components in the array of values.
    """

    opes: Opes
    files: OpesFiles
    state_stride: int
    components: np.ndarray

    def update(self, step: int, time: float, values: np.ndarray) -> None:
        """Deposit a kernel and write the state at their strides, and set the components in ``values``."""
        self.files.update(time)
        if self.opes.update(step) and self.state_stride and step % self.state_stride == 0:
            self.files.write_state()
        values[self.components] = self.opes.quantities()

    def open(self) -> None:
        """Open the files."""
        self.files.open()

    def close(self) -> None:
        """Close the files."""
        self.files.close()


@dataclass
class Plan:
    """Actions of a plumed.dat; indices of atoms are from 0, updates are in the order of the file."""

    units: Units = field(default_factory=Units)
    names: ValueNames = field(default_factory=ValueNames)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    periodic: list[bool] = field(default_factory=list)
    distances: list[int] = field(default_factory=list)
    transformations: list[Transformation] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    updates: list[OpesUpdate | Print] = field(default_factory=list)


class Planner:
    """Builds the plan of a list of directives."""

    def __init__(self, *, kt_ev: float | None, n_atoms: int, folder: Path, restart: bool):
        self._kt_ev = kt_ev
        self._n_atoms = n_atoms
        self._folder = folder
        self._restart = restart
        self._plan = Plan()
        self._actions: dict[str, Callable[[Keywords, str], None]] = {
            "UNITS": self._units,
            "RESTART": self._global_restart,
            "DISTANCE": self._distance,
            "PYTORCH_MODEL": self._pytorch_model,
            "OPES_METAD": lambda keywords, label: self._opes(keywords, label, explore=False),
            "OPES_METAD_EXPLORE": lambda keywords, label: self._opes(keywords, label, explore=True),
            "UPPER_WALLS": lambda keywords, label: self._wall(keywords, label, upper=True),
            "LOWER_WALLS": lambda keywords, label: self._wall(keywords, label, upper=False),
            "RESTRAINT": self._restraint,
            "PRINT": self._print,
        }

    def plan(self, directives: Sequence[Directive]) -> Plan:
        """Return the plan, without writing or backing up files.

        :raises InputError: for an unknown or invalid action or keyword, which the message names.
        """
        if not directives:
            raise InputError("plumed.dat contains no action.")
        for index, directive in enumerate(directives):
            action = self._actions.get(directive.action)
            if action is None:
                raise InputError(
                    f"{directive.where}: the built-in evaluator does not support the action `{directive.action}`. "
                    f"{nearest_name(directive.action, self._actions)} Remove it, or use PLUMED."
                )
            action(Keywords(directive), directive.label or f"@{index}")
        return self._plan

    def _units(self, keywords: Keywords, label: str) -> None:
        if self._plan.names.names:
            raise InputError(f"{keywords.where} must come before every other action.")
        self._plan.units = Units.from_keywords(keywords)

    def _global_restart(self, keywords: Keywords, label: str) -> None:
        if self._plan.names.names:
            raise InputError(f"{keywords.where} must come before every other action but UNITS.")
        self._restart = not keywords.flag("NO")
        keywords.finish()

    def _distance(self, keywords: Keywords, label: str) -> None:
        first, second, periodic = read_distance(keywords, self._n_atoms)
        self._plan.distances += self._define(keywords, label, ("",), variable=True)
        self._plan.pairs.append((first, second))
        self._plan.periodic.append(periodic)

    def _pytorch_model(self, keywords: Keywords, label: str) -> None:
        arguments = self._plan.names.find_variables(keywords.words("ARG"), keywords.where)
        path = self._folder / keywords.text("FILE", "model.ptc")
        keywords.finish()
        model = TorchModel(path, len(arguments), keywords.where)
        outputs = self._define(keywords, label, [f"node-{index}" for index in range(model.n_outputs)], variable=True)
        self._plan.transformations.append(Transformation(model, np.array(arguments), np.array(outputs)))

    def _wall(self, keywords: Keywords, label: str, *, upper: bool) -> None:
        arguments = self._plan.names.find_variables(keywords.words("ARG"), keywords.where)
        self._add_term(keywords, label, Wall(keywords, len(arguments), upper=upper), arguments)

    def _restraint(self, keywords: Keywords, label: str) -> None:
        arguments = self._plan.names.find_variables(keywords.words("ARG"), keywords.where)
        self._add_term(keywords, label, Restraint(keywords, len(arguments)), arguments)

    def _opes(self, keywords: Keywords, label: str, *, explore: bool) -> None:
        where, action = keywords.where, keywords.directive.action
        arguments = self._plan.names.find_variables(keywords.words("ARG"), where)
        names = [self._plan.names.names[index] for index in arguments]
        settings = read_opes_settings(keywords, len(arguments), self._kt(keywords), explore=explore)
        fmt = keywords.optional("FMT")
        state_file, stride = keywords.optional("STATE_WFILE"), keywords.integer("STATE_WSTRIDE", 0)
        kernels_file, read_from = keywords.text("FILE", "KERNELS"), keywords.optional("STATE_RFILE")
        restart = self._restarts(keywords)
        keywords.flag("SERIAL")  # it has no effect here, since nothing is parallel
        keywords.finish()
        if (state_file is None) != (stride == 0) or stride < 0:
            raise InputError(f"{where}: `STATE_WFILE=` and a positive `STATE_WSTRIDE=` need each other; give both.")
        if 0 < stride < settings.pace:
            raise InputError(f"{where}: `STATE_WSTRIDE={stride}` must be at least `PACE={settings.pace}`.")

        opes = Opes(settings, len(arguments), where)
        if restart and read_from is None:
            raise InputError(
                f"{where} is restarted; give `STATE_RFILE=`, since the built-in evaluator needs the exact state."
            )
        if restart and read_from is not None:
            restore_state(opes, action, names, self._folder / read_from, where)
        elif read_from is not None:
            warnings.warn(
                f"{where}: `STATE_RFILE={read_from}` is not read, because RESTART is not given.", stacklevel=2
            )
        files = OpesFiles(
            opes,
            action,
            names,
            kernels_file=self._folder / kernels_file,
            state_file=None if state_file is None else self._folder / state_file,
            append=restart,
            fmt=FULL_PRECISION if fmt is None else " " + number_format(fmt, where),
        )
        components = self._add_term(keywords, label, opes, arguments)
        self._plan.updates.append(OpesUpdate(opes, files, stride, components))

    def _print(self, keywords: Keywords, label: str) -> None:
        indices = self._plan.names.find(keywords.words("ARG"), keywords.where)
        names = [self._plan.names.names[index] for index in indices]
        restart = self._restarts(keywords)
        self._plan.updates.append(Print(keywords, indices, names, self._folder, restart=restart))

    def _add_term(self, keywords: Keywords, label: str, potential: Potential, arguments: Sequence[int]) -> np.ndarray:
        components = np.array(self._define(keywords, label, potential.components, variable=False))
        self._plan.terms.append(Term(potential, np.array(arguments), components))
        return components

    def _define(self, keywords: Keywords, label: str, components: Sequence[str], *, variable: bool) -> list[int]:
        return self._plan.names.define(label, components, keywords.directive.line, variable=variable)

    def _kt(self, keywords: Keywords) -> float | None:
        """Return k_B T in the units of plumed.dat, from TEMP (negative: as if not given) or the dynamics."""
        temperature = keywords.number("TEMP", -1.0)
        if temperature >= 0:
            return self._plan.units.kt(temperature)
        return None if self._kt_ev is None else self._kt_ev * EV_IN_KJ_MOL / self._plan.units.energy_kj_mol

    def _restarts(self, keywords: Keywords) -> bool:
        word = keywords.text("RESTART", "AUTO").upper()
        if word not in ("YES", "NO", "AUTO"):
            raise InputError(f"{keywords.where}: `RESTART={word}` must be YES, NO or AUTO.")
        return self._restart if word == "AUTO" else word == "YES"
