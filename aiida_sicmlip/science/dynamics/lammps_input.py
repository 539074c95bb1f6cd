"""Inputs of LAMMPS: the structure's data file, and the input of an exploration at constant temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.dynamics.brake import committee_commands, distance_commands, temperature_commands
from aiida_sicmlip.science.dynamics.lammps_log import PRODUCTION_MARK
from aiida_sicmlip.science.value_tests import is_symbol

MAXIMUM_SEED = 2**31 - 1
"""LAMMPS takes seeds as positive 32-bit integers; the other programs take those too."""
WALLTIME_CHECK_STEPS = 10
"""Default number of steps between two checks of the elapsed time."""
MEASUREMENTS = (
    # Without `eng` or `force` this uses only the cutoff of the pair style.
    "compute         pair_distances all pair/local dist",
    "compute         min_distance all reduce min c_pair_distances inputs local",
    "fix             model_forces all store/force",
    "variable        model_force atom sqrt(f_model_forces[1]^2+f_model_forces[2]^2+f_model_forces[3]^2)",
    "compute         max_force all reduce max v_model_force",
)
"""Commands that measure distances and forces."""


def rotation_to_lammps(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell in LAMMPS form (lower triangular, positive diagonal) and the rotation to it.

    `positions_lammps = positions @ rotation`, and back `positions = positions_lammps @ rotation.T`; forces likewise.
    For a left-handed cell the rotation includes a reflection (determinant -1), since LAMMPS supports only right-handed
    cells: distances, energies and the back-transformation are exact, but the run is that of the mirror image.

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
    # Rounding errors in a tilt would make LAMMPS treat an orthorhombic box as triclinic.
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
        raise InputError(f"The structure has the periodicity {atoms.pbc.tolist()}: it must be fully periodic.")
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
    seed: int,
    maximum_temperature: float | None = None,
    min_distances: Mapping[tuple[str, str], float] | None = None,
    check_every: int = 10,
    committee: Sequence[str] = (),
    max_disagreement: float | None = None,
    walltime_seconds: int | None = None,
    structure_file: str = filenames.STRUCTURE_FILE,
    trajectory_file: str = filenames.TRAJECTORY_FILE,
    held_atoms: Sequence[int] = (),
    spring_constant: float = 10.0,
    plumed_file: str | None = None,
    biased_atoms: Sequence[int] = (),
    restart_every: int | None = None,
    continue_from: str | None = None,
    continue_step: int = 0,
) -> str:
    """Return the LAMMPS input of a run at constant temperature (Nose-Hoover), or of a later segment of one.

    Steps count from the start of the production. Frames are written at its steps 0, `dump_every`, ..., and a row of
    the log with each: energy of the potential alone (eV), temperature (K), pressure (bar, with springs and bias), least
    distance of two atoms (`c_min_distance`, A), largest force of the potential on an atom (`c_max_force`, eV/A), and
    what tells of heating: total energy with that of the thermostat (`econserve`), energy of the springs (`f_held`), and
    temperatures of the biased atoms and the others. Positions of the trajectory are unwrapped.

    A run in which two atoms are nearer than the distance (A) of their species in `min_distances`, or whose committee
    disagrees on the force on an atom by more than `max_disagreement` (eV/A), or whose production exceeds
    `maximum_temperature` (K), stops at once and ends normally (:mod:`aiida_sicmlip.science.dynamics.brake`). So does a
    run that reaches `walltime_seconds`, in the production at a multiple of `restart_every`. Its states,
    `exploration.restart.STEP`, are the states that later segments continue from: the thermostat continues and springs
    keep their anchors, the positions of the initial structure.

    :param species: chemical symbols in the order of the atom types, for the reader of the file.
    :param potential_commands: `pair_style`, `pair_coeff` and what else the potential needs, line by line.
    :param check_every: steps between two checks of distances and disagreement; the temperature is checked in each step.
    :param committee: compiled models that form a committee with the one of `potential_commands`. Where LAMMPS has the
        compute for it, as ``sicmlip-lmp`` does, rows have their disagreement (`c_disagreement`, eV/A), too.
    :param held_atoms: indices, from 0, of atoms restrained to their positions by springs of `spring_constant` (eV/A^2).
    :param plumed_file: the actions of PLUMED; they act from the start of the production. None for no bias.
    :param biased_atoms: indices, from 0, of the atoms that the bias acts on; with none, or all, there is nothing to
        compare.
    :param restart_every: steps between two states, a multiple of `dump_every`. None for no states.
    :param continue_from: the state that an earlier segment left at `continue_step`; None for a first segment.
    :raises InputError: when a value is out of its range.
    """
    check_species(species)
    whole = {
        "production_steps": production_steps,
        "dump_every": dump_every,
        "seed": seed,
        "restart_every": restart_every,
        "walltime_seconds": walltime_seconds,
        "check_every": check_every,
    }
    _check_numbers(
        positive={
            **whole,
            "temperature": temperature,
            "timestep_ps": timestep_ps,
            "damping_ps": damping_ps,
            "spring_constant": spring_constant,
            "max_disagreement": max_disagreement,
        },
        not_negative={"equilibration_steps": equilibration_steps, "continue_step": continue_step},
        whole=whole,
    )
    if seed > MAXIMUM_SEED:
        raise InputError(f"`seed` is {seed}: LAMMPS takes whole numbers from 1 to {MAXIMUM_SEED}.")
    if not any(str(line).startswith("pair_style") for line in potential_commands):
        raise InputError(f"`potential_commands` is {list(potential_commands)}: it lacks a line with `pair_style`.")
    if maximum_temperature is not None and not maximum_temperature > temperature:
        raise InputError(
            f"`maximum_temperature` is {maximum_temperature} K, not above the {temperature} K of the run: raise it, "
            "or leave it out. The temperature of N atoms fluctuates by a fraction of about sqrt(2 / (3 N))."
        )
    _check_segment(production_steps, dump_every, restart_every, continue_from, continue_step)
    first = continue_from is None
    lines = [f"# Exploration at {_short(temperature)} K; atom types: {_type_list(species)}"]
    if first:
        lines += [
            "units           metal",
            "atom_style      atomic",
            "atom_modify     map yes",
            "boundary        p p p",
            f"read_data       {structure_file}",
        ]
    else:
        lines.append(f"read_restart    {continue_from}")
    lines += [
        *(str(line) for line in potential_commands),
        "neighbor        2.0 bin",
        "neigh_modify    every 1 delay 0 check yes",
        f"timestep        {_short(timestep_ps)}",
        f"fix             thermostat all nvt temp {_short(temperature)} {_short(temperature)} {_short(damping_ps)}",
        *MEASUREMENTS,
        *distance_commands(species, min_distances or {}, check_every),
    ]
    columns = ["step temp pe ke etotal press c_min_distance c_max_force econserve"]
    if held_atoms:
        # After `model_forces`, which then holds the forces of the potential alone. Springs are anchored at the
        # positions before the equilibration; a restart file restores the anchors to a fix of the same name.
        lines += [
            "group           held id " + " ".join(str(index + 1) for index in held_atoms),
            f"fix             held held spring/self {_short(spring_constant)}",
        ]
        columns.append("f_held")
    lines += _temperatures(biased_atoms, momentum_is_conserved=not held_atoms)
    columns += ["c_biased_temperature c_others_temperature"] if biased_atoms else []
    thermo_style = f"thermo_style    custom {' '.join(columns)}"
    lines += [
        f"thermo          {dump_every}",
        thermo_style,
        *committee_commands(species, committee, max_disagreement, check_every, thermo_style),
        "thermo_modify   line yaml format float %.10g flush yes",
    ]
    check_every = restart_every or WALLTIME_CHECK_STEPS
    if first:
        lines += _equilibration(temperature, seed, equilibration_steps, walltime_seconds, check_every)
    elif walltime_seconds is not None:
        lines.append(_timer(str(walltime_seconds), check_every))
    if maximum_temperature is not None:
        lines += temperature_commands(maximum_temperature)
    if plumed_file is not None:
        lines += [
            f"fix             bias all plumed plumedfile {plumed_file} outfile {filenames.PLUMED_LOG_FILE}",
            "fix_modify      bias energy no",
        ]
    lines += [
        f"dump            trajectory all dcd {dump_every} {trajectory_file}",
        "dump_modify     trajectory unwrap yes",
    ]
    if not first:
        # The frame of this step is the last one of the segment before.
        lines.append(f"dump_modify     trajectory delay {continue_step + 1}")
    if restart_every is not None:
        lines.append(f"restart         {restart_every} {filenames.RESTART_FILE}.*")
    lines += [f'print           "{PRODUCTION_MARK} {continue_step}"', f"run             {production_steps} upto"]
    return "\n".join(lines) + "\n"


def _temperatures(biased_atoms: Sequence[int], momentum_is_conserved: bool) -> list[str]:
    """Return the commands that measure the temperatures of some atoms and of all others.

    Of 3N degrees of freedom the thermostat counts 3N - 3. Where the momentum is conserved, an atom lacks 3 m / M of its
    own, with M the mass of all; where springs take up momentum, all atoms lack the same.
    """
    if not biased_atoms:
        return []
    share = "mass" if momentum_is_conserved else "count"
    lines = [
        "group           biased id " + " ".join(str(index + 1) for index in biased_atoms),
        "group           others subtract all biased",
    ]
    for group in ("biased", "others"):
        lines += [
            f"compute         {group}_temperature {group} temp",
            f"compute_modify  {group}_temperature extra/dof $(3*{share}({group})/{share}(all):%.12g)",
        ]
    return lines


def _equilibration(
    temperature: float, seed: int, steps: int, walltime_seconds: int | None, check_every: int
) -> list[str]:
    """Return the commands of a first segment up to its production, which starts at step 0."""
    lines = [f"velocity        all create {_short(temperature)} {seed} mom yes rot yes dist gaussian"]
    if not steps:
        return lines if walltime_seconds is None else [*lines, _timer(str(walltime_seconds), check_every)]
    if walltime_seconds is None:
        return [*lines, f"run             {steps}", "reset_timestep  0"]
    # The production stops only at states, which may be further apart than the length of the equilibration. A new
    # `timer` restarts the clock, so it gets the remaining time; after a stop it must not be given at all.
    return [
        *lines,
        _timer(str(walltime_seconds), min(check_every, WALLTIME_CHECK_STEPS)),
        f"run             {steps}",
        "reset_timestep  0",
        f'if "$(timeremain) >= 1" then "{_timer("$(timeremain:%.0f)", check_every)}"',
    ]


def _timer(seconds: str, every: int) -> str:
    """Return the command that stops a run after a time in seconds."""
    return f"timer           timeout {seconds} every {every}"


def check_species(species: Sequence[str]) -> None:
    """Raise InputError unless `species` names different chemical elements, at least one."""
    if isinstance(species, str) or not len(species):
        raise InputError(f"`species` is {species!r}: give a list of chemical symbols, such as [Si, C].")
    for name in species:
        if not is_symbol(name):
            raise InputError(f"`species` holds {name!r}, no chemical symbol. {nearest_name(str(name), atomic_numbers)}")
    if len(set(species)) != len(species):
        raise InputError(f"`species` is {list(species)}: each may occur once.")


def _check_numbers(
    *,
    positive: Mapping[str, float | None],
    not_negative: Mapping[str, float],
    whole: Mapping[str, float | None],
) -> None:
    """Raise InputError for a value outside the range of its group; None is allowed."""
    for name, value in positive.items():
        if value is not None and (not np.isfinite(value) or value <= 0):
            raise InputError(f"`{name}` is {value}: give a number above zero.")
    for name, value in not_negative.items():
        if not np.isfinite(value) or value < 0:
            raise InputError(f"`{name}` is {value}: give 0 or more.")
    for name, value in {**whole, **not_negative}.items():
        if value is not None and int(value) != value:
            raise InputError(f"`{name}` is {value}: give a whole number.")


def _check_segment(
    production_steps: int, dump_every: int, restart_every: int | None, continue_from: str | None, continue_step: int
) -> None:
    """Raise InputError unless states coincide with frames, and a later segment has its state and step."""
    if restart_every is not None and restart_every % dump_every:
        raise InputError(f"`restart_every` is {restart_every}, no multiple of `dump_every`, {dump_every}.")
    if (continue_from is None) != (continue_step == 0):
        raise InputError(
            f"`continue_from` is {continue_from!r} and `continue_step` {continue_step}: give the state of an earlier "
            "segment and its step, or neither."
        )
    if continue_step > production_steps:
        raise InputError(f"`continue_step` is {continue_step}, after the production's {production_steps} steps.")


def _type_list(species: Sequence[str]) -> str:
    """Return `1 Si, 2 C`."""
    return ", ".join(f"{number} {name}" for number, name in enumerate(species, start=1))


def _number(value: float) -> str:
    """Return a number that reads back as the same float64."""
    return repr(float(value))


def _short(value: float) -> str:
    """Return a setting without the `.0` of a whole number."""
    return f"{float(value):.15g}"
