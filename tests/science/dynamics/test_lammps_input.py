"""LAMMPS inputs: cells of any shape, the lines of an exploration, and what is refused."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, rotation_to_lammps, write_structure_data

SPECIES = ["Si", "C"]
SETTINGS = {
    "species": SPECIES,
    "potential_commands": ["pair_style edip/multi", "pair_coeff * * SiC.edip Si C"],
    "temperature": 900.0,
    "timestep_ps": 0.001,
    "damping_ps": 0.1,
    "equilibration_steps": 25,
    "production_steps": 60,
    "dump_every": 10,
    "seed": 12345,
}


def random_rotation(seed: int) -> np.ndarray:
    """A proper rotation."""
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return rotation * np.sign(np.linalg.det(rotation))


def structure(shape: str) -> Atoms:
    """Silicon carbide with displaced atoms, some outside the cell, in a cell of the given shape."""
    cubic = bulk("SiC", "zincblende", a=4.416, cubic=True)
    primitive = bulk("SiC", "zincblende", a=4.416)
    atoms = {
        "cubic": lambda: cubic.repeat((2, 2, 2)),
        "orthorhombic": lambda: cubic.repeat((1, 2, 3)),
        "rhombohedral": lambda: primitive.repeat((2, 2, 2)),
        "tiny": lambda: primitive,
        "odd": lambda: primitive.repeat((1, 2, 3)),
        "skewed": lambda: primitive.repeat((2, 2, 2)),
        "left_handed": lambda: primitive.repeat((2, 2, 2)),
        "negative": lambda: cubic.repeat((1, 1, 2)),
    }[shape]()
    generator = np.random.default_rng(3)
    if shape == "odd":
        turn = random_rotation(8)
        atoms.set_cell(atoms.cell.array @ turn, scale_atoms=False)
        atoms.positions = atoms.positions @ turn
    if shape == "skewed":  # The same lattice with a tilt far beyond half the box.
        cell = atoms.cell.array.copy()
        cell[2] += 2 * cell[0] + cell[1]
        atoms.set_cell(cell, scale_atoms=False)
    if shape == "left_handed":
        atoms.set_cell(atoms.cell.array[[1, 0, 2]], scale_atoms=False)
        assert np.linalg.det(atoms.cell.array) < 0
    if shape == "negative":  # An orthorhombic cell whose first vector points backwards.
        atoms.set_cell(atoms.cell.array * [[-1], [1], [1]], scale_atoms=False)
    atoms.positions += generator.normal(scale=0.05, size=atoms.positions.shape)
    atoms.positions[0] += atoms.cell.array[0] - 2 * atoms.cell.array[2]
    return atoms


SHAPES = ["cubic", "orthorhombic", "rhombohedral", "tiny", "odd", "skewed", "left_handed", "negative"]


@pytest.mark.parametrize("shape", SHAPES)
def test_rotation_keeps_all_distances(shape):
    atoms = structure(shape)
    cell, rotation = rotation_to_lammps(atoms.cell.array)
    assert np.allclose(atoms.cell.array @ rotation, cell, atol=1e-10)
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.sign(np.linalg.det(rotation)) == np.sign(np.linalg.det(atoms.cell.array))
    assert not np.triu(cell, 1).any()
    assert (np.diag(cell) > 0).all()
    turned = Atoms(atoms.numbers, atoms.positions @ rotation, cell=cell, pbc=True)
    assert np.allclose(turned.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-9)


def test_cell_that_fits_is_left_alone():
    cell = np.array([[3.0, 0, 0], [1.5, 2.6, 0], [0.1, -0.2, 7.0]])
    lammps_cell, rotation = rotation_to_lammps(cell)
    assert np.array_equal(lammps_cell, cell)
    assert np.array_equal(rotation, np.eye(3))


def test_orthorhombic_box_has_no_tilt_line():
    assert "xy xz yz" not in write_structure_data(structure("negative"), SPECIES)
    assert "xy xz yz" in write_structure_data(structure("rhombohedral"), SPECIES)


def test_data_file_keeps_order_types_and_masses():
    atoms = Atoms("CSiC", positions=[[0, 0, 0], [1 / 3, 1, 1], [9, 9, 9]], cell=[4, 5, 6], pbc=True)
    text = write_structure_data(atoms, ["Si", "C", "H"])
    rows = text.split("Atoms # atomic\n\n")[1].splitlines()
    assert rows[1] == "2 1 0.3333333333333333 1.0 1.0"
    assert [row.split()[1] for row in rows] == ["2", "1", "2"]
    assert "3 atom types" in text
    assert "1 28.085" in text.split("Masses")[1]
    assert text == write_structure_data(atoms, ["Si", "C", "H"])


@pytest.mark.parametrize(
    ("atoms", "species", "message"),
    [
        (Atoms("SiH", cell=[5, 5, 5], pbc=True), SPECIES, "holds H"),
        (Atoms("Si", cell=[5, 5, 5]), SPECIES, "periodic"),
        (Atoms("Si", cell=[5, 5, 0], pbc=True), SPECIES, "no volume"),
        (Atoms("Si", cell=[5, 5, 5], pbc=True), ["Si", "Si"], "once"),
        (Atoms("Si", cell=[5, 5, 5], pbc=True), ["Sii"], "Did you mean `Si`"),
        (Atoms("Si", cell=[5, 5, 5], pbc=True), "Si", "list of chemical symbols"),
        (Atoms(cell=[5, 5, 5], pbc=True), SPECIES, "no atoms"),
    ],
)
def test_data_file_errors(atoms, species, message):
    with pytest.raises(InputError, match=message):
        write_structure_data(atoms, species)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "`temperature`"),
        ({"timestep_ps": float("nan")}, "`timestep_ps`"),
        ({"production_steps": 0}, "`production_steps`"),
        ({"dump_every": 2.5}, "`dump_every`"),
        ({"equilibration_steps": -1}, "`equilibration_steps`"),
        ({"seed": 2**31}, "`seed`"),
        ({"seed": 0}, "`seed`"),
        ({"maximum_temperature": 900}, "`maximum_temperature`"),
        ({"walltime_seconds": 0}, "`walltime_seconds`"),
        ({"check_every": 0}, "`check_every`"),
        ({"restart_every": 15}, "no multiple of `dump_every`"),
        ({"restart_every": 0}, "`restart_every`"),
        ({"spring_constant": -1.0}, "`spring_constant`"),
        ({"continue_from": "a.restart"}, "`continue_step` 0"),
        ({"continue_step": 10}, "`continue_from` is None"),
        ({"continue_from": "a.restart", "continue_step": 70}, "after the production"),
        ({"potential_commands": ["pair_coeff * *"]}, "pair_style"),
    ],
)
def test_exploration_errors(change, message):
    with pytest.raises(InputError, match=message):
        exploration_input(**{**SETTINGS, **change})


def lines_of(**changes) -> list[str]:
    """Lines of an input without the spaces that align them."""
    return [" ".join(line.split()) for line in exploration_input(**{**SETTINGS, **changes}).splitlines()]


def test_exploration_input_text():
    lines = lines_of(walltime_seconds=3725, maximum_temperature=4000, restart_every=20)
    assert lines == lines_of(walltime_seconds=3725, maximum_temperature=4000, restart_every=20)
    assert "timer timeout 3725 every 10" in lines
    assert "velocity all create 900 12345 mom yes rot yes dist gaussian" in lines
    assert "fix thermostat all nvt temp 900 900 0.1" in lines
    order = [
        "run 25",
        "reset_timestep 0",
        'if "$(timeremain) >= 1" then "timer timeout $(timeremain:%.0f) every 20"',
        "dump trajectory all dcd 10 trajectory.dcd",
        "restart 20 exploration.restart.*",
        "run 60 upto",
    ]
    assert sorted(order, key=lines.index) == order
    plain = lines_of()
    assert not [line for line in plain if line.startswith(("timer", "if", "restart", "group", "fix bias", "fix held"))]
    assert "reset_timestep 0" not in lines_of(equilibration_steps=0)


def test_forces_of_the_model_are_stored_before_springs_and_bias_add_theirs():
    for changes in ({}, {"continue_from": "previous.restart", "continue_step": 20}):
        lines = lines_of(held_atoms=[0, 4], plumed_file="plumed.dat", maximum_temperature=4000, **changes)
        fixes = [line.split()[1] for line in lines if line.startswith("fix ")]
        assert fixes == ["thermostat", "model_forces", "held", "stop_temperature", "bias"]
        assert "group held id 1 5" in lines
        assert "fix_modify bias energy no" in lines


def test_bias_begins_with_the_production():
    lines = lines_of(plumed_file="plumed.dat")
    assert lines.index("reset_timestep 0") < lines.index("fix bias all plumed plumedfile plumed.dat outfile plumed.log")


def test_later_segment_does_not_begin_again():
    lines = lines_of(continue_from="previous.restart", continue_step=20, restart_every=20, walltime_seconds=60)
    words = {line.split()[0] for line in lines}
    assert not words & {"read_data", "velocity", "reset_timestep", "units", "if"}
    assert lines.count("timer timeout 60 every 20") == 1
    assert [line for line in lines if line.startswith("run")] == ["run 60 upto"]
    assert "dump_modify trajectory delay 21" in lines


def test_pairs_of_atoms_are_checked_each_with_its_own_distance():
    """Silicon has atom type 1, carbon type 2."""
    lines = lines_of(min_distances={("Si", "Si"): 1.7, ("Si", "C"): 1.4, ("C", "C"): 1.1}, check_every=20)
    assert {"group Si type 1", "group C type 2"} <= set(lines)
    for first, second, distance, number in (("Si", "Si", 1.7, 1), ("Si", "C", 1.4, 2), ("C", "C", 1.1, 2)):
        assert f"compute near_{first}_{second} {first} coord/atom cutoff {distance} {number}" in lines
        halt = f"fix stop_distance_{first}_{second} all halt 20 v_n_near_{first}_{second} > 0 error soft message yes"
        assert halt in lines
