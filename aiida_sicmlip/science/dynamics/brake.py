"""The brake of a run: conditions on which LAMMPS stops it by itself, before the potential is lost.

Each condition is a `fix halt`, which writes into the log which one it is. A run is stopped when two atoms are nearer
than a fraction of the sum of their covalent radii, when the members of a committee of potentials disagree too much on
the force on an atom, or when the temperature of its production is higher than fluctuations allow. An equilibration may
be hotter: its structure is not relaxed for the potential, and gives off what it has in excess within a few vibrations,
800 K in 14 atoms.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii

TEMPERATURE, DISTANCE, DISAGREEMENT = "temperature", "distance", "disagreement"
"""What stops a run. Each is part of the names of its fixes, `stop_temperature`, `stop_distance_Si_C` and so on."""
UNITS = {TEMPERATURE: "K", DISTANCE: "A", DISAGREEMENT: "eV/A"}
COMMITTEE_STYLE = "committee/disagreement"
"""Style of the compute that the plugin of ``sicmlip-lmp`` adds to LAMMPS."""

_HALT = re.compile(r"Fix halt condition for fix-id stop_([a-z]+)(?:_(\w+)_(\w+))? met on step (\d+) with value (\S+)")


@dataclass(frozen=True)
class Halt:
    """The condition that stopped a run, as the log states it.

    cause: :data:`TEMPERATURE`, :data:`DISTANCE` or :data:`DISAGREEMENT`.
    pair: the species of the two atoms that came too near; empty for other causes.
    step: step of the run; steps of equilibration and production are counted separately.
    value: temperature in K or disagreement in eV/A; of distances the number of atoms that have such a neighbour.
    position: where the statement begins in the log.
    """

    cause: str
    pair: tuple[str, ...]
    step: int
    value: float
    position: int


@dataclass(frozen=True)
class Stop:
    """How the brake stopped a run.

    cause: :data:`TEMPERATURE`, :data:`DISTANCE` or :data:`DISAGREEMENT`.
    value: temperature in K or disagreement in eV/A; None for distances, which are only known to be below the threshold.
    threshold: the bound in the same unit, A for distances; None where it is not known.
    time: since the start of the production, or of the equilibration, in ps.
    in_production: whether the production had begun.
    at_once: whether no frame of the run counts.
    pair: as that of :class:`Halt`.
    """

    cause: str
    value: float | None
    threshold: float | None
    time: float
    in_production: bool
    at_once: bool
    pair: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """What stopped it, at which value, and when."""
        unit = UNITS[self.cause]
        bound = "" if self.threshold is None else f"{self.threshold:.4g} {unit}"
        if self.cause == DISTANCE:
            what = f"{'-'.join(self.pair)} distance below " + (f"{self.threshold:.2f} A" if bound else "its bound")
        else:
            name = "temperature" if self.cause == TEMPERATURE else "disagreement of the committee"
            what = f"{name} {self.value:.4g} {unit}" + (f", above {bound}" if bound else "")
        return f"{what}, after {self.time:.4g} ps of the {'production' if self.in_production else 'equilibration'}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with the `unit` and the `message`."""
        return {**asdict(self), "pair": list(self.pair), "unit": UNITS[self.cause], "message": self.message}


def temperature_bound(temperature: float, n_atoms: int, deviations: float) -> float:
    """Return the temperature (K) that is so many standard deviations above the mean.

    The instantaneous temperature of N atoms in the canonical ensemble has the standard deviation T sqrt(2 / (3 N))
    (D. Frenkel and B. Smit, Understanding Molecular Simulation, 2nd ed., section 6.1).
    """
    return temperature * (1.0 + deviations * float(np.sqrt(2.0 / (3.0 * n_atoms))))


def min_distances(species: Sequence[str], ratio: float) -> dict[tuple[str, str], float]:
    """Return the fraction ``ratio`` of the sum of the covalent radii of each pair of species, in A.

    Radii are those of :data:`ase.data.covalent_radii` (B. Cordero et al., Dalton Trans. 2008, 2832). Pairs are in the
    order of ``species``, each once.
    """
    radii = {name: float(covalent_radii[atomic_numbers[name]]) for name in species}
    return {
        (first, second): ratio * (radii[first] + radii[second])
        for first, second in itertools.combinations_with_replacement(species, 2)
    }


def temperature_commands(maximum: float) -> list[str]:
    """Return the commands that stop a run in any step with a temperature above the ``maximum``, in K."""
    return ["variable        temperature equal temp", _halt(f"stop_{TEMPERATURE}", 1, "v_temperature", maximum)]


def distance_commands(
    species: Sequence[str], min_distances: Mapping[tuple[str, str], float], check_every: int
) -> list[str]:
    """Return the commands that stop a run in which two atoms are too near.

    :param species: in the order of the atom types.
    :param min_distances: of pairs of species, in A; without any there are no commands.
    :param check_every: steps between two checks.
    """
    # Neighbours within the distance are counted, which any LAMMPS does, whatever the potential.
    types = {name: number for number, name in enumerate(species, start=1)}
    lines = [
        f"group           {first} type {types[first]}" for first in dict.fromkeys(pair[0] for pair in min_distances)
    ]
    for (first, second), distance in min_distances.items():
        name = f"{first}_{second}"
        lines += [
            f"compute         near_{name} {first} coord/atom cutoff {distance:.6g} {types[second]}",
            f"compute         n_near_{name} all reduce sum c_near_{name}",
            f"variable        n_near_{name} equal c_n_near_{name}",
            _halt(f"stop_{DISTANCE}_{name}", check_every, f"v_n_near_{name}", 0),
        ]
    return lines


def committee_commands(
    species: Sequence[str], members: Sequence[str], maximum: float | None, check_every: int, thermo_style: str
) -> list[str]:
    """Return the commands that measure the disagreement of a committee, and stop a run where it is too large.

    They do nothing in a LAMMPS that lacks the compute, such as one that was built with Kokkos and pair_allegro.

    :param members: files of all members but the one that drives the run; without any there are no commands.
    :param maximum: in eV/A; None for no bound.
    :param thermo_style: the command whose rows get the disagreement, too, as `c_disagreement`.
    """
    if not members:
        return []
    commands = [
        f"compute disagreement all {COMMITTEE_STYLE} types {' '.join(species)} members {' '.join(members)}",
        f"{thermo_style} c_disagreement",
    ]
    if maximum is not None:
        halt = _halt(f"stop_{DISAGREEMENT}", check_every, "v_disagreement", maximum)
        commands += ["variable disagreement equal c_disagreement", " ".join(halt.split())]
    quoted = " &\n  ".join(f'"{" ".join(command.split())}"' for command in commands)
    return [f'if "$(is_available(compute,{COMMITTEE_STYLE}))" then &\n  {quoted}']


def _halt(name: str, every: int, variable: str, bound: float) -> str:
    # `soft` ends this run and all later ones at once, and the input goes on to its end.
    return f"fix             {name} all halt {every} {variable} > {bound:.15g} error soft message yes"


def find_halt(log: str) -> Halt | None:
    """Return the condition that stopped a run according to its log; the first one where several hold."""
    match = _HALT.search(log)
    if match is None:
        return None
    cause, first, second, step, value = match.groups()
    return Halt(cause, (first, second) if first else (), int(step), float(value), match.start())
