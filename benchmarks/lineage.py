"""Time of each question of the lineage, in synthetic graphs of six rounds and of sixty thousand labels.

The graphs are written into profiles of a temporary folder, on SQLite and, where a server can be started or is named, on
PostgreSQL. Each question is asked several times; the first answer, before anything is in a cache, is kept apart.

The time of a lineage is that of its joins, which grow with the labels, and of a few queries for each data set behind
another: it grows with the labels and the rounds, never with the rest of the profile. What depends on a node takes a
dozen queries for each round after it, and one more step for each data set behind another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiida_sicmlip.cli.setup.services import database_settings
from benchmarks.machine import processor
from benchmarks.servers import temporary_postgresql

SIZES = {"six rounds": (6, 360, 40), "sixty thousand labels": (150, 360, 40)}
"""Rounds, and labels of each for the training and the validation set."""


def timed(ask: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Return the time in s of the first answer, the median of the later ones, and their processor time in this process.

    SQLite works in this process: where other programs keep the processor busy, the processor time is what counts.
    """
    seconds, processor_seconds = [], []
    for _ in range(repeats + 1):
        begin, begin_processor = time.perf_counter(), time.process_time()
        ask()
        seconds.append(time.perf_counter() - begin)
        processor_seconds.append(time.process_time() - begin_processor)
    return {
        "first": seconds[0],
        "median": statistics.median(seconds[1:]),
        "processor": statistics.median(processor_seconds[1:]),
    }


def measure(size: tuple[int, int, int], repeats: int) -> dict[str, Any]:
    """Write a run into the profile that is loaded and time each question."""
    from aiida import orm

    from aiida_sicmlip.tools.datasets import origins_of_dataset
    from aiida_sicmlip.tools.lineage import affected_by, lineage_of_model
    from benchmarks.lineage_graph import write_run

    begin = time.perf_counter()
    graph = write_run(*size)
    seconds = time.perf_counter() - begin
    model, dataset = orm.load_node(graph.models[-1]), orm.load_node(graph.training_sets[-1])
    lineage = lineage_of_model(model)
    assert [entry.label for entry in lineage.sets["training"]] == [
        pk for labels in graph.labels for pk in labels[: size[1]]
    ]
    asked: dict[str, Callable[[], Any]] = {
        "lineage of the last model": lambda: lineage_of_model(model),
        "origins of its training set": lambda: origins_of_dataset(dataset),
        "affected by a label of the first round": lambda: affected_by(orm.load_node(graph.labels[0][0])),
        "affected by a label of the last round": lambda: affected_by(orm.load_node(graph.labels[-1][0])),
        "affected by a trajectory of the first round": lambda: affected_by(orm.load_node(graph.trajectories[0][0])),
        "affected by the variables of the first round": lambda: affected_by(orm.load_node(graph.variables[0])),
        "affected by a pseudopotential": lambda: affected_by(orm.load_node(graph.pseudopotential)),
        "affected by the code of all labels": lambda: affected_by(orm.load_node(graph.code)),
        "affected by the first training set": lambda: affected_by(orm.load_node(graph.training_sets[0])),
    }
    counts = {"rounds": size[0], "labels": size[0] * (size[1] + size[2])}
    times = {}
    for name, ask in asked.items():
        times[name] = timed(ask, repeats)
        first, median, busy = times[name].values()
        print(f"  {name:46s} {first:8.2f} s, then {median:8.2f} s, of which {busy:.2f} s busy", flush=True)
    return {**counts, "nodes": graph.n_nodes, "links": graph.n_links, "written_in": seconds, "seconds": times}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["six rounds"], metavar="NAME")
    parser.add_argument("--size", nargs=3, type=int, metavar=("ROUNDS", "TRAINING", "VALIDATION"), help="Another size.")
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--repeats", type=int, default=3, help="Answers after the first.")
    parser.add_argument("--output", type=Path, help="Write all numbers into this JSON file.")
    given = parser.parse_args()
    sizes = {"given": tuple(given.size)} if given.size else {name: SIZES[name] for name in given.sizes}
    report: dict[str, Any] = {"processor": processor(), "graphs": []}
    with tempfile.TemporaryDirectory(prefix="lineage-") as folder, contextlib.ExitStack() as stack:
        # Before AiiDA is imported: the folder of the user is left alone.
        os.environ["AIIDA_PATH"] = folder
        from aiida.manage import get_manager
        from aiida.manage.configuration import create_profile, get_config, load_profile, reset_config

        reset_config()
        config = get_config(create=True)
        for database in given.databases:
            for name, size in sizes.items():
                profile = f"{database}-{len(report['graphs'])}"
                place = Path(folder) / profile
                place.mkdir()
                storage: dict[str, Any] = {"filepath": str(place)}
                if database == "postgresql":
                    try:
                        address = stack.enter_context(temporary_postgresql())
                    except FileNotFoundError as error:
                        print(f"PostgreSQL is left out: {error}.")
                        continue
                    storage = database_settings(address, place / "repository")
                backend = {"sqlite": "core.sqlite_dos", "postgresql": "core.psql_dos"}[database]
                create_profile(
                    config, name=profile, email="benchmark@localhost", storage_backend=backend, storage_config=storage
                )
                load_profile(profile, allow_switch=True)
                print(f"{database}, {name}", flush=True)
                report["graphs"].append({"database": database, "size": name, **measure(size, given.repeats)})
                get_manager().unload_profile()
    if given.output:
        given.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
