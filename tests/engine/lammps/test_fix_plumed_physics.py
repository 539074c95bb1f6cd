"""`fix plumed` of sicmlip-lmp: its forces and virial belong to its energy, and dynamics conserve what they should."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
import pytest
from bias_helpers import EDIP, FIX, OPES, STATIC, prepare_run, printed, thermo_rows

from aiida_sicmlip.science.bias.tables import read_table

pytestmark = pytest.mark.program

# A triclinic cell in which nothing but the bias acts.
BIAS_ONLY = """
units metal
atom_style atomic
atom_modify map yes
read_data cell.data
change_box all triclinic
change_box all xy final 1.7 xz final -1.2 yz final 0.9 remap units box
pair_style zero 4.0
pair_coeff * *
fix 1 all nve
fix bias all plumed plumedfile plumed.dat outfile plumed.log
"""
MPIEXEC = Path(sysconfig.get_path("scripts")) / "mpiexec"


def test_forces_and_virial_are_derivatives_of_the_energy(run_lammps):
    """The forces on all atoms against displacements of some, the virial against six strains; h = 1e-4 A and 1e-5."""
    h, strain = 1e-4, 1e-5
    text = (
        BIAS_ONLY
        + f"""
compute w all pressure NULL virial
thermo_style custom step c_w[1]
run 0
print "virial {" ".join(f"$(c_w[{k}]*vol/1.6021765e6:%.12g)" for k in range(1, 7))}"
write_dump all custom forces.dump id fx fy fz modify sort id format float %.15g
"""
    )
    probes = [(atom, axis) for atom in (1, 7, 33, 41) for axis in "xyz"]
    for atom, axis in probes:
        text += f"group probe id {atom}\n"
        for shift in (h, -2 * h):
            vector = " ".join(str(shift if axis == other else 0) for other in "xyz")
            text += f'displace_atoms probe move {vector} units box\nrun 0 post no\nprint "energy $(f_bias:%.15g)"\n'
        vector = " ".join(str(h if axis == other else 0) for other in "xyz")
        text += f"displace_atoms probe move {vector} units box\ngroup probe clear\n"
    # The cell h with rows a, b, c becomes h (1 + e): of b and c, the components that LAMMPS names by their planes.
    strains = ["xx", "yy", "zz", "xy", "xz", "yz"]
    for name in strains:
        for sign in (1, -1):
            text += "".join(f"variable old_{k} equal $({k}:%.17g)\n" for k in ("lx", "ly", "lz", "xy", "xz", "yz"))
            text += _strained(name, sign * strain)
            text += 'run 0 post no\nprint "strained $(f_bias:%.15g)"\n'
            text += (
                "change_box all x final 0 ${old_lx} y final 0 ${old_ly} z final 0 ${old_lz} xy final ${old_xy} "
                "xz final ${old_xz} yz final ${old_yz} remap units box\n"
            )
    folder = prepare_run(run_lammps.folder, STATIC)
    result = run_lammps(text, "-echo", "none")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
    forces = np.loadtxt(folder / "forces.dump", skiprows=9)
    assert np.abs(forces[:, 1:].sum(axis=0)).max() < 1e-12
    assert (np.abs(forces[:, 1:]).max(axis=1) > 0.1).sum() == 5

    energies = printed(result.stdout, "energy").reshape(-1, 2)
    numerical = -(energies[:, 0] - energies[:, 1]) / (2 * h)
    expected = [forces[forces[:, 0] == atom, 1 + "xyz".index(axis)][0] for atom, axis in probes]
    assert numerical == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected).max() > 1

    strained = printed(result.stdout, "strained").reshape(-1, 2)
    virial = printed(result.stdout, "virial")[0]
    assert -(strained[:, 0] - strained[:, 1]) / (2 * strain) == pytest.approx(virial, abs=1e-4)
    assert np.abs(virial).min() > 0.1


def _strained(name: str, e: float) -> str:
    """The command that strains the cell: a point at r goes to r + e r[i] along j."""
    changes = {
        "xx": f"x final 0 $(v_old_lx*(1+{e}):%.17g) "
        f"xy final $(v_old_xy*(1+{e}):%.17g) xz final $(v_old_xz*(1+{e}):%.17g)",
        "yy": f"y final 0 $(v_old_ly*(1+{e}):%.17g) yz final $(v_old_yz*(1+{e}):%.17g)",
        "zz": f"z final 0 $(v_old_lz*(1+{e}):%.17g)",
        "xy": f"xy final $(v_old_xy+{e}*v_old_ly:%.17g) xz final $(v_old_xz+{e}*v_old_yz:%.17g)",
        "xz": f"xz final $(v_old_xz+{e}*v_old_lz:%.17g)",
        "yz": f"yz final $(v_old_yz+{e}*v_old_lz:%.17g)",
    }
    return f"change_box all {changes[name]} remap units box\n"


def test_energy_is_conserved_with_static_biases(run_lammps):
    """400 steps of 0.2 fs at constant energy: the total with the bias stays within 3 meV, without it it moves by eV."""
    prepare_run(run_lammps.folder, STATIC)
    dynamics = """
timestep 0.0002
velocity all create 1000 4711 mom yes rot no
fix 1 all nve
"""
    thermo = "thermo_style custom step etotal f_bias\nthermo_modify format float %.12g\nthermo 10\nrun 400\n"
    result = run_lammps(EDIP + dynamics + FIX + thermo)
    assert result.returncode == 0, result.stdout + result.stderr
    _, total, bias = thermo_rows(run_lammps.folder / "log.lammps").T
    assert np.ptp(bias) > 1
    assert np.ptp(total) < 3e-3
    assert abs(np.polyfit(np.arange(len(total)), total, 1)[0]) * len(total) < 2e-3

    result = run_lammps(EDIP + dynamics + FIX + "fix_modify bias energy no\n" + thermo)
    assert result.returncode == 0, result.stdout + result.stderr
    _, without, same_bias = thermo_rows(run_lammps.folder / "log.lammps").T
    assert same_bias == pytest.approx(bias, abs=1e-9)
    assert without + same_bias == pytest.approx(total, abs=1e-9)


def test_virial_switch(run_lammps):
    """`fix_modify virial no` leaves the virial out of the pressure; `yes` is the default."""
    prepare_run(run_lammps.folder, STATIC)
    text = BIAS_ONLY + "thermo_style custom step press\nrun 0\n"
    text += 'print "with $(press:%.12g)"\nfix_modify bias virial no\nrun 0 post no\nprint "without $(press:%.12g)"\n'
    result = run_lammps(text)
    assert result.returncode == 0, result.stdout + result.stderr
    assert abs(printed(result.stdout, "with")[0, 0]) > 100
    assert printed(result.stdout, "without")[0, 0] == 0


@pytest.mark.skipif(not MPIEXEC.exists(), reason="the environment has no mpiexec of the package mpich")
def test_processes_agree(tmp_path, lammps_in):
    """One and two processes, while all atoms cross the border between them."""
    text = (
        EDIP.replace("atom_style atomic", "atom_style atomic\natom_modify map yes\nprocessors * 1 1")
        + """
velocity all create 1000 4711 mom yes rot no loop all
velocity all set 60 NULL NULL sum yes units box
neighbor 1.0 bin
fix 1 all nve
"""
    )
    text += FIX + "thermo_style custom step pe press f_bias\nthermo_modify format float %.12g\nthermo 5\nrun 200\n"
    colvars, rows = [], []
    for n in (1, 2):
        folder = tmp_path / str(n)
        folder.mkdir()
        runner = lammps_in(prepare_run(folder, OPES))
        result = runner(text, launcher=[MPIEXEC, "-n", str(n)])
        assert result.returncode == 0, result.stdout + result.stderr
        colvars.append(read_table(folder / "COLVAR"))
        rows.append(thermo_rows(folder / "log.lammps"))
        assert sorted(path.name for path in folder.glob("bck*")) == ["bck.last.STATE"]
    assert "2 by 1 by 1 MPI processor grid" in (tmp_path / "2" / "log.lammps").read_text()
    assert len(colvars[0].columns["time"]) == 201
    assert colvars[0].columns["opes.nker"][-1] > 1
    for name, numbers in colvars[0].columns.items():
        assert numbers == pytest.approx(colvars[1].columns[name], abs=1e-8), name
    assert rows[0] == pytest.approx(rows[1], rel=1e-8, abs=1e-8)


def test_forces_of_the_potential_can_be_stored_before_the_bias(run_lammps):
    """`fix store/force` before this fix holds the forces without the bias, after it those with the bias."""
    prepare_run(run_lammps.folder, STATIC)
    before, after = "fix before all store/force\n", "fix after all store/force\n"
    text = EDIP + "fix 1 all nve\n" + before + FIX + after
    text += """
compute without all reduce sumsq f_before[1] f_before[2] f_before[3]
compute with all reduce sumsq f_after[1] f_after[2] f_after[3]
thermo_style custom step c_without[1] c_with[1]
run 2
print "stored $(c_without[1]) $(c_with[1])"
unfix bias
run 0
print "plain $(c_without[1]) $(c_with[1])"
"""
    result = run_lammps(text)
    assert result.returncode == 0, result.stdout + result.stderr
    without, with_bias = printed(result.stdout, "stored")[0]
    plain = printed(result.stdout, "plain")[0]
    assert plain == pytest.approx([without, without], rel=1e-6)
    assert with_bias > without + 1
