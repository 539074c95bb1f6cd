"""Configurations and models with all that led to them, against walks from node to node."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.fit_lennard_jones_prior import fit_lennard_jones_prior
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.labels import round_label
from aiida_sicmlip.common.process_types import TRAINING, TRAINING_BASE, TRAINING_CALCULATION
from aiida_sicmlip.tools.lineage import (
    RoundOfRun,
    configurations_of_dataset,
    lineage_of_model,
    model_of_potential,
)
from tests.graphs.datasets import Learned
from tests.graphs.explorations import Explored


@pytest.fixture
def learned(aiida_profile_clean, divacancy, variables, generate_label, labelled_frames) -> Learned:
    return Learned(Explored(divacancy, variables), generate_label, labelled_frames(6))


def trained(explored: Explored, potential, caller=None, label: str = "", **inputs):
    """Return a portable model that a training has made of ``inputs``."""
    training = explored.process(orm.CalcJobNode, TRAINING_CALCULATION, caller, label, **inputs)
    made = potential.clone()
    explored.output(training, "potential", made)
    return made


def test_configurations(learned: Learned) -> None:
    found = configurations_of_dataset(learned.datasets[1])
    run = learned.datasets[1].creator.caller
    for place, (entry, label) in enumerate(zip(found, learned.labels, strict=True)):
        calculation = label.creator
        structure = calculation.inputs.structure
        index = place // 2
        candidates = structure.creator.inputs.candidates
        segment, frame = learned.picks[place]
        name = "vv" if place % 2 == 0 else "antisite_pair"
        # The graphs made by hand put all segments under one name.
        trajectory = candidates.creator.inputs.trajectories.vv[f"s{segment:02d}"]
        assert (entry.index, entry.label, entry.calculation) == (place, label.pk, calculation.pk)
        assert entry.code == calculation.inputs.code.pk
        assert entry.level_of_theory == learned.datasets[index].creator.inputs.level_of_theory.pk
        assert (entry.charge, entry.spin, entry.level) == (0, 2, 0)
        assert (entry.structure, entry.selection) == (structure.pk, structure.creator.pk)
        assert entry.origin == RoundOfRun(run.pk, index)
        assert (entry.trajectory, entry.segment, entry.frame) == (trajectory.pk, segment, frame)
        assert (entry.step, entry.time) == (trajectory.steps()[frame], trajectory.times()[frame])
        assert (entry.start, entry.exploration) == (name, trajectory.creator.pk)
        assert (entry.potential, entry.model, entry.collective_variables) == (None, None, None)
        assert entry.added_by == learned.datasets[index].creator.pk


def test_model_in_a_run(learned: Learned, portable_potential, generate_dataset) -> None:
    """The sets of the work chain, the round that called it, a prior, a model before, and interrupted attempts."""
    explored, run = learned.explored, learned.datasets[0].creator.caller
    training_set, validation_set = learned.datasets[1], learned.datasets[0]
    prior = fit_lennard_jones_prior(training_set, orm.Dict({}))
    before = trained(explored, portable_potential, training_set=validation_set, validation_set=validation_set)
    further = generate_dataset(2)
    chain = explored.process(
        orm.WorkChainNode,
        TRAINING,
        run,
        round_label(1, "training"),
        further_sets__fixed_validation=further,
    )
    base = explored.process(orm.WorkChainNode, TRAINING_BASE, chain, "training")
    inputs = {
        "training_set": training_set,
        "validation_set": validation_set,
        "parameters": orm.Dict({"seed": 1}).store(),
        "seed": orm.Int(7).store(),
        "prior": prior,
        "initial_potential": before,
    }
    first = explored.process(orm.CalcJobNode, TRAINING_CALCULATION, base, "iteration_01", **inputs)
    checkpoint = orm.Dict({"step": 3})
    explored.output(first, "checkpoint", checkpoint)
    last = trained(explored, portable_potential, base, "iteration_02", checkpoint=checkpoint, **inputs)
    model = model_of_potential(last)
    assert model.attempts == (first.pk, last.creator.pk)
    assert model.sets == {"training": training_set.pk, "validation": validation_set.pk, "fixed_validation": further.pk}
    assert (model.parameters, model.seed) == (inputs["parameters"].pk, inputs["seed"].pk)
    assert (model.prior, model.prior_fitted_to) == (prior.pk, training_set.pk)
    assert model.initial_potential == before.pk
    assert model.round == RoundOfRun(run.pk, 1)
    lineage = lineage_of_model(last)
    assert lineage.earlier == (model_of_potential(before),)
    assert model_of_potential(before).attempts == (before.creator.pk,)
    assert [entry.index for entry in lineage.sets["training"]] == [0, 1, 2, 3]
    assert [entry.label for entry in lineage.sets["validation"]] == [label.pk for label in learned.labels[:2]]
    assert [entry.label for entry in lineage.sets["fixed_validation"]] == [None, None]


def test_what_has_no_lineage(portable_potential, generate_compiled_potential) -> None:
    with pytest.raises(InputError, match="was not trained in this profile"):
        lineage_of_model(portable_potential)
    with pytest.raises(InputError, match="was not compiled in this profile"):
        lineage_of_model(generate_compiled_potential())
