"""Temperatures and drift of runs whose energies are known, and of real ones."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.science.dynamics.heating import Heating, Mean, heating
from aiida_sicmlip.science.dynamics.lammps_log import parse_thermo
from aiida_sicmlip.science.dynamics.run_output import COLUMNS
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from tests.science.dynamics.test_lammps_input import structure
from tests.science.dynamics.test_lammps_input_runs import run_lammps

TIMESTEP = 0.001
EVERY, PACE = 100, 500
SETTINGS = ExplorationSettings(temperature=1500.0, damping=0.1)


def rows(steps: np.ndarray, energy: np.ndarray, **columns: np.ndarray) -> dict[str, np.ndarray]:
    return {"step": steps, "production": np.ones(len(steps), dtype=bool), "conserved_energy": energy, **columns}


def test_kernels_are_no_drift():
    """A steady gain of 2 eV/ps under a bias that each kernel raises: the raise is the bias's, the gain the step's."""
    steps = np.arange(0, 20001, EVERY)
    # The row of a step is written before the kernel of the step is laid; there is none in step 0.
    kernels = np.maximum(0, (steps - 1) // PACE)
    bias = 0.3 * kernels + 0.5 * np.sin(steps / 77)
    thermodynamics = rows(steps, 2.0 * steps * TIMESTEP - 0.5 * np.sin(steps / 77))
    found = heating([(thermodynamics, {"time": steps * TIMESTEP, "bias": bias})], TIMESTEP, PACE)
    assert found.drift.value == pytest.approx(2.0)
    assert found.drift.error == pytest.approx(0.0, abs=1e-9)
    # Four of five intervals of 0.1 ps have no kernel before their end.
    assert found.drift_time == pytest.approx(16.0)
    static = heating([(thermodynamics, {"time": steps * TIMESTEP, "bias": 0.5 * np.sin(steps / 77)})], TIMESTEP)
    assert static.drift.value == pytest.approx(2.0) and static.drift_time == pytest.approx(20.0)
    # With a kernel in each interval nothing can be told.
    assert heating([(thermodynamics, {"time": steps * TIMESTEP, "bias": bias})], TIMESTEP, EVERY).drift is None


def test_segments_count_together_and_the_gap_between_them_does_not():
    """Springs count, rows of the equilibration do not, and a bias that is written less often tells less often."""
    steps = np.arange(0, 3001, EVERY)
    first = rows(steps, 1.5 * steps * TIMESTEP - 0.2, spring_energy=0.2 * np.ones(len(steps)))
    equilibration = {name: np.concatenate([column[:7] + 1, column]) for name, column in first.items()}
    equilibration["production"] = np.arange(len(steps) + 7) >= 7
    second = rows(steps + 9000, 40.0 + 1.5 * steps * TIMESTEP)
    found = heating([(equilibration, {}), (second, {}), ({}, {})], TIMESTEP)
    assert found.drift.value == pytest.approx(1.5) and found.drift_time == pytest.approx(6.0)
    rare = {"time": steps[::3] * TIMESTEP, "bias": np.zeros(len(steps[::3]))}
    found = heating([(first, rare)], TIMESTEP)
    assert found.drift.value == pytest.approx(1.5) and found.drift_time == pytest.approx(3.0)


def test_error_of_a_mean_is_that_of_its_blocks():
    """Of independent values it is the standard error; a value that is not finite does not count."""
    generator = np.random.default_rng(3)
    values = generator.normal(1500, 200, 4000)
    values[17] = np.nan
    steps = np.arange(4000)
    thermodynamics = rows(steps, np.zeros(4000), biased_temperature=values, others_temperature=values - 40)
    found = heating([(thermodynamics, {})], TIMESTEP)
    assert found.biased.value == pytest.approx(np.nanmean(values))
    assert found.others.value == pytest.approx(found.biased.value - 40)
    assert found.biased.error == pytest.approx(200 / np.sqrt(4000), rel=0.6)
    assert heating([], TIMESTEP) == Heating()
    assert Heating().to_dict() == {"biased": None, "others": None, "drift": None, "drift_time": 0.0}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Heating(Mean(1570, 5), Mean(1500, 5)), ["70 ± 7 K hotter than the others"]),
        # Not beyond three standard errors, not beyond 2 %, colder, without an error, not told.
        (Heating(Mean(1570, 15), Mean(1500, 15)), []),
        (Heating(Mean(1525, 1), Mean(1500, 1)), []),
        (Heating(Mean(1400, 5), Mean(1500, 5)), []),
        (Heating(Mean(1900, None), Mean(1500, None)), []),
        (Heating(Mean(1500, 5), None), []),
        (Heating(), []),
        # 62 atoms have 12.0 eV: 1.2 eV/ps are 1 % in 0.1 ps.
        (Heating(drift=Mean(1.5, 0.05)), ["the time steps add 1.5 ± 0.05 eV/ps, above 1.2 eV/ps"]),
        (Heating(drift=Mean(1.5, 0.2)), []),
        (Heating(drift=Mean(1.0, 0.01)), []),
        (Heating(drift=Mean(5.0, None)), []),
    ],
)
def test_warnings(found, words):
    warnings = found.warnings(SETTINGS, n_atoms=62)
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


@pytest.mark.program
@pytest.mark.parametrize("held", [[], [2, 3]])
def test_rows_of_a_real_run(tmp_path, held):
    """Kinetic energies of both groups are the whole; without a bias the energy with thermostat and springs stays."""
    atoms = structure("cubic")
    biased = list(range(5))
    log = run_lammps(tmp_path, atoms, held_atoms=held, biased_atoms=biased, dump_every=10, production_steps=400)
    thermo = parse_thermo(log)
    masses = atoms.get_masses()
    share = masses[biased].sum() / masses.sum() if not held else len(biased) / len(atoms)
    degrees = {
        "c_biased_temperature": 3 * len(biased) - 3 * share,
        "c_others_temperature": 3 * (len(atoms) - len(biased)) - 3 * (1 - share),
    }
    total = sum(thermo[name] * number for name, number in degrees.items())
    assert total / (3 * len(atoms) - 3) == pytest.approx(thermo["Temp"], rel=1e-7)
    assert ("f_held" in thermo) is bool(held)
    arrays = {name: thermo[column] for column, name in COLUMNS.items() if column in thermo}
    found = heating([({**arrays, "production": thermo["Production"]}, {})], 0.001)
    assert found.biased is not None and found.others is not None
    assert np.ptp(thermo["TotEng"][thermo["Production"]]) > 0.1
    assert abs(found.drift.value) * found.drift_time < 0.02
