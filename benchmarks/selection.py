"""What it costs to pick training and validation configurations out of 10,000 and 100,000 frames of 214 atoms.

    python -m benchmarks.selection --folder FOLDER

makes trajectories of 3C-SiC with a divacancy (EDIP, 1500 K, a frame each 0.01 ps) in FOLDER, which are kept for the
next time, and measures, each in processes of its own:

  package   `sicmlip describe`: SOAP of the atoms around the defect on several processes, candidates,
            clusters; then the selection of 300 training and 100 validation configurations among the candidates
  textbook  SOAP of all atoms by DScribe in one process, and the greedy loop that computes the distances of all frames
            from each pick (on the smallest pool alone: it takes as long on 10,000 frames as the other on 100,000)

Both measure novelty from 300 labelled frames. Memory is the largest sum over all running processes of their
proportional set sizes (PSS), sampled each half second.

How cost grows: descriptors linearly with the frames and with the atoms averaged over (those around the defect are as
many however large the cell is). Distances from the training set grow with frames x training set, the choice of
candidates with frames x candidates at the most, clusters with frames x clusters up to 50,000 frames and linearly after
that. Memory does not grow with the frames, but for the pages of the file of descriptors that the system keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from aiida_sicmlip.common import filenames
from aiida_sicmlip.engine.reports import read_json
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.dynamics.segments import SegmentFile, frames_of_dcd
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.labels.labelled_frames import write_labelled_frames
from benchmarks.machine import processor
from studies.edip_runs import is_complete, run_edip

FRAME_INTERVAL = 0.01
N_LABELLED = 300
PICKS = {"n_training": 300, "n_validation": 100, "separation": 0.1}
SCRIPT = [sys.executable, "-m", "benchmarks.selection"]


class Bench:
    """The host, the defect, and the folder in which everything is made."""

    def __init__(self, folder: Path, cells: int, segments: int) -> None:
        self.folder = folder
        self.host = build_host(HostSettings("zincblende", ("Si", "C"), 4.416, repeats=(cells, cells, cells)))
        self.atoms = build_defects(self.host, [{"kind": "divacancy"}], seed=0).atoms
        self.n_segments = segments

    def trajectories(self, n_frames: int, first_seed: int = 1) -> list[SegmentFile]:
        """Return segments that hold so many frames together, made unless they are there."""
        each = n_frames // self.n_segments
        settings = ExplorationSettings(
            temperature=1500.0,
            equilibration=2.0,
            production=(each - 1) * FRAME_INTERVAL,
            frame_interval=FRAME_INTERVAL,
            restart_interval=(each - 1) * FRAME_INTERVAL,
        )
        found = []
        for number in range(self.n_segments):
            folder = self.folder / f"{len(self.atoms)}-atoms" / f"{n_frames}-frames" / f"seed_{first_seed + number:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            if not is_complete(folder, settings):
                run_edip(folder, self.atoms, settings, first_seed + number)
            found.append(
                SegmentFile(
                    path=folder / filenames.TRAJECTORY_FILE,
                    symbols=tuple(self.atoms.get_chemical_symbols()),
                    cell=tuple(map(tuple, self.atoms.cell.array.tolist())),
                    n_frames=settings.n_frames,
                    segment=number,
                    structure="divacancy",
                    trajectory=number,
                    first_time=0.0,
                    interval=FRAME_INTERVAL,
                )
            )
        return found

    def labelled(self, segments: Sequence[SegmentFile], path: Path) -> Path:
        """Write frames as if they were labelled: what novelty is measured from are their positions alone."""
        each = -(-N_LABELLED // len(segments))
        frames = []
        for segment in segments:
            frames += segment.frames(np.linspace(0, segment.n_frames - 1, each).astype(int).tolist())
        for frame in frames:
            frame.calc = SinglePointCalculator(frame, energy=0.0, forces=np.zeros((len(frame), 3)))
        write_labelled_frames(path, frames)
        return path

    def run_package(self, segments: Sequence[SegmentFile], labelled: Path, processes: int) -> dict[str, Any]:
        """Measure the programs of the package; the host is given, as in a run."""
        folder = self.folder / "package"
        folder.mkdir(exist_ok=True)
        write(folder / "host.extxyz", self.host)
        entries = [
            {
                "file": str(segment.path),
                **{key: value for key, value in vars(segment).items() if key not in ("path", "kept")},
            }
            for segment in segments
        ]
        settings = {
            "parameters": {**PICKS, "centres": "defect"},
            "segments": entries,
            "hosts": {"divacancy": "host.extxyz"},
            "training": [str(labelled)],
        }
        (folder / filenames.DESCRIPTORS_SETTINGS_FILE).write_text(json.dumps(settings))
        program = [sys.executable, "-m", "aiida_sicmlip.engine.programs.main", "describe"]
        candidates = measured([*program, "--processes", str(processes)], folder)
        selection = measured([*SCRIPT, "--select"], folder)
        report = read_json(folder / filenames.DESCRIPTORS_REPORT_FILE, "report")
        picked = read_json(folder / "selection.json", "selection")
        return {
            "seconds": candidates["seconds"] + selection["seconds"],
            "candidates_seconds": candidates["seconds"],
            "selection_seconds": selection["seconds"],
            "selecting_seconds": picked["seconds"],
            "memory_gb": max(candidates["memory_gb"], selection["memory_gb"]),
            "processes": processes,
            "n_candidates": report["n_candidates"],
            "covering_distance": report["covering_distance"],
            "n_training": picked["n_training"],
            "n_validation": picked["n_validation"],
            "first_distance": picked["distances_when_picked"][0],
            "last_distance": picked["distances_when_picked"][-1],
        }

    def run_textbook(self, segments: Sequence[SegmentFile], labelled: Path) -> dict[str, Any]:
        """Measure the direct way."""
        folder = self.folder / "textbook"
        folder.mkdir(exist_ok=True)
        settings = {"trajectories": [str(segment.path) for segment in segments], "labelled": str(labelled)}
        write(folder / "structure.extxyz", self.atoms)
        (folder / "settings.json").write_text(json.dumps(settings))
        return measured([*SCRIPT, "--textbook"], folder)


def measured(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a command in a folder and return its wall time (s) and largest memory (GB)."""
    begin = time.monotonic()
    largest = 0.0
    sources = os.pathsep.join([str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": sources}
    with (folder / "output.txt").open("w") as output:
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            largest = max(largest, memory_of(process))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {folder}:\n{(folder / 'output.txt').read_text()[-2000:]}")
    return {"seconds": time.monotonic() - begin, "memory_gb": largest}


def memory_of(process: psutil.Process) -> float:
    """Return the memory of a process and of those that it started, in GB."""
    total = 0
    try:
        for each in [process, *process.children(recursive=True)]:
            total += each.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return total / 1024**3


def select() -> None:
    """Pick among the candidates of this folder, as the calcfunction does."""
    from aiida_sicmlip.science.selection.candidates_file import read_candidates
    from aiida_sicmlip.science.selection.frames import select_frames_of_candidates
    from aiida_sicmlip.science.selection.settings import SelectionSettings

    begin = time.monotonic()
    candidates = read_candidates(filenames.CANDIDATES_FILE)
    summary = select_frames_of_candidates(SelectionSettings(**PICKS), 1, candidates).summary
    Path("selection.json").write_text(json.dumps({**summary, "seconds": time.monotonic() - begin}))


def textbook() -> None:
    """Describe all atoms of all frames in one process, and pick greedily with all distances from each pick."""
    from ase.io import read
    from dscribe.descriptors import SOAP

    from aiida_sicmlip.science.labels.labelled_frames import read_labelled_frames

    settings = read_json("settings.json", "settings")
    structure = read("structure.extxyz")
    frames = []
    for path in settings["trajectories"]:
        frames += frames_of_dcd(path, structure.get_chemical_symbols(), structure.cell.array, None)
    soap = SOAP(species=["C", "Si"], r_cut=5.0, n_max=8, l_max=6, sigma=0.5, average="outer", periodic=True)
    rows = soap.create(frames, n_jobs=1)
    known = soap.create(read_labelled_frames(settings["labelled"]), n_jobs=1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    nearest = (1 - rows @ known.T).min(axis=1)
    for _ in range(PICKS["n_training"] + PICKS["n_validation"]):
        pick = int(nearest.argmax())
        nearest = np.minimum(nearest, 1 - rows @ rows[pick])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("benchmark"), help="where trajectories and files are kept")
    parser.add_argument("--frames", type=int, nargs="+", default=[10000, 100000], help="sizes of the pool, ascending")
    parser.add_argument("--cells", type=int, default=3, help="cubic cells along each edge")
    parser.add_argument("--segments", type=int, default=4, help="trajectories of a pool")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes that describe frames")
    parser.add_argument("--output", type=Path, default=Path("selection.json"), help="file of the numbers")
    parser.add_argument("--select", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--textbook", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.select or options.textbook:
        (select if options.select else textbook)()
        return 0
    output, folder = options.output.resolve(), options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder, options.cells, options.segments)
    pools = {count: bench.trajectories(count) for count in options.frames}
    known = bench.labelled(bench.trajectories(2 * N_LABELLED, first_seed=101), folder / "labelled.npz")
    report: dict[str, Any] = {
        "machine": {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "versions": {name: metadata.version(name) for name in ("aiida-sicmlip", "dscribe", "numpy", "scikit-learn")},
        "atoms": len(bench.atoms),
        "pools": {},
    }
    for count, segments in pools.items():
        entry = {"package": bench.run_package(segments, known, options.processes)}
        if count == min(pools):
            entry["textbook"] = bench.run_textbook(segments, known)
            entry["ratio"] = entry["textbook"]["seconds"] / entry["package"]["seconds"]
        report["pools"][count] = entry
        for name in ("package", "textbook"):
            if name in entry:
                print(
                    f"{count:7d} frames  {name:9s} {entry[name]['seconds']:8.1f} s  {entry[name]['memory_gb']:5.2f} GB",
                    flush=True,
                )
    output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"Numbers in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
