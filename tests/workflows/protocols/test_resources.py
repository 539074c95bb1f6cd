"""Options and switches of a settings file: what AiiDA's own job script says of them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from aiida import orm
from aiida.plugins import SchedulerFactory
from aiida.schedulers.datastructures import JobTemplate

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.workflows.protocols.loop import check_gpu
from aiida_sicmlip.workflows.protocols.resources import IGNORED, code_and_switches, scheduler_options

FIELD = "exploration.options"
KOKKOS = "[-k, on, g, 1, -sf, kk, -pk, kokkos, newton, on, neigh, half]"


@pytest.fixture
def code_on(aiida_profile: Any, tmp_path: Any) -> Callable[..., orm.InstalledCode]:
    """Makes a code on a computer with a scheduler; nothing is stored."""

    def make(scheduler: str = "core.slurm", default_processes: int | None = None) -> orm.InstalledCode:
        computer = orm.Computer(
            label=f"test-{scheduler}",
            hostname="localhost",
            workdir=str(tmp_path),
            transport_type="core.local",
            scheduler_type=scheduler,
        )
        computer.set_default_mpiprocs_per_machine(default_processes)
        return orm.InstalledCode(computer, "/bin/true", label="lammps")

    return make


def script_header(options: dict[str, Any], scheduler: str = "core.slurm") -> list[str]:
    """Return what AiiDA's plugin of the scheduler writes for ``options``."""
    plugin = SchedulerFactory(scheduler)()
    template = JobTemplate()
    for key, value in options.items():
        if key != "resources":
            template[key] = value
    template.job_resource = plugin.create_job_resource(**options["resources"])
    return plugin._get_submit_script_header(template).splitlines()


def test_slurm_gets_what_was_asked_for(code_on: Callable[..., Any]) -> None:
    given = {
        "queue": "gpu",
        "account": "project42",
        "memory_gb": 16,
        "gpus_per_node": 2,
        "max_wallclock_seconds": 43200,
        "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 2, "num_cores_per_mpiproc": 8},
    }
    header = script_header(scheduler_options(given, code_on(), FIELD))
    for line in (
        "--partition=gpu",
        "--account=project42",
        "--mem=16384",
        "--gpus-per-node=2",
        "--time=12:00:00",
        "--ntasks-per-node=2",
        "--cpus-per-task=8",
    ):
        assert f"#SBATCH {line}" in header


def test_options_of_aiida_pass_as_they_are(code_on: Callable[..., Any]) -> None:
    given = {
        "queue_name": "gpu",
        "max_memory_kb": 1000000,
        "qos": "high",
        "withmpi": False,
        "environment_variables": {"OMP_NUM_THREADS": "1"},
        "stash": {"target_base": "/archive", "source_list": ["trajectory.dcd"], "stash_mode": "copy"},
        "custom_scheduler_commands": "#SBATCH --constraint=a100",
    }
    assert scheduler_options(given, code_on(), FIELD) == given


def test_gpus_come_after_the_users_own_lines(code_on: Callable[..., Any]) -> None:
    given = {"custom_scheduler_commands": "#SBATCH --constraint=a100\n", "gpus_per_node": 1}
    options = scheduler_options(given, code_on(), FIELD)
    assert options["custom_scheduler_commands"] == "#SBATCH --constraint=a100\n#SBATCH --gpus-per-node=1"


def test_null_takes_an_option_of_the_protocol_out(code_on: Callable[..., Any]) -> None:
    protocol = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
    given = {
        "max_wallclock_seconds": None,
        "resources": {**dict.fromkeys(protocol), "parallel_env": "mpi", "tot_num_mpiprocs": 4},
    }
    options = scheduler_options(given, code_on("core.sge"), FIELD)
    assert options == {"resources": {"parallel_env": "mpi", "tot_num_mpiprocs": 4}}
    assert "#$ -pe mpi 4" in script_header(options, "core.sge")


def test_processes_of_the_computer_complete_the_resources(code_on: Callable[..., Any]) -> None:
    options = scheduler_options({"resources": {"num_machines": 2}}, code_on(default_processes=16), FIELD)
    # AiiDA adds the processes at submission, and does so for the computer as it is then.
    assert options == {"resources": {"num_machines": 2}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"memry_gb": 4}, "`exploration.options.memry_gb` is not a known setting. Did you mean `memory_gb`?"),
        ({"que": "gpu"}, "Did you mean `queue`?"),
        ({"memory_gb": 4, "max_memory_kb": 4}, "has both `memory_gb` and `max_memory_kb`, which have the same meaning"),
        ({"queue": "a", "queue_name": "b"}, "has both `queue` and `queue_name`"),
        ({"memory_gb": 0}, "`exploration.options.memory_gb` is 0; give a number above zero"),
        ({"memory_gb": "16 GB"}, "`exploration.options.memory_gb` is '16 GB'; give a number above zero"),
        ({"gpus_per_node": 0}, "`exploration.options.gpus_per_node` is 0; give a number above zero"),
        ({"gpus_per_node": 1.5}, "`exploration.options.gpus_per_node` is 1.5; give a whole number from 1"),
        ({"gpus_per_node": True}, "`exploration.options.gpus_per_node` is True"),
        (
            {"gpus_per_node": 1, "custom_scheduler_commands": "#SBATCH --gres=gpu:1"},
            "requests GPUs in `gpus_per_node` and in `custom_scheduler_commands`; remove one",
        ),
        ({"queue": 7}, "`exploration.options.queue` is 7; give text"),
        ({"max_wallclock_seconds": "12 h"}, "`exploration.options.max_wallclock_seconds` is '12 h'; give a whole"),
        ({"max_wallclock_seconds": True}, "`exploration.options.max_wallclock_seconds` is True; give a whole number"),
        ({"withmpi": 1}, "`exploration.options.withmpi` is 1; give true or false"),
        ({"stash": {"target_base": "archive"}}, "should be an absolute filepath"),
        (
            {"resources": {"num_machine": 1, "num_mpiprocs_per_machine": 1}},
            "`exploration.options.resources.num_machine` is not a resource of `core.slurm`. Did you mean",
        ),
        (
            {"resources": {"parallel_env": "mpi", "tot_num_mpiprocs": 4}},
            "`exploration.options.resources.parallel_env` is not a resource of `core.slurm`",
        ),
        ({"resources": {"num_machines": 0, "num_mpiprocs_per_machine": 1}}, "must be greater than or equal to one"),
        ({"resources": {"num_machines": 1}}, "`exploration.options.resources` does not fit the scheduler `core.slurm`"),
        (
            {"resources": {"num_machines": 1, "num_mpiprocs_per_machine": 3, "tot_num_mpiprocs": 4}},
            "`tot_num_mpiprocs` is not equal to",
        ),
    ],
)
def test_wrong_options(code_on: Callable[..., Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        scheduler_options(given, code_on(), FIELD)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("scheduler", "given", "message"),
    [
        ("core.direct", {"queue": "gpu"}, "has no effect on computer `test-core.direct`, whose scheduler is"),
        ("core.direct", {"memory_gb": 4}, "`exploration.options.memory_gb` has no effect"),
        ("core.direct", {"queue_name": "gpu"}, "`exploration.options.queue_name` has no effect"),
        ("core.sge", {"max_memory_kb": 4}, "`exploration.options.max_memory_kb` has no effect"),
        ("core.direct", {"gpus_per_node": 1}, "is for Slurm, but the scheduler is `core.direct`: jobs there see all"),
        ("core.pbspro", {"gpus_per_node": 1}, "PBS takes GPUs in its line `select` alone"),
        ("core.sge", {"gpus_per_node": 1}, "often `custom_scheduler_commands: '#$ -l gpu=1'`"),
        ("core.sge", {}, "`exploration.options.resources.num_machines` is not a resource of `core.sge`"),
    ],
)
def test_options_that_a_scheduler_does_not_take(
    code_on: Callable[..., Any], scheduler: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        scheduler_options(given, code_on(scheduler), FIELD)
    assert message in str(caught.value)


@pytest.mark.parametrize("scheduler", ["core.direct", "core.lsf", "core.pbspro", "core.sge", "core.torque"])
def test_table_of_ignored_options_is_that_of_aiida(scheduler: str) -> None:
    resources = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
    if scheduler in ("core.sge", "core.lsf"):
        resources = {"parallel_env": "mpi", "tot_num_mpiprocs": 1}
    without = script_header({"resources": resources}, scheduler)
    values = {"account": "a", "max_memory_kb": 1048576, "priority": "5", "qos": "q", "queue_name": "b"}
    ignored = [
        key
        for key, value in values.items()
        if script_header({"resources": resources, key: value}, scheduler) == without
    ]
    assert tuple(ignored) == IGNORED[scheduler]


def test_code_without_a_computer() -> None:
    code = SimpleNamespace(computer=None, full_label="lammps")
    with pytest.raises(InputError, match="code `lammps` has no computer"):
        scheduler_options({}, code, FIELD)


@pytest.mark.parametrize(
    ("scheduler", "device", "options", "refused"),
    [
        ("core.slurm", "cuda", {}, True),
        ("core.slurm", "cuda", {"gpus_per_node": 1}, False),
        ("core.slurm", "cuda", {"queue": "gpu"}, False),
        ("core.slurm", "cpu", {}, False),
        ("core.direct", "cuda", {}, False),
    ],
)
def test_gpu_that_no_option_asks_for(
    code_on: Callable[..., Any], scheduler: str, device: str, options: dict[str, Any], refused: bool
) -> None:
    """Training on a GPU needs one; without a scheduler, jobs see all of them."""
    given = {"resources": {"num_machines": 1, "num_mpiprocs_per_machine": 1}, **options}
    settings = {"training": {"parameters": {"device": device}, "options": given}}
    if refused:
        with pytest.raises(InputError, match=r"asks the scheduler of .* for no GPU; set `gpus_per_node: 1` there"):
            check_gpu(settings, "training", given, code_on(scheduler))
    else:
        check_gpu(settings, "training", given, code_on(scheduler))


def test_switches_as_yaml_reads_them() -> None:
    value = yaml.safe_load(f"{{code: lammps@cluster, switches: {KOKKOS}}}")
    label, switches = code_and_switches(value, "codes.lammps")
    assert label == "lammps@cluster"
    assert " ".join(switches) == "-k on g 1 -sf kk -pk kokkos newton on neigh half"


@pytest.mark.parametrize(
    "value", ["lammps@cluster", {"code": "lammps@cluster"}, {"code": "lammps@cluster", "switches": []}]
)
def test_codes_without_switches(value: Any) -> None:
    assert code_and_switches(value, "codes.lammps") == ("lammps@cluster", [])


def test_codes_by_number() -> None:
    assert code_and_switches(12, "codes.lammps") == ("12", [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"switches": ["-sf", "kk"]}, "`codes.lammps` lacks `code`"),
        ({"code": "a", "switch": []}, "`codes.lammps.switch` is not a known setting. Did you mean `switches`?"),
        ({"code": "a", "switches": "-sf kk"}, "`codes.lammps.switches` is '-sf kk'; give a list of words"),
        ({"code": "a", "switches": ["-sf kk"]}, "holds '-sf kk'; give each word of it as an entry of its own"),
        ({"code": "a", "switches": ["-sf", ""]}, "holds ''; give each word"),
        ({"code": "a", "switches": ["-sf", ["kk"]]}, "holds ['kk']; give words and numbers"),
        ({"code": "a", "switches": ["kk"]}, "begins with `kk`; LAMMPS' switches begin with `-`"),
        (
            {"code": "a", "switches": ["-in", "other.in"]},
            "`-in`, which cannot be given: the calculation gives it itself",
        ),
        ({"code": "a", "switches": ["-nc", "--log", "none"]}, "`--log`, which cannot be given"),
        ({"code": "a", "switches": ["-screen", "none"]}, "`-screen`, which cannot be given: the output has to stay"),
        ({"code": "a", "switches": ["-partition", "2x1"]}, "`-partition`, which cannot be given: one calculation"),
        (
            {"code": "a", "switches": ["-suffx", "kk"]},
            "`-suffx`, which is not passed on to LAMMPS. Did you mean `-suffix`",
        ),
    ],
)
def test_wrong_switches(value: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        code_and_switches(value, "codes.lammps")
    assert message in str(caught.value)


def test_numbers_below_zero_are_values() -> None:
    value = {"code": "a", "switches": ["-sf", "gpu", "-pk", "gpu", 1, "split", -1.0]}
    assert code_and_switches(value, "codes.lammps")[1][-1] == "-1.0"
