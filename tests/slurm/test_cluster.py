"""The calculations of a run as jobs of a cluster: through SSH to Slurm, with the options of a real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.box import SlurmBox
from tests.slurm.cluster import WALLTIMES, ClusterFolder, cluster_settings

pytestmark = [pytest.mark.program, pytest.mark.timeout(3000)]

# As a file system that stops answering: the run saves states for a while, then stands still until Slurm ends the job.
HANGING = """\
if mkdir {folder}/hung 2>/dev/null; then
    (until ls exploration.restart.* >/dev/null 2>&1; do sleep 0.05; done; sleep 0.2
    for process in $(pgrep -f exploration.in); do
        [ "$(readlink /proc/$process/cwd)" = "$PWD" ] && kill -STOP $process
    done) &
fi"""
LONG = {"equilibration": 0.0, "frame_interval": 0.1, "restart_interval": 0.2}
LATER = "#SBATCH --begin=now+1hour"


class Runs:
    """What was submitted at once, as Slurm works at several jobs at a time: PKs by name."""

    def __init__(self, folder: ClusterFolder, slurm: SlurmBox, switched: Any) -> None:
        self.folder = folder
        self.slurm = slurm
        self.switched = switched
        self.loop = folder.submit(cluster_settings())
        hanging = HANGING.format(folder=folder.path)
        self.walker = self.submit("walker", {"prepend_text": hanging, "max_wallclock_seconds": 60})
        self.running = self.submit("exploration", {"max_wallclock_seconds": 600})
        self.waiting = self.submit("exploration", {"custom_scheduler_commands": LATER})

    def submit(self, what: str, options: dict[str, Any]) -> int:
        """Submit an exploration, or a walker around one, that takes long."""
        from aiida import orm
        from aiida.engine import submit
        from aiida.plugins import CalculationFactory, WorkflowFactory

        from aiida_sicmlip.common.lammps_files import find_potential_file
        from aiida_sicmlip.data.classical_potential import classical_potential
        from aiida_sicmlip.workflows.protocols.resources import scheduler_options
        from tests.crystals import silicon_carbide_host

        with self.switched(self.folder):
            code = orm.load_code("sicmlip-lmp@cluster")
            common = {"queue": "cpu", "memory_gb": 0.25, "environment_variables": {"OMP_NUM_THREADS": "1"}, **options}
            inputs = {
                "code": code,
                "structure": orm.StructureData(ase=silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")),
                "potential": classical_potential(find_potential_file("SiC.edip"), "edip/multi", ["Si", "C"]),
                "parameters": orm.Dict({**LONG, "production": 40.0 if what == "walker" else 20000.0}),
                "seed": orm.Int(7),
                "metadata": {"options": scheduler_options(common, code, "exploration.options")},
            }
            if what == "walker":
                return submit(WorkflowFactory("sicmlip.walker"), exploration=inputs).pk
            return submit(CalculationFactory("sicmlip.exploration"), **inputs).pk

    def wait(self, pk: int, condition: Callable[[Any], Any], patience: float = 600.0) -> Any:
        """Return what ``condition`` gives for a node, as soon as that is something."""
        from aiida import orm

        end = time.monotonic() + patience
        with self.switched(self.folder):
            while not (found := condition(orm.load_node(pk))):
                assert time.monotonic() < end, self.folder.report(pk)
                time.sleep(1)
            return found

    def ended(self, pk: int, patience: float = 600.0) -> None:
        """Wait until a process has ended."""
        self.wait(pk, lambda node: node.is_terminated, patience)


@pytest.fixture(scope="module")
def runs(cluster_folder: ClusterFolder, slurm_box: SlurmBox, switched: Any) -> Runs:
    return Runs(cluster_folder, slurm_box, switched)


def test_cancelled_jobs_end_with_a_message(runs: Runs) -> None:
    """One that runs keeps what it has; one that waits has nothing. AiiDA sees both, and none is submitted again."""
    from aiida import orm

    job = runs.wait(runs.running, lambda node: node.get_job_id())
    folder = Path(runs.wait(runs.running, lambda node: node.get_remote_workdir()))
    end = time.monotonic() + 300
    while not any(folder.glob("*.restart.*")) or (folder / "trajectory.dcd").stat().st_size < 5000:
        assert time.monotonic() < end, runs.slurm.command("squeue")
        time.sleep(0.5)
    other = runs.wait(runs.waiting, lambda node: node.get_job_id())
    assert runs.slurm.job(other)["JobState"] == "PENDING"
    runs.slurm.command("scancel", job, other)
    for pk in (runs.running, runs.waiting):
        runs.ended(pk)
    with runs.switched(runs.folder):
        ran, waited = orm.load_node(runs.running), orm.load_node(runs.waiting)
        assert ran.exit_status == 401 and ran.exit_message.startswith("The run was interrupted from outside")
        assert ran.outputs.trajectory.n_frames > 0 and ran.outputs.continuation.step > 0
        assert waited.exit_status == 301 and waited.exit_message.startswith("LAMMPS left no log")
        assert [runs.slurm.job(name)["JobState"] for name in (job, other)] == ["CANCELLED"] * 2


def test_job_that_exceeds_its_walltime_is_continued(runs: Runs) -> None:
    """Slurm ends the first segment; the second goes on from its last saved state, and no frame is there twice."""
    from aiida import orm

    runs.ended(runs.walker)
    with runs.switched(runs.folder):
        walker = orm.load_node(runs.walker)
        assert walker.is_finished_ok, runs.folder.report(runs.walker)
        first, second = sorted(walker.called, key=lambda node: node.pk)
        assert runs.slurm.job(first.get_job_id())["JobState"] == "TIMEOUT"
        assert runs.slurm.job(second.get_job_id())["JobState"] == "COMPLETED"
        assert first.exit_status == 400 and first.exit_message.startswith("The walltime ended the run")
        assert second.inputs.continuation.step == first.outputs.continuation.step > 0
        steps = [step for node in (first, second) for step in node.outputs.trajectory.steps()]
        assert steps == list(range(0, 40001, 100))


def test_loop_runs_on_the_cluster(runs: Runs) -> None:
    """Each kind of calculation is a job that Slurm has run, with what was asked for."""
    from aiida import orm

    runs.folder.wait(runs.loop, timeout=1000)
    with runs.switched(runs.folder):
        node = orm.load_node(runs.loop)
        assert node.exit_status in (0, 701), runs.folder.report(runs.loop)
        assert {"potential", "compiled_potential"} <= set(node.outputs)
        query = orm.QueryBuilder().append(orm.CalcJobNode, filters={"id": {">": runs.loop}})
        jobs: dict[str, dict[str, str]] = {}
        scripts: dict[str, str] = {}
        for calculation in query.all(flat=True):
            if calculation.pk in (runs.running, runs.waiting) or calculation.caller.pk == runs.walker:
                continue
            assert calculation.computer.label == "cluster" and calculation.is_finished
            jobs[calculation.process_label] = runs.slurm.job(calculation.get_job_id())
            content = calculation.base.repository.get_object_content("_aiidasubmit.sh")
            scripts[calculation.process_label] = content
    gpu = {"Partition": "gpu", "Account": "project42", "MinMemoryNode": "1G", "TresPerNode": "gres:gpu:1"}
    cpu = {"Partition": "cpu", "Account": "project42", "MinMemoryNode": "512M"}
    expected = {
        "ExplorationCalculation": {**gpu, "TimeLimit": clock(WALLTIMES["exploration"]), "NumCPUs": "1"},
        "CollectiveVariablesCalculation": cpu,
        "DescriptorsCalculation": {**cpu, "NumCPUs": "2", "CPUs/Task": "2"},
        "PwCalculation": {**cpu, "TimeLimit": clock(WALLTIMES["labelling"])},
        "TrainingCalcJob": {**gpu, "TimeLimit": clock(WALLTIMES["training"])},
        "CompilationCalculation": {**gpu, "TimeLimit": clock(3000)},
        "EvaluationCalculation": {**gpu, "TimeLimit": clock(600)},
    }
    assert set(jobs) == set(expected)
    for name, asked in expected.items():
        assert jobs[name]["JobState"] == "COMPLETED", name
        assert {key: jobs[name].get(key) for key in asked} == asked, name
    assert "#SBATCH --gpus-per-node=1" in scripts["TrainingCalcJob"]
    assert "#SBATCH --qos=normal" in scripts["CompilationCalculation"]
    # The launcher of the computer starts what was built with MPI, and nothing else.
    launched = {name for name, script in scripts.items() if "'mpirun' '-n' '1'" in script}
    assert launched == {"PwCalculation"}


def clock(seconds: int) -> str:
    """Return a time as Slurm writes it."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
