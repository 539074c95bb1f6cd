"""Several start structures and temperatures in one run: settings, walkers, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.plan import plan
from aiida_sicmlip.workflows.exploration import walkers as walkers_module
from aiida_sicmlip.workflows.exploration.exploration import ExplorationWorkChain
from aiida_sicmlip.workflows.protocols.loop import load_protocol

TEMPLATE = Path(__file__).parents[3] / "docs" / "how-to" / "templates" / "reference.yaml"
CRYSTAL = {"crystal": "zincblende", "species": ["Si", "C"]}
SMALL = {
    "host": {**CRYSTAL, "lattice_constant": 4.416, "repeats": [2, 2, 2], "cell": "primitive"},
    "defects": [{"kind": "divacancy"}],
}
LARGE = {**SMALL, "host": {**CRYSTAL, "lattice_constant": 4.416, "repeats": [2, 2, 2], "cell": "conventional"}}


def settings_of(codes: dict[str, str], structures: dict[str, Any], **exploration: Any) -> dict[str, Any]:
    return load_protocol("demo", {"codes": codes, "structures": structures, "exploration": exploration})


@pytest.fixture
def settings(ready: dict[str, str]) -> dict[str, Any]:
    """Two cells: one at the two temperatures of all, the other at one of its own with another time."""
    own = {"temperature": 900.0, "production": 0.4, "damping": 0.05}
    return settings_of(ready, {"small": SMALL, "large": {**LARGE, "exploration": own}}, temperatures=[500.0, 800.0])


def test_settings_become_parameters_of_walkers(settings: dict[str, Any]) -> None:
    exploration = checked_builder(settings, store=False)._inputs(prune=True)["exploration"]
    own = {
        name: {way: node.get_dict() for way, node in conditions.items()}
        for name, conditions in exploration["walker_parameters"].items()
    }
    assert {name: sorted(conditions) for name, conditions in own.items()} == {
        "small": ["condition_00", "condition_01"],
        "large": ["condition_00"],
    }
    assert [own["small"][way]["temperature"] for way in ("condition_00", "condition_01")] == [500.0, 800.0]
    assert own["small"]["condition_00"]["production"] == 0.6
    assert (own["large"]["condition_00"]["temperature"], own["large"]["condition_00"]["production"]) == (900.0, 0.4)
    # Unbiased runs are as hot as they are for all; what else the structure says holds for them too, unless they say
    # otherwise.
    assert sorted(exploration["unbiased_parameters"]) == ["large"]
    unbiased = exploration["unbiased_parameters"]["large"].get_dict()
    assert (unbiased["temperature"], unbiased["production"], unbiased["damping"]) == (1500.0, 2.0, 0.05)
    text = "\n".join(plan(settings))
    assert "6 walkers of 0.6, 0.8 ps at 500, 800, 900 K" in text
    assert f"{4 * 61 + 2 * 41} frames" in text


def test_one_temperature_changes_nothing(ready: dict[str, str]) -> None:
    """A run that does not ask for several conditions has the inputs that it always had."""
    exploration = checked_builder(load_protocol("demo", {"codes": ready}), store=False)._inputs(prune=True)[
        "exploration"
    ]
    assert "walker_parameters" not in exploration and "unbiased_parameters" not in exploration


def test_shown_settings_can_be_given_again(settings: dict[str, Any]) -> None:
    assert "temperature" not in settings["exploration"]["parameters"]
    assert load_protocol("demo", settings) == settings


@pytest.mark.parametrize(
    ("exploration", "own", "words"),
    [
        (
            {"temperatures": 500.0},
            {},
            "`exploration.temperatures` is 500.0; give a list of different numbers",
        ),
        ({"temperatures": []}, {}, "`exploration.temperatures` is []; give a list"),
        (
            {"temperatures": [500.0, -1]},
            {},
            "`exploration.temperatures` is [500.0, -1]; give a list of",
        ),
        ({"temperatures": [500.0, 500.0]}, {}, "is [500.0, 500.0]; give a list of different numbers"),
        (
            {"temperatures": [500.0], "parameters": {"temperature": 600.0}},
            {},
            "`exploration.temperatures` and `exploration.parameters.temperature` are both given",
        ),
        ({}, {"temperture": 500.0}, "`structures.small.exploration.temperture` is not a known setting. Did you mean"),
        ({}, {"temperature": 500.0, "temperatures": [600.0]}, "has `temperature` and `temperatures`; remove one"),
        ({}, {"temperatures": "hot"}, "`structures.small.exploration.temperatures` is 'hot'; give a list"),
        ({}, [500.0], "`structures.small.exploration` is [500.0]; give settings under it"),
        ({}, {"temperature": 0}, "`structures.small.exploration.temperature` is 0"),
        ({}, {"restrained_shell": 9}, "for `structures.small`: "),
        ({}, {"production": 0.02}, "but exploration gives 6 frames, of which at most 2 are"),
        ({}, {"retrieve_trajectory": False}, "retrieve_trajectory"),
    ],
)
def test_ways_that_cannot_run(
    write_settings: Callable[..., str], exploration: dict[str, Any], own: Any, words: str
) -> None:
    structures = {"small": {**SMALL, "exploration": own}} if own else {"small": SMALL}
    with pytest.raises(InputError) as caught:
        checked_builder(
            read_settings(write_settings({"structures": structures, "exploration": exploration})), store=False
        )
    assert words in str(caught.value)


def test_template_of_a_study(ready: dict[str, str]) -> None:
    """The file of the documentation is in order, with the three temperatures in both cells."""
    settings = read_settings(str(TEMPLATE))
    settings["codes"] = {**ready, "pw": "pw@nowhere"}
    builder = checked_builder(settings, store=False)
    assert {name: len(node.sites) for name, node in builder.structures.items()} == {"vv62": 62, "vv214": 214}
    conditions = builder._inputs(prune=True)["exploration"]["walker_parameters"]
    for name, production in (("vv62", 100.0), ("vv214", 50.0)):
        assert [way["temperature"] for _, way in sorted(conditions[name].items())] == [1000.0, 1500.0, 2000.0]
        assert {way["production"] for way in conditions[name].values()} == {production}
    assert (builder.bootstrap_potential.pair_style, builder.labelling.reference.potential.pair_style) == (
        "tersoff",
        "edip/multi",
    )


def test_frames_are_counted_way_by_way(write_settings: Callable[..., str]) -> None:
    """2 walkers at two temperatures of 0.6 ps with a frame each 0.01 ps give 244 frames."""
    settings = {"exploration": {"temperatures": [500.0, 600.0]}, "selection": {"parameters": {"n_training": 500}}}
    with pytest.raises(InputError, match="but exploration gives 244 frames"):
        checked_builder(read_settings(write_settings(settings)), store=False)


def test_settings_of_a_structure_that_there_is_not(ready: dict[str, str]) -> None:
    builder = checked_builder(load_protocol("demo", {"codes": ready}), store=False)
    builder.exploration.walker_parameters = {"divacency": {"condition_00": orm.Dict({})}}
    problem = builder._process_class.spec().inputs.validate(builder._inputs(prune=True))
    assert (
        "`walker_parameters.divacency` is not the name of a start structure. Did you mean `divacancy`"
        in problem.message
    )


def test_walkers_of_each_structure_at_each_temperature(
    chain: Callable[..., Any], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each walker takes the parameters of its way, and a seed of its own; unbiased runs take theirs."""
    inputs = checked_builder(settings)._inputs(prune=True)
    given = {key: inputs[key] for key in ("structures", "hosts")}
    given |= {**inputs["exploration"], "potential": inputs["bootstrap_potential"], "seed": orm.Int(1)}
    instance = chain(ExplorationWorkChain, given)
    submitted: dict[str, Any] = {}

    def submit(workchain: Any, process: Any, label: str, **run: Any) -> orm.WorkChainNode:
        submitted[label] = run["exploration"]
        return orm.WorkChainNode().store()

    monkeypatch.setattr(walkers_module, "submit_once", submit)
    instance.setup()
    instance.prepare_unbiased()
    instance.ctx.window_size = 100
    instance.run_unbiased()
    names = {node.uuid: name for name, node in given["structures"].items()}
    unbiased_runs = [(names[run["structure"].uuid], run["parameters"]["damping"]) for run in submitted.values()]
    assert Counter(unbiased_runs) == {("large", 0.05): 2, ("small", 0.1): 2}
    instance.ctx.variables = dict.fromkeys(given["structures"])
    instance.out = lambda *_: None
    submitted.clear()
    instance.prepare_walkers()
    instance.ctx.window_size = 100
    instance.run_walkers()
    assert sorted(submitted) == [f"walker_{index:02d}" for index in range(6)]
    runs = [(names[run["structure"].uuid], run["parameters"]["temperature"]) for run in submitted.values()]
    assert Counter(runs) == {("large", 900.0): 2, ("small", 500.0): 2, ("small", 800.0): 2}
    assert len({run["seed"].value for run in submitted.values()}) == 6
    # The parameters are the user's own nodes, which nothing in between has copied: no step of the ramp was run.
    own = given["walker_parameters"]["small"]["condition_01"]
    assert sum(run["parameters"].uuid == own.uuid for run in submitted.values()) == 2


@pytest.mark.parametrize(("number", "share"), [(0, 0.5), (1, 0.75), (2, 1.0), (5, 1.0)])
def test_walkers_of_first_rounds_are_driven_less(
    chain: Callable[..., Any], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, number: int, share: float
) -> None:
    """At a share of each temperature and of the barrier, which a calcfunction sets; unbiased runs are as ever."""
    settings["exploration"]["ramp"] = {"first": 0.5, "rounds": 3}
    inputs = checked_builder(settings)._inputs(prune=True)
    given = {key: inputs[key] for key in ("structures", "hosts")}
    given |= {**inputs["exploration"], "potential": inputs["bootstrap_potential"], "seed": orm.Int(1)}
    instance = chain(ExplorationWorkChain, {**given, "round_number": orm.Int(number)})
    submitted: dict[str, Any] = {}
    monkeypatch.setattr(
        walkers_module,
        "submit_once",
        lambda chain, process, label, **run: (
            submitted.update({label: run["exploration"]}) or orm.WorkChainNode().store()
        ),
    )
    monkeypatch.setattr(instance, "out", lambda *_: None)
    instance.setup()
    instance.prepare_unbiased()
    instance.ctx.window_size = 100
    instance.run_unbiased()
    assert {run["parameters"]["temperature"] for run in submitted.values()} == {1500.0}
    submitted.clear()
    instance.ctx.variables = dict.fromkeys(given["structures"])
    # Repeated after an interruption, the step finds what it did before.
    instance.run_ramp()
    instance.run_ramp()
    instance.prepare_walkers()
    instance.ctx.window_size = 100
    instance.run_walkers()
    assert Counter(run["parameters"]["temperature"] for run in submitted.values()) == {
        500.0 * share: 2,
        800.0 * share: 2,
        900.0 * share: 2,
    }
    assert {run["bias"]["barrier"] for run in submitted.values()} == {0.5 * share}
    creators = {run[name].creator for run in submitted.values() for name in ("parameters", "bias")}
    if share == 1.0:
        assert creators == {None}
    else:
        (creator,) = creators
        assert creator.process_label == "ramp_exploration" and creator.inputs.round_number.value == number


def test_the_plan_tells_of_the_ramp(ready: dict[str, str]) -> None:
    said = "\n".join(plan(load_protocol("moderate", {"codes": ready})))
    assert (
        "Ramp: 60 %, 80 % of the temperature and the barrier in the first rounds, all of both from round 2 on" in said
    )
    assert "Ramp" not in "\n".join(plan(load_protocol("paper", {"codes": ready})))
