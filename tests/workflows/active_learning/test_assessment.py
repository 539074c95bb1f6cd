"""How the loop judges its rounds: what it hands to the assessment, and what it reports."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiida import orm
from aiida.common import AttributeDict

from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain


def errors(force_mae):
    """Return an evaluation of one configuration."""
    single = [force_mae]
    return orm.Dict({"force_mae": force_mae, "energy_mae": 0.01, "n_frames": 1, "force_mae_per_frame": single}).store()


@pytest.fixture
def judge(chain, write_settings, generate_dataset, portable_potential, generate_compiled_potential):
    """Assesses rounds of one run, whose errors are given, under criteria that its settings add."""
    made = {}

    def round_of(criteria, force_mae, frames=2):
        if "loop" not in made:
            forces_alone = {"exploring_force_mae": None, "minimum_rounds": None}
            settings = {"convergence": {**forces_alone, **criteria}}
            given = checked_builder(read_settings(write_settings(settings)))._inputs(prune=True)
            made["loop"] = chain(ActiveLearningWorkChain, given)
            made["loop"].setup()
        loop = made["loop"]
        evaluations = {"training": errors(force_mae), "validation": errors(force_mae)}
        models = {"potential": portable_potential, "compiled_potential": generate_compiled_potential()}
        loop.ctx.evaluation_of_exploring_potential = SimpleNamespace(outputs=SimpleNamespace(results=errors(1.0)))
        loop.ctx.training = SimpleNamespace(outputs=AttributeDict({"evaluations": evaluations, **models}))
        loop.ctx.seeds = {"next_round": orm.Int(2)}
        loop.ctx.selection = orm.Dict({"distances_when_picked": [1e-4, 3e-4], "novelty": None}).store()
        loop.ctx.new_labels = generate_dataset(frames)
        loop.run_assessment()
        loop.next_round()
        return loop.ctx.assessment

    return round_of


def test_defects_of_new_labels_are_counted_from_round_to_round(judge, caplog):
    """The guard of the second round knows the first; every verdict is reported with its number."""
    first = judge({"rounds_without_new_defects": 1}, 0.05)
    assert first.creator.inputs.defect_types.get_dict() == {"V_C + V_Si": 2}
    assert first.creator.inputs.defect_types.creator.process_label == "find_defect_types"
    assert first["new_defect_types"] == ["V_C + V_Si"] and first["converged"] is False
    assert "round 0: rounds without new types of defects is 0, not at least 1" in caplog.text
    second = judge({}, 0.05)
    assert second.creator.inputs.previous.pk == first.pk
    assert second["converged"] is True
    assert "round 1: rounds without new types of defects is 1, at least 1" in caplog.text
    assert "round 1: force MAE on the validation set is 0.05 eV/A, below 0.1" in caplog.text


def test_unknown_criterion_is_reported_with_its_reason(judge, caplog):
    """An evaluation without a score never converges where one is asked for."""
    assessment = judge({"rare_event_score": 0.5}, 0.05)
    assert assessment["converged"] is False
    assert "score on migrating atoms of the validation set: the evaluation gave none" in caplog.text
