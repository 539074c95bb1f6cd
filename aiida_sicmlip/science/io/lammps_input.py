"""Inputs of LAMMPS: the structure's data file, and the input of an exploration at constant temperature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.io.lammps_log import RunEnd, find_errors, parse_thermo

__all__ = [
    "RunEnd",
    "check_species",
    "exploration_input",
    "find_errors",
    "frame_steps",
    "parse_thermo",
    "rotation_to_lammps",
    "write_structure_data",
]

MAXIMUM_SEED = 2**31 - 1


def rotation_to_lammps(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell as LAMMPS wants it (lower triangular, positive diagonal) and the rotation that leads there.

    `positions_lammps = positions @ rotation`, and back `positions = positions_lammps @ rotation.T`; forces likewise.
    For a left-handed cell the rotation holds a reflection (its determinant is -1), since LAMMPS knows right-handed
    cells alone: distances, energies and the way back are exact, but the run is that of the mirror image.

    :param cell: (3, 3), cell vectors as rows, A.
    :return: the cell (3, 3) in A and the orthogonal rotation (3, 3); the identity for a cell that fits already.
    :raises InputError: when the cell has no volume.
    """
    cell = np.asarray(cell, dtype=np.float64)
    lengths = np.linalg.norm(cell, axis=1)
    if cell.shape != (3, 3) or abs(np.linalg.det(cell)) <= 1e-8 * float(np.prod(lengths)):
        raise InputError(f"The cell {cell.tolist()} has no volume: give three vectors that do not lie in a plane.")
    if not np.triu(cell, 1).any() and (np.diag(cell) > 0).all():
        return cell.copy(), np.eye(3)
    # cell.T = Q R, hence cell = R.T Q.T with R.T lower triangular; the signs make its diagonal positive.
    orthogonal, upper = np.linalg.qr(cell.T)
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    rotation = orthogonal * signs
    lammps_cell = np.tril((upper * signs[:, None]).T)
    # Numerical dust in a tilt would make LAMMPS treat an orthorhombic box as a triclinic one.
    lammps_cell[np.abs(lammps_cell) < 1e-12 * lengths.max()] = 0.0
    return lammps_cell, rotation


def write_structure_data(atoms: Atoms, species: Sequence[str]) -> str:
    """Return a LAMMPS data file (atom_style atomic) with masses; atom ids follow the order of the atoms.

    :param atoms: periodic in all directions; positions need not lie inside the cell.
    :param species: chemical symbols in the order of the atom types; may name more than occur.
    :raises InputError: when a species is unknown or missing in `species`, or the structure is not periodic.
    """
    check_species(species)
    if not atoms.pbc.all():
        raise InputError(f"The structure has the periodicity {atoms.pbc.tolist()}: it must be periodic everywhere.")
    missing = sorted(set(atoms.get_chemical_symbols()) - set(species))
    if missing:
        raise InputError(f"The structure holds {', '.join(missing)}, but `species` is {list(species)}: add them.")
    if not len(atoms):
        raise InputError("The structure has no atoms.")
    cell, rotation = rotation_to_lammps(atoms.cell.array)
    positions = atoms.positions if np.array_equal(rotation, np.eye(3)) else atoms.positions @ rotation
    lines = [f"{atoms.get_chemical_formula()} in A; atom types: {_type_list(species)}", ""]
    lines += [f"{len(atoms)} atoms", f"{len(species)} atom types", ""]
    for axis, name in enumerate("xyz"):
        lines.append(f"0.0 {_number(cell[axis, axis])} {name}lo {name}hi")
    tilts = (cell[1, 0], cell[2, 0], cell[2, 1])
    if any(tilts):
        lines.append(" ".join(_number(tilt) for tilt in tilts) + " xy xz yz")
    lines += ["", "Masses", ""]
    lines += [
        f"{number} {_number(atomic_masses[atomic_numbers[name]])}" for number, name in enumerate(species, start=1)
    ]
    lines += ["", "Atoms # atomic", ""]
    types = {name: number for number, name in enumerate(species, start=1)}
    for number, (symbol, position) in enumerate(zip(atoms.get_chemical_symbols(), positions, strict=True), start=1):
        lines.append(f"{number} {types[symbol]} " + " ".join(_number(x) for x in position))
    return "\n".join(lines) + "\n"


def exploration_input(
    *,
    species: Sequence[str],
    potential_commands: Sequence[str],
    temperature: float,
    timestep_ps: float,
    damping_ps: float,
    equilibration_steps: int,
    production_steps: int,
    dump_every: int,
    thermo_every: int,
    seed: int,
    maximum_temperature: float | None = None,
    walltime_seconds: int | None = None,
    structure_file: str = "structure.data",
    trajectory_file: str = "trajectory.dcd",
    restart_file: str | None = None,
    production_commands: Sequence[str] = (),
) -> str:
    """Return the LAMMPS input of a run at constant temperature (Nose-Hoover) with a trajectory of the production.

    Steps keep counting through equilibration and production; :func:`frame_steps` gives the step of each frame.
    Positions of the trajectory are unwrapped. Energies in the log are in eV, pressures in bar, temperatures in K.

    A run that gets hotter than `maximum_temperature` (K), or reaches `walltime_seconds`, stops there and ends in order;
    what it wrote stays usable, and :func:`~aiida_sicmlip.science.io.lammps_log.find_errors` tells from the log.

    :param species: chemical symbols in the order of the atom types, for the reader of the file.
    :param potential_commands: `pair_style`, `pair_coeff` and what else the potential needs, line by line.
    :param restart_file: where to write the final state as a LAMMPS restart; None for nowhere.
    :param production_commands: lines between equilibration and production, such as fixes of a bias or a restraint.
    :raises InputError: when a value is out of its range.
    """
    check_species(species)
    _check_exploration(
        positive={
            "temperature": temperature,
            "timestep_ps": timestep_ps,
            "damping_ps": damping_ps,
            "production_steps": production_steps,
            "dump_every": dump_every,
            "thermo_every": thermo_every,
            "seed": seed,
        },
        whole={
            "equilibration_steps": equilibration_steps,
            "production_steps": production_steps,
            "dump_every": dump_every,
            "thermo_every": thermo_every,
            "seed": seed,
        },
    )
    if equilibration_steps < 0:
        raise InputError(f"`equilibration_steps` is {equilibration_steps}: give 0 or more.")
    if seed > MAXIMUM_SEED:
        raise InputError(f"`seed` is {seed}: LAMMPS takes whole numbers from 1 to {MAXIMUM_SEED}.")
    if not any(str(line).startswith("pair_style") for line in potential_commands):
        raise InputError(f"`potential_commands` is {list(potential_commands)}: it lacks a line with `pair_style`.")
    if maximum_temperature is not None and not maximum_temperature > temperature:
        raise InputError(
            f"`maximum_temperature` is {maximum_temperature} K, not above the {temperature} K of the run: raise it, "
            "or leave it out. The temperature of N atoms fluctuates by a fraction of about sqrt(2 / (3 N))."
        )
    lines = [
        f"# Exploration at {_short(temperature)} K; atom types: {_type_list(species)}",
        "units           metal",
        "atom_style      atomic",
        "atom_modify     map yes",
        "boundary        p p p",
        f"read_data       {structure_file}",
        *(str(line) for line in potential_commands),
        "neighbor        2.0 bin",
        "neigh_modify    every 1 delay 0 check yes",
        f"timestep        {_short(timestep_ps)}",
        f"velocity        all create {_short(temperature)} {seed} mom yes rot yes dist gaussian",
        f"fix             thermostat all nvt temp {_short(temperature)} {_short(temperature)} {_short(damping_ps)}",
        f"thermo          {thermo_every}",
        "thermo_style    custom step temp pe ke etotal press",
        "thermo_modify   line yaml format float %.10g flush yes",
    ]
    if maximum_temperature is not None:
        lines += [
            "variable        temperature equal temp",
            # `soft` ends this run and all later ones at once, and the input goes on to its end.
            f"fix             halt all halt 1 v_temperature > {_short(maximum_temperature)} error soft message yes",
        ]
    if walltime_seconds is not None:
        if int(walltime_seconds) != walltime_seconds or walltime_seconds < 1:
            raise InputError(f"`walltime_seconds` is {walltime_seconds}: give a whole number of seconds from 1.")
        hours, rest = divmod(int(walltime_seconds), 3600)
        lines.append(f"timer           timeout {hours}:{rest // 60:02d}:{rest % 60:02d} every 10")
    if equilibration_steps:
        lines.append(f"run             {equilibration_steps}")
    lines += [
        *(str(line) for line in production_commands),
        f"dump            trajectory all dcd {dump_every} {trajectory_file}",
        "dump_modify     trajectory unwrap yes",
        f"run             {production_steps}",
    ]
    if restart_file is not None:
        lines.append(f"write_restart   {restart_file}")
    return "\n".join(lines) + "\n"


def frame_steps(equilibration_steps: int, production_steps: int, dump_every: int) -> np.ndarray:
    """Return the simulation step of each frame that a complete exploration writes, (F,) int64.

    LAMMPS dumps at the multiples of `dump_every`, from the first step of the production to its last, both included
    where they are multiples. A run that stops early writes a beginning of this list. The step before the production is
    its starting point; without equilibration, frame 0 is the start structure itself.
    """
    first = -(-equilibration_steps // dump_every) * dump_every
    return np.arange(first, equilibration_steps + production_steps + 1, dump_every, dtype=np.int64)


def check_species(species: Sequence[str]) -> None:
    """Raise InputError unless `species` names different chemical elements, at least one."""
    if isinstance(species, str) or not len(species):
        raise InputError(f"`species` is {species!r}: give a list of chemical symbols, such as [Si, C].")
    for name in species:
        if name not in atomic_numbers or atomic_numbers[name] == 0:
            raise InputError(f"`species` holds {name!r}, no chemical symbol. {nearest_name(str(name), atomic_numbers)}")
    if len(set(species)) != len(species):
        raise InputError(f"`species` is {list(species)}: each may occur once.")


def _check_exploration(positive: dict[str, float], whole: dict[str, int]) -> None:
    """Raise InputError for a value that is not finite and above zero, or not a whole number where it must be."""
    for name, value in positive.items():
        if not np.isfinite(value) or value <= 0:
            raise InputError(f"`{name}` is {value}: give a number above zero.")
    for name, value in whole.items():
        if int(value) != value:
            raise InputError(f"`{name}` is {value}: give a whole number.")


def _type_list(species: Sequence[str]) -> str:
    """Return `1 Si, 2 C`."""
    return ", ".join(f"{number} {name}" for number, name in enumerate(species, start=1))


def _number(value: float) -> str:
    """Return a number that reads back as the same float64."""
    return repr(float(value))


def _short(value: float) -> str:
    """Return a setting without the `.0` of a whole number."""
    return f"{float(value):.15g}"
