"""Further machines that the potentials of a run are compiled for: from its file to its outputs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiida import orm
from aiida.common import AttributeDict

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.workflows.active_learning import steps as steps_module
from aiida_sicmlip.workflows.active_learning.launch import checked_builder
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.active_learning.plan import plan
from aiida_sicmlip.workflows.protocols.loop import load_protocol

PARAMETERS = {"device": "cuda", "gpu_architecture": "9.0", "torch_version": "2.13.0"}


def test_a_runs_file_names_machines(ready):
    machine = {"code": ready["sicmlip"], "parameters": PARAMETERS, "options": {"max_wallclock_seconds": 1800}}
    settings = load_protocol("demo", {"codes": ready, "further_compilations": {"gpu": machine}})
    training = checked_builder(settings, store=False)._inputs(prune=True)["training"]
    given = training["further_compilations"]["gpu"]
    assert given["code"].full_label == ready["sicmlip"]
    assert given["parameters"].get_dict() == {**PARAMETERS, "target": "pair_allegro"}
    assert given["options"].get_dict() == {"max_wallclock_seconds": 1800}
    assert any(line.endswith("each compiled for this machine's codes and for gpu") for line in plan(settings))
    without = checked_builder(load_protocol("demo", {"codes": ready}), store=False)._inputs(prune=True)["training"]
    assert "further_compilations" not in without


@pytest.mark.parametrize(
    ("machines", "words"),
    [
        ({"gpu": {}}, r"`further_compilations.gpu.code` is missing"),
        ({"gpu": "sicmlip@cluster"}, r"`further_compilations.gpu` is 'sicmlip@cluster'; give settings under it"),
        ({"gpu": {"code": "nothing@nowhere"}}, r"`further_compilations.gpu.code` is `nothing@nowhere`"),
        ({"gpu": {"code": "own", "paramters": {}}}, r"`further_compilations.gpu.paramters` is not.*`parameters`"),
        ({"gpu": {"code": "own", "parameters": 3}}, r"`further_compilations.gpu.parameters` is 3; give settings"),
        ({"gpu": {"code": "own", "parameters": {"devise": "cuda"}}}, r"further_compilations.*Did you mean `device`"),
        ({"gpu": {"code": "own", "options": {"gpus_per_node": 1}}}, r"further_compilations.gpu.options.gpus_per_node"),
        ({"my gpu": {"code": "own"}}, r"the name is used as a link label"),
        ([], r"`further_compilations` is \[\]; give a mapping of names to settings"),
    ],
)
def test_machines_that_cannot_be(ready, machines, words):
    if isinstance(machines, dict):
        machines = {
            name: {**entry, "code": ready["sicmlip"]}
            if isinstance(entry, dict) and entry.get("code") == "own"
            else entry
            for name, entry in machines.items()
        }
    with pytest.raises(InputError, match=words):
        checked_builder(load_protocol("demo", {"codes": ready, "further_compilations": machines}), store=False)


def test_the_run_hands_them_out(chain, inputs, monkeypatch, portable_potential, generate_compiled_potential):
    """Those of the last round, beside the potential that they were made from."""
    loop = chain(ActiveLearningWorkChain, inputs)
    loop.setup()
    compiled, for_gpu = generate_compiled_potential(), generate_compiled_potential(cutoff=4.0)
    outputs = {
        "potential": portable_potential,
        "compiled_potential": compiled,
        "further_compilations": {"gpu": for_gpu},
        "evaluations": AttributeDict({"validation": orm.Dict({})}),
    }

    class Outputs(dict):
        __getattr__ = dict.__getitem__

    loop.ctx.training = SimpleNamespace(outputs=Outputs(outputs))
    loop.ctx.evaluation_of_exploring_potential = SimpleNamespace(outputs=SimpleNamespace(results=orm.Dict({})))
    loop.ctx.selection = loop.ctx.new_labels = None
    loop.ctx.seeds = {"next_round": orm.Int(2)}
    verdict = orm.Dict({"converged": True, "criteria": []}).store()
    monkeypatch.setattr(steps_module, "run_once", lambda chain, function, label, **_: verdict)
    loop.run_assessment()
    assert loop.results() is None
    assert loop.outputs["further_compilations"]["gpu"].uuid == for_gpu.uuid
