"""The monitor of explorations: which logs it stops, and a real run that it does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase import Atoms

from aiida_sicmlip.calculations.monitors import monitor_input
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.blow_up import MonitorSettings, describe_blow_up, excerpt_command
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

RUNS = Path(__file__).parents[1] / "parsers" / "fixtures" / "exploration"
N_ATOMS = 10
# The standard deviation of their temperature is 1000 K / sqrt(15): the limit is 5000 K.
SETTINGS = ExplorationSettings(temperature=1000.0, temperature_deviations=4.0 * 15.0**0.5)
COLUMNS = "keywords: ['Step', 'Temp', 'PotEng', 'KinEng', 'TotEng', 'Press', ]\ndata:\n"


def row(step: int, temperature: float = 1000.0, energy: float = -60.0) -> str:
    """Return a row of a log; the energy is that of all atoms."""
    return f"  - [{step}, {temperature}, {energy}, 1.0, {energy + 1.0}, -300.5, ]\n"


def log_of(*rows: str) -> str:
    """Return a log that has not ended."""
    return "LAMMPS (22 Jul 2025)\nunits metal\n---\n" + COLUMNS + row(0) + "".join(rows)


def verdict(log: str, tmp_path: Path, **limits: Any) -> str | None:
    """Return what the monitor says of a log, by way of the command that it runs on the other machine."""
    (tmp_path / "log.lammps").write_bytes(log.encode())
    excerpt = subprocess.run(excerpt_command(), shell=True, cwd=tmp_path, capture_output=True, check=False).stdout
    return describe_blow_up(excerpt.decode("ascii"), MonitorSettings(**limits), SETTINGS, N_ATOMS)


def test_run_that_goes_well(tmp_path: Path) -> None:
    assert verdict(log_of(*[row(100 * step, energy=-59.0) for step in range(1, 9)]), tmp_path) is None


def test_before_there_is_a_log(tmp_path: Path) -> None:
    done = subprocess.run(excerpt_command(), shell=True, cwd=tmp_path, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert describe_blow_up("", MonitorSettings(), SETTINGS, N_ATOMS) is None


def test_not_a_number(tmp_path: Path) -> None:
    assert verdict(log_of(row(100, energy=np.nan)), tmp_path) == "the potential energy is not a number at step 100"
    assert verdict(log_of(row(100, np.nan)), tmp_path) == "the temperature is not a number at step 100"


def test_lost_atoms(tmp_path: Path) -> None:
    log = log_of("ERROR: Lost atoms: original 14 current 0\n")
    assert verdict(log, tmp_path) == "atoms were lost"
    # LAMMPS goes on where it is told to warn.
    assert verdict(log_of("WARNING: Lost atoms: original 14 current 13\n", row(100)), tmp_path) == "atoms were lost"


def test_temperature_in_all_of_the_last_rows(tmp_path: Path) -> None:
    hot = [row(100, 5001.0), row(200, 9000.0), row(300, 5001.0)]
    assert verdict(log_of(*hot), tmp_path) == (
        "the temperature is above 5000 K in the last 3 rows up to step 300, 5001 K at last"
    )
    assert verdict(log_of(*hot[:2]), tmp_path) is None
    assert verdict(log_of(*hot, row(400, 4999.0)), tmp_path) is None
    assert verdict(log_of(row(100, 5001.0)), tmp_path, rows=1) is not None
    assert verdict(log_of(*[row(step, 2000.0) for step in (1, 2, 3)]), tmp_path, maximum_temperature=1900.0) is not None


@pytest.mark.parametrize(("change", "stops"), [(-1.9, False), (-2.1, True), (2.0, False), (2.1, False), (2.2, True)])
def test_energy_per_atom_far_from_the_first_row(tmp_path: Path, change: float, stops: bool) -> None:
    # At 1000 K, 3/2 k T is 0.129 eV: the limits are -2 and 2.129 eV per atom.
    rows = [row(100 * step, energy=-60.0 + N_ATOMS * change) for step in (1, 2, 3)]
    message = verdict(log_of(*rows), tmp_path)
    assert (message is not None) is stops
    if message:
        assert f"{'below' if change < 0 else 'above'} that of the first row" in message
        assert message.endswith(f"{change:g} eV per atom at last")


def test_columns_that_change_in_a_long_log(tmp_path: Path) -> None:
    production = COLUMNS.replace("'Step', ", "'Step', 'c_min_distance', ")
    rows = [
        f"  - [{step}, 1.7, {9000.0 if step > 99990 else 900.0}, -60.0, 1.0, -59.0, 2.0, ]\n" for step in range(10**5)
    ]
    log = log_of(*[row(step) for step in range(5000)], "...\nÅngström\n---\n", production, *rows)
    assert verdict(log, tmp_path) == (
        "the temperature is above 5000 K in the last 3 rows up to step 99999, 9000 K at last"
    )
    excerpt = subprocess.run(excerpt_command(), shell=True, cwd=tmp_path, capture_output=True, check=True).stdout
    assert len(log) > 5_000_000
    assert len(excerpt) < 70_000


def test_a_cut_character_and_a_cut_row(tmp_path: Path) -> None:
    log = log_of("Å" * 40_000 + "\n", *[row(100 * step, 9000.0) for step in (1, 2, 3)])
    assert "up to step 300," in str(verdict(log + row(400)[:20], tmp_path))


@pytest.mark.parametrize("run", sorted(path.name for path in RUNS.iterdir()))
def test_real_logs(run: str, tmp_path: Path) -> None:
    log = (RUNS / run / "retrieved" / "log.lammps").read_text()
    message = verdict(log, tmp_path)
    assert (message is not None) == (run in ("failed_not_a_number", "failed_lost_atoms")), message


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"energy": 1.0}, "`exploration.monitor.energy` is not a known setting. Did you mean `energy_window`"),
        ({"rows": 0}, "`exploration.monitor.rows` is 0; give a whole number of at least 1"),
        ({"minimum_poll_interval": 0.5}, "`exploration.monitor.minimum_poll_interval` is 0.5; give a whole number"),
        ({"maximum_temperature": -1}, "`exploration.monitor.maximum_temperature` is -1; give a number above zero"),
        ({"energy_window": 0}, "`exploration.monitor.energy_window` is 0; give a number above zero"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        MonitorSettings.from_mapping(settings)
    assert expected in str(caught.value)


@pytest.fixture
def run_monitored(aiida_localhost: orm.Computer, edip: Any) -> Callable[..., orm.CalcJobNode]:
    """Runs an exploration with a monitor on this machine: atoms, parameters, limits."""
    from aiida.engine import run_get_node

    def run(atoms: Atoms, parameters: dict[str, Any], **limits: Any) -> orm.CalcJobNode:
        program = str(Path(sys.executable).with_name("sicmlip-lmp"))
        code = orm.InstalledCode(aiida_localhost, program, label="sicmlip-lmp-that-runs").store()
        _, node = run_get_node(
            CalculationFactory("sicmlip.exploration"),
            code=code,
            structure=orm.StructureData(ase=atoms),
            potential=edip,
            parameters=parameters,
            seed=7,
            monitors={"blown_up": monitor_input(MonitorSettings(minimum_poll_interval=1, **limits))},
            metadata={"options": {"resources": {"num_machines": 1}, "environment_variables": {"OMP_NUM_THREADS": "1"}}},
        )
        return node

    return run


@pytest.mark.program
def test_run_that_blows_up_is_ended_and_its_frames_are_kept(
    run_monitored: Callable[..., orm.CalcJobNode], divacancy: Atoms
) -> None:
    # Displaced atoms: their energy becomes heat, which a slow thermostat leaves there; with more of it atoms would be
    # lost before a slow machine looks. No `fix halt` ends the run, which at 30,000 steps a second would take an hour.
    divacancy.positions += np.random.default_rng(1).normal(0.0, 0.15, divacancy.positions.shape)
    parameters = {
        "temperature": 300.0,
        "damping": 1000.0,
        "equilibration": 0.0,
        "production": 100000.0,
        "frame_interval": 1.0,
        "temperature_deviations": None,
        "min_distance_ratio": None,
    }
    start = time.monotonic()
    node = run_monitored(divacancy, parameters, maximum_temperature=1000.0)
    assert time.monotonic() - start < 60
    assert node.exit_status == node.process_class.exit_codes.STOPPED_BY_MONITOR.status
    assert node.exit_message.startswith("the temperature is above 1000 K in the last 3 rows up to step")
    # What the parser made of the run is there.
    assert 3 <= node.outputs.trajectory.n_frames < 50000
    assert node.outputs.results["last_step"] < 5e7
    assert len(node.outputs.thermodynamics.get_array("temperature")) >= 3
    workdir = node.get_remote_workdir()
    log = Path(workdir) / "log.lammps"
    size = log.stat().st_size
    time.sleep(1)
    assert log.stat().st_size == size, "LAMMPS still runs"


@pytest.mark.program
def test_run_that_goes_well_ends_as_without_a_monitor(
    run_monitored: Callable[..., orm.CalcJobNode], divacancy: Atoms
) -> None:
    parameters = {"temperature": 1000.0, "equilibration": 0.0, "production": 50.0, "frame_interval": 0.1}
    node = run_monitored(divacancy, parameters)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.trajectory.n_frames == 501
