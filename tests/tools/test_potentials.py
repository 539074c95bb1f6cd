"""Which calculations belong to a potential, asked of graphs that are made by hand."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import EVALUATION, TRAINING_CALCULATION
from aiida_sicmlip.tools.nodes import load
from aiida_sicmlip.tools.potentials import MODELS, evaluations_of_rounds, model_of, read_potential
from tests.graphs.explorations import Explored
from tests.graphs.potentials import EvaluatedPotentials


@pytest.fixture
def evaluated(aiida_profile_clean, divacancy, divacancy_host, variables) -> EvaluatedPotentials:
    return EvaluatedPotentials(Explored(divacancy, variables), divacancy_host)


@pytest.fixture
def chain(evaluated, generate_dataset):
    """A training on four configurations, evaluated on them and on two others."""
    return evaluated.training_chain(generate_dataset(4, seed=1), generate_dataset(2, seed=2))


def test_a_potential_is_found_from_all_that_belongs_to_it(evaluated, chain):
    potential = chain.outputs.potential
    compiled = evaluated.compilation(None, potential).outputs.compiled_potential
    for node in (potential, chain, potential.creator, compiled):
        assert model_of(load(node.pk, MODELS, "MODEL")) == potential


def test_calculations_of_a_potential(evaluated, chain, generate_dataset):
    potential = chain.outputs.potential
    # Another training with the same data has evaluations of its own.
    evaluated.training_chain(potential.creator.inputs.training_set, potential.creator.inputs.validation_set)
    other = generate_dataset(3, seed=5)
    on_gpu = evaluated.compilation(None, potential, device="cuda")
    later = evaluated.evaluation(other, on_gpu.outputs.compiled_potential)
    found = read_potential(potential)
    assert found.trainings == [potential.creator]
    assert [node.outputs.compiled_potential.device for node in found.compilations] == ["cpu", "cuda"]
    assert list(found.evaluations) == ["training", "validation", f"data set <{other.pk}>"]
    assert found.evaluations[f"data set <{other.pk}>"] == later
    for name in ("training", "validation"):
        assert found.evaluations[name].inputs.dataset == potential.creator.inputs[f"{name}_set"]
        assert found.evaluations[name].caller == chain


def test_a_continued_training_has_its_parts_in_order(evaluated, generate_dataset):
    sets = generate_dataset(4, seed=1), generate_dataset(2, seed=2)
    parts, inputs = [], {}
    for _ in range(3):
        parts.append(evaluated.training(None, *sets, **inputs))
        checkpoint = orm.SinglefileData.from_string("state", filename="last.ckpt")
        evaluated.output(parts[-1], "checkpoint", checkpoint)
        inputs = {"checkpoint": checkpoint}
    assert read_potential(parts[-1].outputs.potential).trainings == parts
    assert read_potential(parts[0].outputs.potential).trainings == parts[:1]


def test_a_potential_that_was_not_trained_here(portable_potential):
    found = read_potential(portable_potential)
    assert (found.trainings, found.training, found.compilations, found.evaluations) == ([], None, [], {})


def test_evaluations_of_a_run(evaluated, generate_dataset):
    run = evaluated.explored.run()
    datasets = [generate_dataset(count, seed=count) for count in (4, 2, 5, 3)]
    chains = [evaluated.training_chain(*datasets[:2], run, 0), evaluated.training_chain(*datasets[2:], run, 1)]
    exploring = evaluated.evaluation(
        datasets[2],
        chains[0].outputs.potential.base.links.get_outgoing().first().node.outputs.compiled_potential,
        run,
        "round_01_evaluation_of_exploring_potential",
    )
    found = evaluations_of_rounds(run)
    assert {name: sorted(rounds) for name, rounds in found.items()} == {
        "training": [0, 1],
        "validation": [0, 1],
        "exploring": [1],
    }
    assert found["exploring"][1] == exploring
    assert [found["validation"][index].inputs.dataset for index in (0, 1)] == [datasets[1], datasets[3]]
    assert model_of(load(run.pk, MODELS, "MODEL")) == chains[1].outputs.potential
    assert "new labels of round 1" in read_potential(chains[0].outputs.potential).evaluations


def test_a_training_that_was_called_again_counts_once(evaluated, generate_dataset):
    """After an interruption a step stands twice under its label; the later one counts."""
    run = evaluated.explored.run()
    sets = generate_dataset(4, seed=1), generate_dataset(2, seed=2)
    evaluated.training_chain(*sets, run, 0)
    again = evaluated.training_chain(*sets, run, 0)
    assert evaluations_of_rounds(run)["training"][0].caller == again


def test_what_has_no_potential_is_said(evaluated):
    for node in (evaluated.explored.run(), evaluated.process(orm.CalcJobNode, TRAINING_CALCULATION)):
        with pytest.raises(InputError, match=f"<{node.pk}> has made no potential"):
            model_of(load(node.pk, MODELS, "MODEL"))
    with pytest.raises(InputError, match=r"a sicmlip\.evaluation; give the PK or UUID of a PotentialData"):
        load(evaluated.process(orm.CalcJobNode, EVALUATION).pk, MODELS, "MODEL")
