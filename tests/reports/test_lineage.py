"""The rows of the picture of a lineage, and trees of models that no run has trained."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.common.process_types import TRAINING_CALCULATION
from aiida_sicmlip.reports.lineage import lineage_tree
from aiida_sicmlip.reports.lineage_picture import FIRST, LAST, lineage_rows
from aiida_sicmlip.tools.lineage import lineage_of_model
from benchmarks.lineage_graph import Graph, write_run
from tests.graphs.explorations import Explored

ROUNDS = 10


@pytest.fixture(scope="module")
def graph(aiida_profile) -> Graph:
    aiida_profile.reset_storage()
    return write_run(ROUNDS, 1, 1, walkers=1)


def test_rows_of_a_long_history(graph: Graph) -> None:
    rows, notes = lineage_rows(lineage_of_model(orm.load_node(graph.models[-1])))
    assert len(rows) == FIRST + 1 + LAST
    rounds = [*range(FIRST), None, *range(ROUNDS - LAST, ROUNDS)]
    assert rows[FIRST].title == f"{ROUNDS - FIRST - LAST} more\nrounds" and set(rows[FIRST].boxes) == {None}
    for number, (row, index) in enumerate(zip(rows, rounds, strict=True)):
        if index is None:
            continue
        driving = f"compiled model\n<{graph.compiled[index - 1]}>" if index else f"edip/multi\n<{graph.bootstrap}>"
        assert row.boxes == (
            driving,
            f"trajectory <{graph.trajectories[index][0]}>\nvariables <{graph.variables[index]}>",
            "pw\n1 label",
            f"<{graph.training_sets[index]}>\n{index + 1} in all",
            f"<{graph.models[index]}>",
        )
        # The model drives the next round, where that is drawn.
        follows = number + 1 < len(rows) and rounds[number + 1] == index + 1
        assert row.drives == (number + 1 if follows else None)
    assert notes == [f"Model <{graph.models[-1]}>: validation set <{graph.validation_sets[-1]}>: 1 configuration"]


def test_model_that_no_run_has_trained(
    graph: Graph, divacancy, variables, portable_potential, generate_dataset
) -> None:
    explored = Explored(divacancy, variables)
    dataset = generate_dataset(3)
    before = orm.load_node(graph.models[0])
    training = explored.process(
        orm.CalcJobNode,
        TRAINING_CALCULATION,
        training_set=dataset,
        validation_set=generate_dataset(2, seed=2),
        initial_potential=before,
        seed=orm.Int(5).store(),
    )
    made = portable_potential.clone()
    explored.output(training, "potential", made)
    lineage = lineage_of_model(made)
    rows, notes = lineage_rows(lineage)
    titles = ["outside of\na run", f"round 0\nof run <{graph.run}>", "training"]
    assert [row.title for row in rows] == titles
    assert rows[0].boxes == (None, None, "3 labels", None, None)
    assert rows[2].boxes == (None, None, None, f"<{dataset.pk}>\n3 in all", f"<{made.pk}>")
    assert notes[0].endswith(f"started from the weights of model <{before.pk}>")
    lines = lineage_tree(lineage)
    assert lines[1].endswith(f"<{training.pk}>, seed 5")
    assert "│  └─ outside of a run: 3 configurations, indices 0-2" in lines
    assert "│     └─ given as they are" in lines
    assert f"├─ started from the weights of model <{before.pk}> of round 0" in lines
