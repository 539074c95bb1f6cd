"""``sicmlip-lmp`` says what NequIP's ASE calculator says, for cells of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from ase.neighborlist import neighbor_list

pytestmark = pytest.mark.program

# LAMMPS' own constant of `units metal`, eV/Angstrom^3; it differs from ASE's in the eighth digit.
BAR = 1.0 / 1.6021765e6

ROTATION = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
ROTATION *= np.sign(np.linalg.det(ROTATION))


def _carbide(repeats: tuple[int, int, int] = (1, 1, 1), cubic: bool = True) -> Atoms:
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=cubic) * repeats
    atoms.rattle(0.1, seed=5)
    return atoms


def _strained(atoms: Atoms, strain) -> Atoms:
    atoms.set_cell(atoms.cell @ (np.eye(3) + np.array(strain)), scale_atoms=True)
    return atoms


def _structures() -> dict[str, Atoms]:
    vacancy = _carbide((2, 2, 2))
    del vacancy[5]
    lone = Atoms("C", cell=[12.0, 12.0, 12.0], positions=[[1.0, 2.0, 3.0]], pbc=True)
    dimer = Atoms("SiC", cell=[14.0, 13.0, 12.0], positions=[[0.1, 0.1, 0.1], [0.1, 13.0 - 1.0, 11.0]], pbc=True)
    return {
        "cubic": vacancy,
        "cubic_smaller_than_cutoff": _carbide(),
        "orthorhombic": _strained(_carbide((1, 1, 2)), np.diag([0.05, -0.03, 0.02])),
        "triclinic": _strained(_carbide((2, 1, 1)), [[0.0, 0.0, 0.0], [0.13, 0.02, 0.0], [-0.08, 0.17, 0.0]]),
        "primitive": _carbide(cubic=False),
        "rhombohedral": _carbide((2, 2, 2), cubic=False),
        "one_atom_alone": lone,
        "dimer_across_the_boundary": dimer,
        "one_species": bulk("Si", "diamond", a=5.4),
    }


STRUCTURES = _structures()
GENERAL = _structures()["rhombohedral"]
GENERAL.set_cell(GENERAL.cell @ ROTATION, scale_atoms=True)

# One input for all structures: a loop with `clear`, so that the style survives it.
LOOP = """
variable name index {names}
label again
clear
units metal
atom_style atomic
read_data ${{name}}.data
pair_style allegro
pair_coeff * * {model} Si C
compute atomic all pe/atom
compute total all reduce sum c_atomic
thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_total
run 0
dump 1 all custom 1 ${{name}}.dump id type x y z fx fy fz c_atomic
dump_modify 1 sort id format float %.15g
run 0
variable e equal pe
variable total equal c_total
variable xx equal pxx
variable yy equal pyy
variable zz equal pzz
variable xy equal pxy
variable xz equal pxz
variable yz equal pyz
print "$(v_e:%.15g) $(v_total:%.15g) $(v_xx:%.15g) $(v_yy:%.15g) $(v_zz:%.15g) $(v_xy:%.15g) $(v_xz:%.15g) &
$(v_yz:%.15g)" file ${{name}}.txt
next name
jump SELF again
"""

GENERAL_INPUT = """
units metal
atom_style atomic
read_data general.data
pair_style allegro
pair_coeff * * {model} Si C
dump 1 all custom 1 general.dump id type x y z fx fy fz
dump_modify 1 sort id format float %.15g triclinic/general yes
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
thermo_modify format float %.15g
run 0
"""


@pytest.fixture(scope="module")
def calculator(allegro_model):
    from nequip.integrations.ase import NequIPCalculator

    return NequIPCalculator.from_compiled_model(
        allegro_model.ase, device="cpu", chemical_species_to_atom_type_map={"Si": "Si", "C": "C"}
    )


@pytest.fixture(scope="module")
def looped(allegro_model, lammps_in, tmp_path_factory) -> Path:
    """Folder with the results of one run over all structures."""
    folder = tmp_path_factory.mktemp("agreement")
    for name, atoms in STRUCTURES.items():
        write_lammps_data(
            folder / f"{name}.data", atoms, specorder=["Si", "C"], masses=True, prismobj=Prism(atoms.cell)
        )
    result = lammps_in(folder)(LOOP.format(names=" ".join(STRUCTURES), model=allegro_model.pair_allegro))
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.mark.parametrize("name", STRUCTURES)
def test_energy_forces_and_pressure_agree(name, looped, calculator):
    atoms = STRUCTURES[name].copy()
    atoms.calc = calculator
    prism = Prism(atoms.cell)
    values = np.loadtxt(looped / f"{name}.txt")
    assert values[0] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert values[1] == pytest.approx(values[0], abs=1e-9)  # the energies of the atoms add up
    table = np.loadtxt(looped / f"{name}.dump", skiprows=9, ndmin=2)
    np.testing.assert_allclose(prism.vector_to_ase(table[:, 5:8]), atoms.get_forces(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(table[:, 8], atoms.calc.results["energies"], rtol=0, atol=1e-6)
    xx, yy, zz, xy, xz, yz = -values[2:] * BAR
    stress = prism.tensor2_to_ase(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    volume = atoms.get_volume()
    np.testing.assert_allclose(stress * volume, atoms.get_stress(voigt=False) * volume, rtol=0, atol=1e-6)


def test_general_triclinic_cell_comes_back_in_the_frame_of_the_user(allegro_model, run_lammps, calculator):
    atoms = GENERAL.copy()
    lines = ["general triclinic\n", f"{len(atoms)} atoms", "2 atom types"]
    lines += [
        " ".join(f"{x:.16g}" for x in vector) + f" {name}"
        for vector, name in zip(atoms.cell, ["avec", "bvec", "cvec"], strict=True)
    ]
    lines += ["0 0 0 abc origin", "\nMasses\n", "1 28.085", "2 12.011", "\nAtoms # atomic\n"]
    wrapped = atoms.copy()
    wrapped.wrap(eps=0.0)
    lines += [
        f"{i + 1} {1 if atom.symbol == 'Si' else 2} " + " ".join(f"{x:.16g}" for x in atom.position)
        for i, atom in enumerate(wrapped)
    ]
    (run_lammps.folder / "general.data").write_text("\n".join(lines) + "\n")
    result = run_lammps(GENERAL_INPUT.format(model=allegro_model.pair_allegro))
    assert result.returncode == 0, result.stdout + result.stderr
    atoms.calc = calculator
    rows = (run_lammps.folder / "general.dump").read_text().splitlines()
    start = next(i for i, row in enumerate(rows) if row.startswith("ITEM: ATOMS")) + 1
    table = np.array([[float(x) for x in row.split()] for row in rows[start:]])
    np.testing.assert_allclose(table[:, 5:8], atoms.get_forces(), rtol=0, atol=1e-6)
    thermo = next(
        row for row in (run_lammps.folder / "log.lammps").read_text().splitlines() if row.split()[:1] == ["0"]
    )
    values = [float(x) for x in thermo.split()]
    assert values[1] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    # The thermodynamic output stays in the frame of LAMMPS.
    rotation = Prism(atoms.cell).vector_to_lammps(np.eye(3))
    pressure = -rotation.T @ atoms.get_stress(voigt=False) @ rotation
    expected = pressure[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(np.array(values[2:]) * BAR, expected, rtol=0, atol=1e-6 / atoms.get_volume())


HYBRID_INPUT = """
units metal
atom_style atomic
read_data hybrid.data
pair_style hybrid allegro lj/cut 5.0
pair_coeff * * allegro {model} Si C NULL
pair_coeff *2 3 lj/cut 0.0 3.0
pair_coeff 3 3 lj/cut 0.01 3.0
run 0
print "ENERGIES $(pe:%.12g) $(evdwl:%.12g)"
"""


def test_atom_types_that_other_pair_styles_handle(allegro_model, run_lammps, calculator):
    carbide = _carbide((1, 1, 2))
    both = carbide.copy()
    both += Atoms("Ar2", positions=[[1.0, 1.3, 0.7], [1.0, 1.3, 4.2]])
    write_lammps_data(run_lammps.folder / "hybrid.data", both, specorder=["Si", "C", "Ar"], masses=True)
    result = run_lammps(HYBRID_INPUT.format(model=allegro_model.pair_allegro))
    assert result.returncode == 0, result.stdout + result.stderr
    energy = float(result.stdout.split("ENERGIES")[-1].split()[0])
    carbide.calc = calculator
    argon = _lennard_jones(both[-2:], epsilon=0.01, sigma=3.0, cutoff=5.0)
    assert energy == pytest.approx(carbide.get_potential_energy() + argon, abs=1e-6)


def _lennard_jones(atoms: Atoms, epsilon: float, sigma: float, cutoff: float) -> float:
    distances = neighbor_list("d", atoms, cutoff)
    power = (sigma / distances) ** 6
    return 0.5 * float(np.sum(4 * epsilon * (power**2 - power)))
