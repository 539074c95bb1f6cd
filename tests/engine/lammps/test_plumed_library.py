"""PLUMED's own library behind `fix plumed`: what a library that PLUMED_KERNEL names is told, and what becomes of it.

PLUMED itself cannot be installed from where the tests run. A small library with the table of functions that
PLUMED's header documents stands in its place: it writes down what it is given, and in which order, and pulls atom 1 to
a point.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bias_helpers import EDIP, prepare_run, printed, thermo_rows

from aiida_sicmlip.engine.lammps.plugin_build import find_compiler

pytestmark = pytest.mark.program

# E = k/2 |x_1 - a|^2 in kJ/mol and nm; numbers of the MD code times its units are PLUMED's.
KERNEL = r"""
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

struct Stand {
  FILE *record = std::fopen("record.jsonl", "w");
  double energy_unit = 0, length_unit = 0, time_unit = 0, timestep = 0, energy = 0;
  int n_atoms = 0, *stop = nullptr;
  long step = -1;
  const double *positions = nullptr, *masses = nullptr, *charges = nullptr, *box = nullptr;
  double *forces = nullptr, *virial = nullptr;
};

static void calculate(Stand &s)
{
  const double k = 1000.0, at[3] = {0.1, 0.2, -0.1};
  s.energy = 0;
  for (int i = 0; i < 3; i++) {
    const double away = s.positions[i] * s.length_unit - at[i];
    s.energy += 0.5 * k * away * away;
    const double force = -k * away;    // kJ/mol/nm
    s.forces[i] += force * s.length_unit / s.energy_unit;
    for (int j = 0; j < 3; j++) s.virial[3 * j + i] -= s.positions[j] * force * s.length_unit / s.energy_unit;
  }
  s.energy /= s.energy_unit;
  if (s.step == 7) *s.stop = 1;
}

static void *create() { return new Stand; }

static void finalize(void *p)
{
  auto *s = static_cast<Stand *>(p);
  std::fprintf(s->record, "{\"key\": \"finalize\"}\n");
  std::fclose(s->record);
  delete s;
}

struct Nothrow {
  void *pointer;
  void (*handler)(void *, int, const char *, const void *);
};

static void command(void *p, const char *key, const void *value, Nothrow nothrow)
{
  auto &s = *static_cast<Stand *>(p);
  const auto is = [key](const char *name) { return std::strcmp(key, name) == 0; };
  auto *numbers = static_cast<double *>(const_cast<void *>(value));
  auto *integers = static_cast<int *>(const_cast<void *>(value));
  const auto *text = static_cast<const char *>(value);
  std::fprintf(s.record, "{\"key\": \"%s\"", key);
  if (is("setRealPrecision")) std::fprintf(s.record, ", \"value\": %d", *integers);
  else if (is("setMDEnergyUnits")) s.energy_unit = *numbers;
  else if (is("setMDLengthUnits")) s.length_unit = *numbers;
  else if (is("setMDTimeUnits")) s.time_unit = *numbers;
  else if (is("setTimestep")) s.timestep = *numbers;
  else if (is("setNatoms")) s.n_atoms = *integers;
  else if (is("setMDEngine") || is("setPlumedDat") || is("setLogFile"))
    std::fprintf(s.record, ", \"value\": \"%s\"", text);
  else if (is("init"))
    std::fprintf(s.record, ", \"value\": [%.17g, %.17g, %.17g, %.17g, %d]", s.energy_unit, s.length_unit, s.time_unit,
                 s.timestep, s.n_atoms);
  else if (is("setStepLong")) {
    std::fprintf(s.record, ", \"value\": %ld", s.step = *static_cast<const long *>(value));
    if (s.step == 2000) nothrow.handler(nothrow.pointer, 20000, "\n(core/Some.cpp:1) it\n does not work", nullptr);
  }
  else if (is("setStopFlag")) s.stop = integers;
  else if (is("setPositions")) s.positions = numbers;
  else if (is("setMasses")) s.masses = numbers;
  else if (is("setCharges")) s.charges = numbers;
  else if (is("setBox")) s.box = numbers;
  else if (is("setForces")) s.forces = numbers;
  else if (is("setVirial")) s.virial = numbers;
  else if (is("isEnergyNeeded")) *integers = s.step == 1000;
  else if (is("getBias")) *numbers = s.energy;
  else if (is("performCalc") || is("performCalcNoUpdate")) {
    calculate(s);
    std::fprintf(s.record, ", \"value\": [%.17g, %.17g, %.17g, %.17g, %.17g", s.positions[3], s.masses[0], s.masses[1],
                 s.charges[0], s.energy);
    for (int i = 0; i < 9; i++) std::fprintf(s.record, ", %.17g", s.box[i]);
    const auto holds_lock = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "PyGILState_Check"));
    std::fprintf(s.record, ", %d]", holds_lock());
  }
  else if (!is("prepareCalc")) std::fprintf(s.record, ", \"unknown\": true");
  std::fprintf(s.record, "}\n");
  std::fflush(s.record);
}

static void throwing_command(void *, const char *, const void *) { throw 1; }

extern "C" struct {
  int version;
  void *(*create)();
  void (*command)(void *, const char *, const void *);
  void (*finalize)(void *);
  void (*command_nothrow)(void *, const char *, const void *, Nothrow);
} plumed_symbol_table = {2, create, throwing_command, finalize, command};
"""
TRICLINIC = "change_box all triclinic\nchange_box all xy final 1.7 xz final -1.2 yz final 0.9 remap units box\n"
INPUT = (
    EDIP
    + TRICLINIC
    + """
fix 1 all nve
fix bias all plumed plumedfile plumed.dat outfile plumed.log
compute w all pressure NULL virial
thermo_style custom step pe f_bias c_w[1] c_w[2] c_w[3] c_w[4] c_w[5] c_w[6]
thermo_modify format float %.15g
thermo 1
"""
)
KJ_MOL = 1 / 96.48530749925792  # eV


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> Path:
    """Compile the library."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "kernel.cpp").write_text(KERNEL)
    library = folder / "libplumedKernel.so"
    subprocess.run(
        [*find_compiler(), "-shared", "-fPIC", "-O1", str(folder / "kernel.cpp"), "-o", str(library)], check=True
    )
    return library


@pytest.fixture
def run_with(run_lammps, kernel):
    """Runs an input with the library."""
    prepare_run(run_lammps.folder, "unknown to: THE_BUILT_IN_EVALUATOR\n")
    environment = {**run_lammps.environment, "PLUMED_KERNEL": str(kernel)}
    return lambda text, **changes: run_lammps(text, env={**environment, **changes})


def _record(folder: Path) -> Iterator[tuple[str, object]]:
    for line in (folder / "record.jsonl").read_text().splitlines():
        entry = json.loads(line)
        assert "unknown" not in entry, line
        yield entry["key"], entry.get("value")


def test_what_the_library_is_told(run_with, run_lammps):
    result = run_with(INPUT + "run 2\nrun 1\n")
    assert result.returncode == 0, result.stdout + result.stderr
    record = list(_record(run_lammps.folder))
    keys = [key for key, _ in record]
    begin = keys.index("init") + 1
    told = dict(record[:begin])
    assert told["setRealPrecision"] == 8
    assert told["setPlumedDat"] == "plumed.dat"
    assert told["setLogFile"] == "plumed.log"
    assert told["setMDEngine"] == "LAMMPS"
    assert told["init"] == pytest.approx([96.48530749925792, 0.1, 1.0, 0.001, 62])

    steps = [value for key, value in record if key == "setStepLong"]
    assert steps == [0, 1, 2, 2, 3]
    # The step with which the second run begins was done before.
    performed = [key for key in keys if key.startswith("performCalc")]
    assert performed == ["performCalc"] * 3 + ["performCalcNoUpdate", "performCalc"]
    given = [
        *("setStepLong", "setStopFlag", "setPositions", "setMasses", "setCharges", "setBox", "setForces", "setVirial"),
        *("prepareCalc", "isEnergyNeeded", "performCalc", "getBias"),
    ]
    assert keys[begin : begin + len(given)] == given
    assert keys[-1] == "finalize"
    seen = next(value for key, value in record if key == "performCalc")
    assert isinstance(seen, list)
    assert seen[1:4] == pytest.approx([12.011, 28.085, 0.0], abs=1e-2)
    assert seen[5:14] == pytest.approx([8.72, 0, 0, 1.7, 8.72, 0, -1.2, 0.9, 8.72])
    # torch differentiates models of PLUMED only where Python's lock is free.
    assert seen[14] == 0


def test_energy_forces_and_virial(run_with, run_lammps):
    """Energy and virial arrive in eV; the forces, in eV/A, are those of the energy."""
    text = INPUT.replace("edip/multi", "zero 4.0").replace("SiC.edip Si C", "")
    text += "compute x all property/atom x y z\nrun 0\n"
    words = " ".join(f"$({word}:%.15g)" for word in ("x[1]", "y[1]", "z[1]", "fx[1]", "fy[1]", "fz[1]", "vol"))
    text += f'print "first {words}"\n'
    result = run_with(text.replace("atom_style atomic", "atom_style atomic\natom_modify map yes"))
    assert result.returncode == 0, result.stdout + result.stderr
    numbers = printed(result.stdout, "first")[0]
    away = 0.1 * numbers[:3] - [0.1, 0.2, -0.1]
    row = thermo_rows(run_lammps.folder / "log.lammps")[0]
    assert row[2] == pytest.approx(500 * float(away @ away) * KJ_MOL)
    assert row[1] == pytest.approx(row[2])  # part of the potential energy
    force = -1000 * away * 0.1 * KJ_MOL
    assert numbers[3:6] == pytest.approx(force)
    assert np.abs(force).min() > 1e-3
    virial = np.outer(numbers[:3], force) * 1.6021765e6 / numbers[6]
    assert row[3:] == pytest.approx(virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]], rel=1e-5)


def test_the_library_can_end_the_run(run_with, run_lammps):
    result = run_with(INPUT + "run 50\n")
    assert result.returncode == 0, result.stdout + result.stderr
    assert thermo_rows(run_lammps.folder / "log.lammps")[-1, 0] < 10


def test_what_cannot_be_done(run_with, run_lammps, tmp_path):
    result = run_with(INPUT + "reset_timestep 1000\nrun 1\n")
    assert result.returncode != 0
    assert (
        "ERROR: fix plumed: An action asks for the potential energy" in (run_lammps.folder / "log.lammps").read_text()
    )
    result = run_with(INPUT + "reset_timestep 2000\nrun 1\n")
    assert result.returncode != 0
    log = (run_lammps.folder / "log.lammps").read_text()
    assert "ERROR: fix plumed: PLUMED's command setStepLong fails: (core/Some.cpp:1) it does not work" in log
    result = run_with(INPUT + "run 1\n", PLUMED_KERNEL=str(tmp_path / "nothing.so"))
    assert result.returncode != 0
    log = (run_lammps.folder / "log.lammps").read_text()
    assert "ERROR: fix plumed: PLUMED_KERNEL names" in log
    assert "nothing.so`, which cannot be loaded as PLUMED's library" in log
