"""The YAML files that the documentation shows: AiiDA takes them, and the job scripts hold what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiida import orm
from aiida.cmdline.commands.cmd_verdi import verdi
from aiida.common.extendeddicts import AttributeDict
from aiida.engine import run_get_node
from aiida.manage.configuration import get_config, get_profile
from aiida.plugins import CalculationFactory
from ase import Atoms
from click.testing import CliRunner

from aiida_sicmlip.workflows.protocols.resources import code_and_switches, scheduler_options

TEMPLATES = Path(__file__).parents[1] / "docs" / "how-to" / "templates"
CODES = sorted(path.stem for path in TEMPLATES.glob("*.yaml") if "filepath_executable" in path.read_text())
CONTAINERS = [name for name in CODES if name.endswith("-container")]
RUN = yaml.safe_load((TEMPLATES / "run.yaml").read_text())


def run_verdi(*arguments: str) -> str:
    """Run a command of verdi in the profile of the tests."""
    context = AttributeDict({"config": get_config(), "profile": get_profile()})
    result = CliRunner().invoke(verdi, list(arguments), obj=context, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def cluster(aiida_profile_clean: Any) -> orm.Computer:
    """The computer of the templates, set up and configured as the page says; nothing is reached over the network."""
    run_verdi("computer", "setup", "--non-interactive", "--config", str(TEMPLATES / "computer.yaml"))
    transport = str(TEMPLATES / "transport.yaml")
    run_verdi("computer", "configure", "core.ssh_async", "cluster", "--non-interactive", "--config", transport)
    return orm.load_computer("cluster")


def create_code(name: str) -> orm.InstalledCode:
    """Make the code of a template."""
    kind = "containerized" if name in CONTAINERS else "installed"
    run_verdi("code", "create", f"core.code.{kind}", "--non-interactive", "--config", str(TEMPLATES / f"{name}.yaml"))
    return orm.load_code(f"{name}@cluster")


def test_computer(cluster: orm.Computer) -> None:
    assert (cluster.scheduler_type, cluster.transport_type) == ("core.slurm", "core.ssh_async")
    configured = cluster.get_configuration()
    assert configured["host"] == "cluster"
    assert cluster.get_mpirun_command() == ["srun", "-n", "{tot_num_mpiprocs}"]


@pytest.mark.parametrize("name", CODES)
def test_codes(cluster: orm.Computer, name: str) -> None:
    written = yaml.safe_load((TEMPLATES / f"{name}.yaml").read_text())
    code = create_code(name)
    assert isinstance(code, orm.ContainerizedCode) is (name in CONTAINERS)
    assert str(code.filepath_executable) == written["filepath_executable"]
    assert code.default_calc_job_plugin == written.get("default_calc_job_plugin")
    assert code.with_mpi is written["with_mpi"]
    assert code.prepend_text.strip() == written["prepend_text"].strip()


@pytest.fixture
def script_of(
    cluster: orm.Computer, edip: Any, divacancy: Atoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Writes the job script of an exploration without submitting it: code, switches, options."""
    monkeypatch.chdir(tmp_path)

    def write(code: orm.InstalledCode, switches: list[str], options: dict[str, Any]) -> list[str]:
        inputs: dict[str, Any] = {"switches": switches} if switches else {}
        _, node = run_get_node(
            CalculationFactory("sicmlip.exploration"),
            code=code,
            structure=orm.StructureData(ase=divacancy),
            potential=edip,
            parameters={"production": 1.0},
            seed=7,
            metadata={
                "dry_run": True,
                "store_provenance": False,
                "options": scheduler_options(options, code, "exploration.options"),
            },
            **inputs,
        )
        return (Path(node.dry_run_info["folder"]) / "_aiidasubmit.sh").read_text().splitlines()

    return write


def command_line(script: list[str]) -> str:
    """Return the line that runs LAMMPS, without quotes."""
    (line,) = [line for line in script if "exploration.in" in line]
    return line.replace("'", "").split(" >", maxsplit=1)[0].strip()


def test_script_of_the_kokkos_template(script_of: Callable[..., list[str]]) -> None:
    label, switches = code_and_switches(RUN["codes"]["lammps"], "codes.lammps")
    code = create_code("lammps-kokkos")
    assert label == code.full_label
    script = script_of(code, switches, RUN["exploration"]["options"])
    for line in ("--partition=gpu", "--account=project42", "--gpus-per-node=1", "--mem=32768", "--time=12:00:00"):
        assert f"#SBATCH {line}" in script
    assert "module load cuda openmpi" in script
    assert "export PLUMED_KERNEL=/apps/plumed/lib/libplumedKernel.so" in script
    assert command_line(script) == (
        "srun -n 1 /apps/lammps/bin/lmp -in exploration.in -log log.lammps "
        "-k on g 1 -sf kk -pk kokkos newton on neigh half"
    )


def test_script_of_a_container(script_of: Callable[..., list[str]]) -> None:
    options = {"gpus_per_node": 2, "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 2}}
    script = script_of(create_code("lammps-container"), ["-sf", "kk"], options)
    assert "#SBATCH --gpus-per-node=2" in script
    assert "module load apptainer" in script
    assert command_line(script) == (
        "srun -n 2 apptainer exec --nv --bind /scratch /apps/images/lammps.sif lmp "
        "-in exploration.in -log log.lammps -sf kk"
    )


def test_script_of_the_pip_only_engine(script_of: Callable[..., list[str]]) -> None:
    script = script_of(create_code("sicmlip-lmp"), [], {"gpus_per_node": 1})
    assert command_line(script) == "/apps/sicmlip/bin/sicmlip-lmp -in exploration.in -log log.lammps"


def test_run_is_built_from_the_templates(cluster: orm.Computer, pseudo_family: Any) -> None:
    from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
    from aiida_sicmlip.workflows.protocols.loop import load_protocol

    for name in ("pw", "lammps-kokkos", "sicmlip"):
        create_code(name)
    overrides = {key: value for key, value in RUN.items() if key != "protocol"}
    builder = ActiveLearningWorkChain.get_builder_from_settings(load_protocol(RUN["protocol"], overrides), store=False)
    walker = builder.exploration.walker.exploration
    assert walker.code.label == "lammps-kokkos"
    assert walker.switches.get_list()[:4] == ["-k", "on", "g", "1"]
    steps = (walker, builder.training.training, builder.training.compilation, builder.training.evaluation)
    for options in (step.metadata.options for step in steps):
        assert options["queue_name"] == "gpu"
        assert options["custom_scheduler_commands"] == "#SBATCH --gpus-per-node=1"
    assert builder.labelling.pw.pw.metadata.options["queue_name"] == "cpu"


@pytest.mark.program
def test_comparison_of_two_codes(aiida_localhost: orm.Computer, edip: Any, divacancy: Atoms) -> None:
    program = str(Path(sys.executable).with_name("sicmlip-lmp"))
    codes = [orm.InstalledCode(aiida_localhost, program, label=f"lammps-{name}").store() for name in ("one", "other")]
    _, node = run_get_node(
        CalculationFactory("sicmlip.exploration"),
        code=codes[0],
        structure=orm.StructureData(ase=divacancy),
        potential=edip,
        parameters={"equilibration": 0.0, "production": 0.2},
        seed=7,
        metadata={"options": {"resources": {"num_machines": 1}, "environment_variables": {"OMP_NUM_THREADS": "1"}}},
    )
    printed = run_verdi(
        "run", "--", str(TEMPLATES / "compare.py"), str(node.pk), codes[1].full_label, "-nc", "-e", "both"
    )
    rows = {words[0]: [float(word) for word in words[1:]] for words in map(str.split, printed.splitlines())}
    assert list(rows) == ["potential_energy", "pressure", "min_distance", "max_force"]
    assert all(first == second for first, second in rows.values())
    assert rows["potential_energy"][0] == pytest.approx(node.outputs.thermodynamics.get_array("potential_energy")[0])
    again = orm.QueryBuilder().append(orm.CalcJobNode, filters={"id": {">": node.pk}}).one()[0]
    assert again.inputs.code.label == "lammps-other"
    assert again.inputs.switches.get_list() == ["-nc", "-e", "both"]
