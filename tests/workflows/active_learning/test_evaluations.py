"""What the loop gives to the evaluation of the exploring potential and to those of the new one."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain


@pytest.fixture
def loop(chain, write_settings):
    """A run of the protocol `demo` that has not begun."""
    instance = chain(ActiveLearningWorkChain, checked_builder(read_settings(write_settings({})))._inputs(prune=True))
    instance.setup()
    return instance


@pytest.mark.parametrize("with_committee", [False, True])
def test_committee_judges_the_potential_that_it_belongs_to(
    loop, generate_dataset, generate_compiled_potential, monkeypatch, with_committee
):
    """The members of the round before stand beside the exploring potential, and never beside the new one."""
    submitted = {}

    def submit(_, process, label, **given):
        submitted[label] = given
        return orm.CalcJobNode().store()

    monkeypatch.setattr("aiida_sicmlip.workflows.active_learning.steps.submit_once", submit)
    members = {"member_01": generate_compiled_potential()} if with_committee else {}
    loop.ctx.round, loop.ctx.committee = 1, members
    loop.ctx.exploring_potential = generate_compiled_potential()
    loop.ctx.seeds = {"training": orm.Int(1)}
    loop.ctx.new_labels = generate_dataset(1)
    loop.ctx.datasets = {name: generate_dataset(1) for name in ("training", "validation")} | {"fixed_validation": None}
    loop.run_training()
    evaluated = submitted["round_01_evaluation_of_exploring_potential"]
    trained = submitted["round_01_training"]["evaluation"]
    assert evaluated["potential"].pk == loop.ctx.exploring_potential.pk
    assert evaluated.get("committee", {}) == members
    assert not trained.get("committee")
    assert list(evaluated["hosts"]) == list(trained["hosts"]) == ["divacancy"]
