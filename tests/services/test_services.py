"""The loop on PostgreSQL and RabbitMQ: it survives kills, and its lineage is that of the same graph on SQLite."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.loop.checks import twins, unfinished
from tests.loop.conftest import settings
from tests.loop.folder import PROFILE, LoopFolder

pytestmark = [pytest.mark.program, pytest.mark.timeout(3000)]

NODES = {
    *("calculation", "code", "dataset", "initial_potential", "label", "level_of_theory", "model", "node", "parameters"),
    *("potential", "prior", "prior_fitted_to", "run", "seed", "selection", "structure", "training", "training_set"),
    *("trajectory", "validation_set", "driver", "variables", "start", "host", "exploration", "added_by"),
}
"""Names under which answers hold PKs, which differ from profile to profile."""
COPY = "copy"
TERSOFF = {"pair_style": "tersoff", "file": "SiC.tersoff", "species": ["Si", "C"]}


def label_by_tersoff(names: list[str]) -> Any:
    """Return a labelling inside its first steps, in the profile that is loaded."""
    from aiida import orm
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
    from aiida_sicmlip.workflows.protocols.labelling import fill_labelling
    from aiida_sicmlip.workflows.protocols.loop import load_protocol
    from tests.crystals import silicon_carbide_host

    given = {"reference": TERSOFF, "max_concurrent": len(names)}
    settings_of_labels = load_protocol("demo", {"labelling": given})["labelling"]
    builder = LabellingWorkChain.get_builder()
    builder.structures = {name: orm.StructureData(ase=silicon_carbide_host(repeats=(1, 1, 1))) for name in names}
    code = orm.load_code("sicmlip@localhost")
    fill_labelling(builder, settings_of_labels, {"reference_label": code}, builder.structures)
    # As the daemon's own runner: children go to the broker.
    runner = get_manager().create_runner(broker_submit=True)
    return instantiate_process(runner, LabellingWorkChain, **builder._inputs(prune=True))


def test_children_that_had_not_begun_are_replaced(services_folder: LoopFolder, switched: Any) -> None:
    """A step that runs again while RabbitMQ holds the tasks of its children: each label is computed once."""
    folder, names = services_folder, ["frame_a", "frame_b", "frame_c"]
    with switched(folder):
        from aiida import orm

        from aiida_sicmlip.workflows.base.reattach import INTERRUPTED

        chain = label_by_tersoff(names)
        with chain._process_scope():
            chain.setup()
            submitted = []
            for _ in range(2):
                chain.ctx.pks, chain.ctx.missing, chain.ctx.active = {}, list(names), []
                chain.run_labels()
                submitted.append(dict(chain.ctx.pks))
        first, second = (list(pks.values()) for pks in submitted)
        assert {orm.load_node(pk).process_status for pk in first} == {INTERRUPTED}
        assert len({*first, *second}) == 2 * len(names)
        # The work chain itself was never handed to the daemon.
        chain.node.set_process_state("killed")
        chain.node.seal()
    before = folder.starts() if folder.submissions.exists() else []
    folder.start_daemon()
    with switched(folder):
        end = time.monotonic() + 300
        while not all(orm.load_node(pk).is_terminated for pk in second):
            assert time.monotonic() < end, folder.command("verdi", "-p", PROFILE, "process", "list", "-a")
            time.sleep(1)
        assert all(orm.load_node(pk).is_finished_ok for pk in second)
        assert all(orm.load_node(pk).is_killed for pk in first)
    assert len(folder.starts()) - len(before) == len(names)


@pytest.fixture(scope="module")
def run(services_folder: LoopFolder) -> tuple[LoopFolder, int]:
    """A run labelled by Tersoff's potential, whose daemon was killed twice: all of it, and its workers."""
    folder = services_folder
    folder.stop_daemon()
    folder.start_daemon()
    given = yaml.safe_load(settings(1))
    del given["structures"]["divacancy"]
    given["exploration"] = {**given["exploration"], "bias": None}
    given["labelling"] = {"reference": TERSOFF}
    pk = folder.submit(yaml.safe_dump(given))
    for part, pause in (("", 8.0), ("daemon worker", 20.0)):
        time.sleep(pause)
        assert "running" in folder.state(pk).splitlines()[0]
        assert folder.kill_daemon(part) >= 1
        if not part:
            folder.start_daemon()
    folder.wait(pk, timeout=2000)
    return folder, pk


def test_killed_daemon_finishes_without_twins(run: tuple[LoopFolder, int], switched: Any) -> None:
    folder, pk = run
    with switched(folder):
        from aiida import orm

        assert orm.load_node(pk).exit_status in (0, 701), folder.report(pk)
        assert twins() == {}
        assert unfinished() == []
    assert {place: count for place, count in Counter(folder.starts()).items() if count > 1} == {}


def answers(folder: LoopFolder, profile: str, model: str, others: list[str]) -> list[Any]:
    """Return what the commands say of the lineage of a model and of what depends on other nodes, without PKs."""
    read = f"from aiida import load_profile, orm; load_profile('{profile}'); import json; "
    read += "print(json.dumps(orm.QueryBuilder().append(orm.Node, project=['id', 'uuid']).all()))"
    uuids = dict(json.loads(folder.command("python", "-c", read).splitlines()[-1]))
    asked = [("lineage", model), *(("affected-by", other) for other in others)]
    found = []
    for command, node in asked:
        printed = folder.command("aiida-sicmlip", command, node, "--json", "-p", profile)
        found.append(without_pks(json.loads(printed), uuids))
    return found


def without_pks(value: Any, uuids: dict[int, str], name: str = "") -> Any:
    """Return ``value`` with UUIDs instead of PKs, and in an order that does not hang on these."""
    if isinstance(value, dict):
        inner = "training_set" if name == "further_sets" else ""
        return {key: without_pks(entry, uuids, inner or key) for key, entry in value.items()}
    if isinstance(value, list):
        entries = [without_pks(entry, uuids, "node" if name == "legs" else name) for entry in value]
        # These stand in the order of their PKs, which an archive does not keep.
        return sorted(entries, key=lambda entry: entry["dataset_uuid"]) if name == "datasets" else entries
    return uuids.get(value, value) if name in NODES and isinstance(value, int) else value


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Return where two answers differ, with both values."""
    if type(one) is type(other) and isinstance(one, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{place}.{key}")]
    if type(one) is type(other) and isinstance(one, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for index, pair in pairs for found in differences(*pair, f"{place}[{index}]")]
    return [] if one == other else [f"{place}: {one!r} and {other!r}"]


def test_lineage_is_the_same_on_sqlite(run: tuple[LoopFolder, int], switched: Any, tmp_path: Path) -> None:
    """The graph goes through an archive into a profile on SQLite; all answers are those of PostgreSQL."""
    folder, pk = run
    with switched(folder):
        from aiida import orm

        from aiida_sicmlip.tools.lineage import lineage_of_model

        node = orm.load_node(pk)
        potential = node.outputs.potential
        first = lineage_of_model(potential).sets["training"][0]
        kinds = [first.label, first.trajectory, first.structure, first.code, node.outputs.training_set.pk]
        model, others = potential.uuid, [orm.load_node(one).uuid for one in kinds]
    archive = str(tmp_path / "all.aiida")
    folder.command("verdi", "-p", PROFILE, "archive", "create", "--all", archive)
    folder.command("aiida-sicmlip", "setup", "-p", COPY)
    folder.command("verdi", "-p", COPY, "archive", "import", archive)
    here, there = (answers(folder, profile, model, others) for profile in (PROFILE, COPY))
    assert len(here[0]["sets"]["training"]["configurations"]) == 4
    # The last data set has come into no other one.
    assert all([one["model_uuid"] for one in answer["models"]] == [model] for answer in here[1:])
    assert [bool(answer["datasets"]) for answer in here[1:]] == [True] * 4 + [False]
    assert differences(here, there) == []
