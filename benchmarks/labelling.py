"""What a label costs beside its `pw.x`: labels through LabellingWorkChain against `xargs -P` on the same inputs.

Configurations of SiC are labelled in one pass by `xargs`, which starts the next `pw.x` when one has ended, and in one
pass through the daemon, for each database, number of workers and number of labels at a time. A pass by `xargs` stands
before and after each other one, as the load of a machine changes. `pw.x` notes when it starts and ends; the nodes of
the graph say when they were made.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ase.utils import workdir

from benchmarks.labelling_times import report, stages
from benchmarks.machine import processor
from benchmarks.servers import temporary_postgresql, temporary_rabbitmq

BIN = Path(sys.executable).parent
NOTING = """\
#!/bin/bash
# Runs pw.x and notes: folder, time of the job's script, start, end, processor time of user and system.
start=$EPOCHREALTIME
{program} "$@"
status=$?
# Not in a pipe, whose end would tell its own times.
times > {notes}.$$
written=$([ -e _aiidasubmit.sh ] && stat -c %.9Y _aiidasubmit.sh || echo "$start")
echo "$PWD $written $start $EPOCHREALTIME $(tail -n 1 {notes}.$$)" >> {notes}
exit $status
"""


class Benchmark:
    """Profiles, inputs and passes in one folder."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.notes = folder / "notes"
        self.program = folder / "noting-pw.x"
        program = shutil.which(options.program)
        if program is None:
            raise SystemExit(f"{options.program} is not installed; `make install` says how to get it")
        self.program.write_text(NOTING.format(program=program, notes=self.notes))
        self.program.chmod(0o755)

    def set_up(self, profile: str, *services: str) -> None:
        """Make a profile as a user does."""
        words = ["-p", profile, "--pw", str(self.program), "--work-folder", str(self.folder / "work"), *services]
        subprocess.run([str(BIN / "aiida-sicmlip"), "setup", *words], check=True, stdout=subprocess.DEVNULL)

    def builder(self, names: Sequence[str], concurrent: int) -> Any:
        """Return the inputs of a labelling in the loaded profile: those of the protocol `demo`, without spin."""
        from aiida import orm

        from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
        from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
        from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
        from aiida_sicmlip.workflows.protocols.loop import load_protocol

        spin = {"nspin": 1, "tot_magnetization": None}
        system = {**spin, "ecutwfc": self.options.cutoff, "ecutrho": 8 * self.options.cutoff}
        settings = {"max_concurrent": concurrent, "parameters": {"SYSTEM": system}}
        labelling = load_protocol("demo", {"labelling": settings})["labelling"]
        structures = {}
        for name in names:
            atoms = build_host(
                HostSettings("zincblende", ("Si", "C"), 4.416, repeats=tuple(self.options.repeats), cell="primitive")
            )
            atoms.rattle(0.05, seed=int(name.removeprefix("frame_")))
            structures[name] = orm.StructureData(ase=atoms)
        builder = LabellingWorkChain.get_builder()
        builder.structures = structures
        fill_labelling(builder, labelling, {"pw": orm.load_code("pw@localhost")}, structures)
        return builder

    def write_inputs(self, names: Sequence[str]) -> None:
        """Write the folders that `pw.x` runs in, as the calculation does."""
        from aiida.engine import run_get_node
        from aiida.plugins import CalculationFactory

        with workdir(self.folder):
            for name in names:
                # Again each time: the calculation changes its parameters.
                builder = self.builder([name], 1)
                inputs = builder.pw._inputs(prune=True)
                given = {key: value for key, value in inputs["pw"].items() if key != "metadata"}
                options = inputs["pw"]["metadata"]["options"]
                _, node = run_get_node(
                    CalculationFactory("quantumespresso.pw"),
                    structure=builder.structures[name],
                    kpoints=inputs["kpoints"],
                    metadata={"dry_run": True, "store_provenance": False, "options": options},
                    **given,
                )
                shutil.move(node.dry_run_info["folder"], self.folder / "inputs" / name)

    def reference(self, names: Sequence[str]) -> dict[str, Any]:
        """Label all by `xargs`."""
        folder = self.folder / "reference"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "inputs", folder)
        self.notes.unlink(missing_ok=True)
        script = f'cd "$1" && {self.program} -in aiida.in > aiida.out 2> aiida.err'
        command = ["xargs", "-0", "-n", "1", f"-P{self.options.processes}", "bash", "-c", script, "bash"]
        load, begin = os.getloadavg()[0], time.time()
        subprocess.run(command, input="\0".join(str(folder / name) for name in names), text=True, check=True)
        seconds = time.time() - begin
        for name in names:
            assert "JOB DONE" in (folder / name / "aiida.out").read_text(), folder / name
        return {"seconds": seconds, "load": load, "notes": self.read_notes()}

    def labelling(self, profile: str, names: Sequence[str], workers: int, concurrent: int) -> dict[str, Any]:
        """Label all through the daemon of the profile that is loaded."""
        from aiida.engine import submit
        from aiida.engine.daemon.client import get_daemon_client
        from aiida.manage import get_manager

        client = get_daemon_client(profile)
        client.start_daemon(number_workers=workers)
        # The broker starts and ends with the daemon: what is submitted over the connection to the one before is lost.
        get_manager().reset_broker()
        get_manager().reset_runner()
        try:
            builder = self.builder(names, concurrent)
            # The workers are there before the clock starts.
            while client.get_number_of_workers() < workers:
                time.sleep(0.5)
            time.sleep(self.options.settle)
            self.notes.unlink(missing_ok=True)
            load, busy, begin = os.getloadavg()[0], busy_seconds(client), time.time()
            node = submit(builder)
            while not node.is_terminated:
                time.sleep(0.2)
            seconds = time.time() - begin
            busy = busy_seconds(client) - busy
        finally:
            client.stop_daemon(wait=True, timeout=60)
        assert node.is_finished_ok and len(node.outputs.labels) == len(names), node.exit_message
        notes = self.read_notes()
        found = {"seconds": seconds, "load": load, "notes": notes, "daemon_seconds": busy / len(names)}
        return {**found, "stages": stages(node, notes)}

    def read_notes(self) -> dict[str, list[float]]:
        """Return, for each folder: script written, start, end (s since 1970) and the processor time of `pw.x` (s)."""
        found = {}
        for line in self.notes.read_text().splitlines():
            place, written, start, end, *used = line.split()
            minutes = [part.rstrip("s").split("m") for part in used]
            found[place] = [float(written), float(start), float(end), sum(60 * float(m) + float(s) for m, s in minutes)]
        return found


def busy_seconds(client: Any) -> float:
    """Return the processor time in s that the daemon has used: its workers and what looks after them, without jobs."""
    import psutil

    parent = psutil.Process(client.get_daemon_pid())
    times = []
    for process in [parent, *parent.children(recursive=True)]:
        # Jobs are no children of a worker for longer than their shell lives.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "python" in process.name() or "verdi" in process.name():
                times.append(sum(process.cpu_times()[:2]))
    return sum(times)


def measure(benchmark: Benchmark, stack: contextlib.ExitStack) -> Iterator[dict[str, Any]]:
    """Make the profiles and give one pass after the other."""
    from aiida.manage import get_manager
    from aiida.manage.configuration import load_profile

    options = benchmark.options
    names = [f"frame_{index:03d}" for index in range(options.labels)]
    ready = []
    # All before one is loaded: AiiDA reads its configuration once.
    for database in options.databases:
        services: list[str] = []
        if database == "postgresql":
            try:
                addresses = [stack.enter_context(server()) for server in (temporary_postgresql, temporary_rabbitmq)]
            except FileNotFoundError as error:
                print(f"PostgreSQL and RabbitMQ are left out: {error}.")
                continue
            services = ["--database", addresses[0], "--broker", addresses[1]]
        benchmark.set_up(database, *services)
        ready.append(database)
    # Before the servers end, whose connections would complain.
    stack.callback(get_manager().unload_profile)
    previous = None
    for database in ready:
        load_profile(database, allow_switch=True)
        if previous is None:
            benchmark.write_inputs(names)
            previous = benchmark.reference(names)
        for workers, concurrent in itertools.product(options.workers, options.concurrent):
            found = benchmark.labelling(database, names, workers, concurrent)
            following = benchmark.reference(names)
            case = {"database": database, "workers": workers, "concurrent": concurrent}
            yield {**case, "labels": len(names), "pass": found, "references": [previous, following]}
            previous = following


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=40)
    parser.add_argument("--repeats", nargs=3, type=int, default=[2, 2, 2], help="Primitive cells; 2 2 2 are 16 atoms.")
    parser.add_argument("--cutoff", type=float, default=30.0, help="Of the wave functions, in Ry.")
    parser.add_argument("--program", default="pw.x")
    parser.add_argument("--processes", type=int, default=2, help="Processes of xargs.")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--concurrent", nargs="+", type=int, default=[2, 4], help="Labels at a time.")
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--settle", type=float, default=5.0, help="Seconds before the clock starts.")
    parser.add_argument("--output", type=Path, help="Write all numbers into this JSON file.")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    # AiiDA looks for `verdi` there.
    os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    cases = []
    with tempfile.TemporaryDirectory(prefix="labelling-") as folder, contextlib.ExitStack() as stack:
        # Before AiiDA is imported: the folder of the user is left alone.
        os.environ["AIIDA_PATH"] = folder
        (Path(folder) / ".aiida").mkdir()
        (Path(folder) / "inputs").mkdir()
        for case in measure(Benchmark(Path(folder), options), stack):
            cases.append(case)
            print(f"{case['database']}, {case['workers']} workers, {case['concurrent']} at a time", flush=True)
            if options.output is not None:
                found = {"processor": processor(), "cores": os.cpu_count(), "cases": cases}
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps(found, indent=1))
    print(report(cases))


if __name__ == "__main__":
    main()
