"""Protocols: every one complete, as it is written down, and good for a run.

With `SICMLIP_KEEP_SNAPSHOTS=1` in the environment, the settings of today replace those that are written down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.evaluation.convergence import ConvergenceCriteria
from aiida_sicmlip.science.selection.settings import SelectionSettings
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain
from aiida_sicmlip.workflows.active_learning.plan import plan
from aiida_sicmlip.workflows.protocols.loop import load_protocol, merge, protocol_descriptions

CRYSTAL = {"crystal": "zincblende", "species": ["Si", "C"], "lattice_constant": 4.416}
SNAPSHOTS = Path(__file__).parents[1] / "snapshots"


@pytest.mark.parametrize("name", protocol_descriptions())
def test_complete_settings_are_those_written_down(name: str) -> None:
    text = yaml.safe_dump(load_protocol(name))
    path = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get("SICMLIP_KEEP_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", protocol_descriptions())
def test_every_protocol_makes_a_valid_run(name: str, ready: dict[str, str]) -> None:
    settings = load_protocol(name, {"codes": ready, "labelling": {"pseudo_family": "sicmlip"}})
    builder = checked_builder(settings)
    assert builder.process_class is ActiveLearningWorkChain
    assert protocol_descriptions()[name]
    further = sum(part is not None for part in (settings["final_run"], settings["exploration"]["ramp"]))
    assert len(plan(settings)) == 7 + further


def test_a_step_may_have_a_code_of_its_own(ready: dict[str, str], generate_code: Callable[..., Any]) -> None:
    own = generate_code("sicmlip.training", "sicmlip-gpu").full_label
    named = {"training": own, "descriptors": own, "compilation": None}
    builder = checked_builder(load_protocol("demo", {"codes": {**ready, **named}}), store=False)
    assert builder.training.training.code.full_label == own
    assert builder.descriptors.code.full_label == own
    for step in (builder.training.compilation, builder.training.evaluation, builder.exploration.variables):
        assert step.code.full_label == ready["sicmlip"]
    with pytest.raises(InputError, match=r"`codes\.training` is `nowhere`, which does not exist"):
        checked_builder(load_protocol("demo", {"codes": {**ready, "training": "nowhere"}}), store=False)
    with pytest.raises(InputError, match=r"`codes\.trainings` is not a known setting\. Did you mean `training`"):
        load_protocol("demo", {"codes": {"trainings": own}})


def test_inputs_are_those_of_the_settings(ready: dict[str, str]) -> None:
    settings = {"codes": ready, "seed": 5, "exploration": {"parameters": {"temperature": 700.0}}}
    builder = ActiveLearningWorkChain.get_builder_from_protocol("demo", settings)
    selection = SelectionSettings(n_training=8, n_validation=4, separation=0.05, max_force=30.0)
    assert builder.seed.value == 5
    assert builder.max_rounds.value == 2
    without = dict.fromkeys(("migrating_force_mae", "surroundings_force_mae", "rare_event_score"))
    assert builder.convergence.get_dict() == ConvergenceCriteria(**without).to_dict()
    assert builder.exploration.walkers.value == 2
    parameters = builder.exploration.walker.exploration.parameters.get_dict()
    assert (parameters["temperature"], parameters["production"]) == (700.0, 0.6)
    assert builder.selection.parameters.get_dict() == selection.to_dict()
    assert builder.exploration.walker.exploration.code.full_label == ready["lammps"]
    assert builder.labelling.pw.pw.code.full_label == ready["pw"]
    for step in ("training", "compilation", "evaluation"):
        assert builder.training[step].code.full_label == ready["sicmlip"]
    assert builder.bootstrap_potential.pair_style == "edip/multi"
    assert sorted(builder.structures) == ["divacancy"]
    assert builder.structures["divacancy"].get_formula() == "C7Si7"


def test_labelling_is_a_neutral_triplet_at_gamma(ready: dict[str, str]) -> None:
    pw = ActiveLearningWorkChain.get_builder_from_protocol("demo", {"codes": ready}).labelling.pw
    system = pw.pw.parameters["SYSTEM"]
    assert (system["nspin"], system["tot_magnetization"], system["ecutwfc"]) == (2, 2.0, 30.0)
    assert "tot_charge" not in system
    assert pw.kpoints.get_kpoints_mesh()[0] == [1, 1, 1]
    assert pw.pw.settings.get_dict() == {"GAMMA_ONLY": True}
    assert sorted(pw.pw.pseudos) == ["C", "Si"]
    assert "settings" not in ActiveLearningWorkChain.get_builder_from_protocol(
        "demo", {"codes": ready, "labelling": {"gamma_only": False}}
    ).labelling.pw.pw._inputs(prune=True)


def test_start_structures_have_a_creator_and_checks_leave_nothing(ready: dict[str, str]) -> None:
    def count() -> int:
        return orm.QueryBuilder().append(orm.Node).count()

    settings = load_protocol("demo", {"codes": ready})
    before = count()
    checked_builder(settings, store=False)
    assert count() == before
    structure = checked_builder(settings).structures["divacancy"]
    assert structure.creator.process_label == "build_defect_structure"
    assert structure.creator.inputs.host["repeats"] == [2, 2, 2]


def test_structures_of_the_user_stand_alone(ready: dict[str, str]) -> None:
    own = {"host": {**CRYSTAL, "repeats": [2, 2, 2]}, "defects": [{"kind": "vacancy", "species": "C"}]}
    settings = load_protocol("demo", {"codes": ready, "structures": {"carbon_vacancy": own}})
    assert list(settings["structures"]) == ["carbon_vacancy"]
    assert checked_builder(settings).structures["carbon_vacancy"].get_formula() == "C31Si32"


def test_stored_structure_and_potential_are_taken_as_they_are(
    ready: dict[str, str], divacancy: Any, generate_compiled_potential: Callable[..., Any]
) -> None:
    structure = orm.StructureData(ase=divacancy).store()
    potential = generate_compiled_potential()
    overrides = {
        "codes": ready,
        "structures": {"mine": {"node": structure.pk, "host": {**CRYSTAL, "repeats": [2, 2, 2], "cell": "primitive"}}},
        "bootstrap": {"node": str(potential.uuid)},
    }
    builder = checked_builder(load_protocol("demo", overrides))
    assert len(builder.hosts["mine"].sites) == 16 and builder.hosts["mine"].creator is not None
    assert builder.structures["mine"].uuid == structure.uuid
    assert builder.bootstrap_potential.uuid == potential.uuid


def test_merge_changes_neither() -> None:
    base, top = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": {"f": 5}}
    assert merge(base, top) == {"a": {"b": 4, "c": 2}, "d": 3, "e": {"f": 5}}
    assert (base, top) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": {"f": 5}})


def test_default_protocol_and_unknown_one() -> None:
    assert load_protocol() == load_protocol("moderate")
    with pytest.raises(InputError, match=r"`dema` is not a protocol. Did you mean `demo`"):
        load_protocol("dema")


def test_file_and_assignments(write_settings: Callable[..., str]) -> None:
    path = write_settings({"max_rounds": 4, "exploration": {"walkers": 3}})
    settings = read_settings(path, ("exploration.walkers=5", "labelling.parameters.SYSTEM.ecutwfc=35.0"))
    assert settings["max_rounds"] == 4
    assert settings["exploration"]["walkers"] == 5
    assert settings["labelling"]["parameters"]["SYSTEM"]["ecutwfc"] == 35.0
    assert settings["labelling"]["parameters"]["SYSTEM"]["ecutrho"] == 240.0


def test_free_exploration_needs_nothing_to_learn_with(ready: dict[str, str]) -> None:
    """`exploration.bias: null` leaves variables and their code out; the plan says that walkers are free."""
    codes = {**ready, "collective_variables": "missing@nowhere"}
    settings = load_protocol("demo", {"codes": codes, "exploration": {"bias": None, "monitor": None}})
    builder = checked_builder(settings, store=False)
    inputs = builder._inputs(prune=True)["exploration"]
    assert "bias" not in inputs["walker"]["exploration"] and "monitors" not in inputs["walker"]["exploration"]
    assert "variables" not in inputs and "parameters" not in inputs.get("unbiased", {})
    assert not any("Collective variables" in line for line in plan(settings))
    with pytest.raises(InputError, match=r"`codes\.collective_variables` is `missing@nowhere`, which does not exist"):
        checked_builder(load_protocol("demo", {"codes": codes}), store=False)


def test_biased_exploration_has_all_that_it_needs(ready: dict[str, str]) -> None:
    """Settings of unbiased runs are those of the walkers but for what they say themselves."""
    overrides = {
        "codes": {**ready, "lammps": {"code": ready["lammps"], "switches": ["-k", True, "g", 1]}},
        "exploration": {
            "parameters": {"damping": 0.05, "restart_interval": 0.06},
            "filter": {"max_force": 30.0},
            "options": {"max_wallclock_seconds": 600},
        },
    }
    inputs = checked_builder(load_protocol("demo", overrides), store=False)._inputs(prune=True)
    exploration = inputs["exploration"]
    run = exploration["walker"]["exploration"]
    assert run["switches"].get_list() == ["-k", "on", "g", "1"]
    assert run["monitors"]["blown_up"]["entry_point"] == "sicmlip.blown_up"
    assert run["bias"]["barrier"] == 0.5
    unbiased = exploration["unbiased"]["parameters"].get_dict()
    assert (unbiased["damping"], unbiased["temperature"]) == (0.05, 1500.0)
    assert unbiased["restart_interval"] is None
    assert exploration["filter"].get_dict() == {"min_distance": 1.2, "max_force": 30.0, "energy_window": None}
    assert exploration["variables"]["code"].full_label == ready["sicmlip"]
    assert len(inputs["hosts"]["divacancy"].sites) == len(inputs["structures"]["divacancy"].sites) + 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"bias": {"pace": 0.0005}}, "`exploration.bias.pace` is 0.0005 ps"),
        ({"bias": {"paces": 0.5}}, "`exploration.bias.paces` is not a known setting. Did you mean `pace`"),
        (
            {"collective_variables": {"parameters": {"shels": 2}}},
            "shels` is not a known setting. Did you mean `shells`",
        ),
        ({"parameters": {"restrained_shell": 3}}, "for `structures.divacancy`: "),
        ({"filter": {"max_force": -1.0}}, "`exploration.filter.max_force` is -1.0; give a number above zero"),
        ({"monitor": {"rows": 0}}, "`exploration.monitor.rows` is 0"),
        ({"unbiased": {"parameters": {"temperature": 0}}}, "temperature` is 0; give a number above zero"),
        ({"options": {"gpus_per_node": 1}}, "`exploration.options.gpus_per_node` is for Slurm"),
        ({"parameters": {"retrieve_trajectory": False}}, "retrieve_trajectory"),
    ],
)
def test_exploration_that_cannot_run(ready: dict[str, str], overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        checked_builder(load_protocol("demo", {"codes": ready, "exploration": overrides}), store=False)
    assert message in str(caught.value)


def test_stored_structure_without_its_host_is_told(ready: dict[str, str], divacancy: Any) -> None:
    structure = orm.StructureData(ase=divacancy).store()
    overrides = {"codes": ready, "structures": {"mine": {"node": structure.pk}}}
    with pytest.raises(InputError, match=r"`hosts\.mine` is missing: the atoms of the collective variables"):
        checked_builder(load_protocol("demo", overrides), store=False)
