"""Invalid inputs of a run are refused with one message, before anything is submitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.plan import plan


def nested(name: str, value: Any) -> dict[str, Any]:
    """Return the settings in which the dotted ``name`` has ``value``."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def refusal(path: str, *assignments: str) -> str:
    """Return the message with which the settings of a file are refused."""
    with pytest.raises(InputError) as caught:
        checked_builder(read_settings(path, assignments), store=False)
    message = str(caught.value)
    assert "Traceback" not in message
    assert "<class" not in message
    return message


WRONG = [
    # Codes and pseudopotentials
    ("codes.pw", "pw@localhst", "`codes.pw` is `pw@localhst`, which does not exist. Did you mean `pw@localhost`"),
    ("codes.pw", 999999, "`codes.pw` is `999999`, which does not exist."),
    ("codes.pw", ["pw"], "`codes.pw` is ['pw']; give the label, PK or UUID of a code"),
    ("labelling.pseudo_family", "sicmlp", "`labelling.pseudo_family` is `sicmlp`, which does not exist. Did you mean"),
    # What the potentials can and cannot
    ("bootstrap.species", ["Si"], "knows the species Si, but the structure C7Si7 holds C too; use a potential"),
    ("bootstrap.species", "SiC", "`bootstrap.species` is 'SiC'; give a list"),
    ("bootstrap.species", ["Sx"], "`bootstrap.species` is ['Sx']; give a list of chemical symbols"),
    ("bootstrap.file", "SiC.edop", "`SiC.edop` is neither a file here nor one of LAMMPS. Did you mean `SiC.edip`"),
    ("bootstrap.pair_style", "edip/none", "`bootstrap` does not describe a LAMMPS potential"),
    ("bootstrap.node", 999999, "`bootstrap.node` is 999999, and no node is called that; give the PK or UUID of a"),
    ("bootstrap.node", [1], "`bootstrap.node` is [1]; give a PK or UUID"),
    ("training.parameters.model.cutoff", 0, "is 0; give a number above zero, in A"),
    ("training.parameters.model.cutoff", -5.0, "is -5.0; give a number above zero, in A"),
    ("training.parameters.model.cutoff", "five", "is 'five'; give a number above zero, in A"),
    ("training.parameters.model.cutoff", 1.8, "is 1.8 A, but the nearest atoms of `structures.divacancy` are 1.91 A"),
    ("compilation.parameters.target", "ase", "`compilation.parameters.target` must be `pair_allegro` here"),
    ("compilation.parameters.torch_version", 2.13, "`compilation.parameters.torch_version` is 2.13; give text"),
    # Counts
    *[
        (name, value, f"is {value}; give ")
        for name in ("max_rounds", "exploration.walkers", "labelling.max_concurrent")
        for value in (0, -1)
    ],
    *[
        (
            f"selection.parameters.{name}",
            value,
            f"`selection.parameters.{name}` is {value}; give a whole number",
        )
        for name in ("n_training", "n_validation")
        for value in (0, -1)
    ],
    ("seed", 0, "`seed` is 0; give a whole number of at least 1"),
    (
        "labelling.allowed_failed_fraction",
        1.0,
        "`allowed_failed_fraction` is 1.0; give a number of at least 0",
    ),
    ("labelling.max_force", 0.0, "`labelling.max_force` is 0.0; give a number above zero"),
    ("labelling.max_force", "20 eV", "`labelling.max_force` is '20 eV'; give a number"),
    ("convergence.force_mae", 0.0, "`convergence.force_mae` is 0.0; give a number above zero"),
    ("labelling.max_replacements", -1, "`labelling.max_replacements` is -1; give a whole number of at least 0"),
    ("budget.labels", 1, "`budget.labels` is 1, but a first round labels at least one configuration for training"),
    ("budget.gpu_hours", -1, "`budget.gpu_hours` is -1; give a number above zero"),
    ("budget.gpu_hour", 5, "`budget.gpu_hour` is not a known setting. Did you mean `gpu_hours`"),
    ("convergence.novelty", "low", "`convergence.novelty` is 'low'; give a number"),
    ("convergence.rare_event_score", 2, "`convergence.rare_event_score` is 2; give a number above zero and at most 1"),
    (
        "convergence.minimum_round",
        2,
        "`convergence.minimum_round` is not a known setting. Did you mean `minimum_rounds",
    ),
    (
        "exploration.parameters.production",
        -0.6,
        "`exploration.parameters.production` is -0.6; give a number above zero",
    ),
    # Start structures
    ("structures", {}, "`structures` is empty; give at least one start structure"),
    ("structures", ["divacancy"], "`structures` is ['divacancy']; give a mapping of names"),
    ("structures", {"my structure": {"node": 1}}, "`structures.my structure` is not a valid name"),
    ("structures", {"x": 5}, "`structures.x` is 5; give settings under it: node, host"),
    ("structures", {"x": {"node": 999999}}, "`structures.x.node` is 999999, and no node is called that"),
    ("structures.divacancy.defect", [], "`structures.divacancy.defect` is not a known setting. Did you mean `defects`"),
    ("structures.divacancy.defects", "divacancy", "`structures.divacancy.defects` is 'divacancy'; give a list"),
    (
        "structures.divacancy.defects",
        [{"kind": "divacanci"}],
        "defects[0].kind` is 'divacanci'. Did you mean `divacancy`",
    ),
    ("structures.divacancy.defects", [{"kind": "vacancy", "species": "N"}], "needs a site of 'N', but the host holds"),
    ("structures.divacancy.defects", ["divacancy"], "`defects[0].name` is 'divacancy', which is no name of a defect"),
    ("structures.divacancy.defects", [{"kind": "vacancy", "species": "C", "count": 99}], "finds no free site"),
    ("structures.divacancy.host.repeat", 2, "`structures.divacancy.host.repeat` is not a known setting. Did you mean"),
    ("structures.divacancy.host.repeats", 2, "`structures.divacancy.host.repeats` is 2; give three whole"),
    ("structures.divacancy.host.repeats", [2, 2], "`structures.divacancy.host.repeats` is [2, 2]; give three whole"),
    ("structures.divacancy.host.crystal", "zinkblende", "host.crystal` is 'zinkblende'; give `zincblende`, `diamond`"),
    (
        "structures.divacancy.host.crystal",
        "diamond",
        "`structures.divacancy.host.species` is ['Si', 'C']; diamond needs",
    ),
    (
        "structures",
        {"x": {"host": {"lattice_constant": 4.4}, "defects": []}},
        "`structures.x.host.crystal` is missing; give `zincblende`, `diamond`",
    ),
    ("structures.divacancy.host.repeats", [2, "2", 2], "give three whole numbers"),
    ("structures.divacancy.host.lattice_constant", "4.4 A", "lattice_constant` is '4.4 A'; give a number"),
    ("structures.divacancy.host.lattice_constant", 2.0, "are 0.87 A apart and overlap; correct the start structure"),
    ("structures.divacancy.seed", "one", "`structures.divacancy.seed` is 'one'; give a whole number"),
    # Values of another kind
    ("max_rounds", "two", "`max_rounds` is 'two'; give a whole number"),
    ("max_rounds", 2.5, "`max_rounds` is 2.5; give a whole number"),
    ("max_rounds", True, "`max_rounds` is True; give a whole number"),
    ("max_rounds", {"at_most": 2}, "`max_rounds` is {'at_most': 2}; give a whole number"),
    ("seed", None, "`seed` is None; give a whole number"),
    ("exploration", 5, "`exploration` is 5; give settings under it: walkers, max_concurrent"),
    ("exploration", None, "`exploration` is None; give settings under it"),
    ("exploration.parameters.temperature", "hot", "`exploration.parameters.temperature` is 'hot'; give a number"),
    ("exploration.parameters.timestep", "1e-3", "is '1e-3'; give a number above zero, in ps, in YAML written as 0.001"),
    ("convergence.force_mae", "1e-20", "is '1e-20'; give a number above zero, in eV/A, in YAML written as 1.0e-20"),
    ("labelling.kpoints", 1, "`labelling.kpoints` is 1; give three whole numbers"),
    ("labelling.kpoints", [1, 1], "`labelling.kpoints` is [1, 1]; give three whole numbers from 1"),
    ("labelling.kpoints", [2, 2, 2], "`labelling.gamma_only` is true, but `labelling.kpoints` is [2, 2, 2]"),
    ("labelling.gamma_only", "yes please", "`labelling.gamma_only` is 'yes please'; give true or false"),
    ("labelling.pseudo_family", 5, "`labelling.pseudo_family` is 5; give text"),
    ("labelling.parameters", "scf", "`labelling.parameters` is 'scf'; give a mapping"),
    ("labelling.parameters.SYSTEM", 30, "`SYSTEM` is 30; give settings under it"),
    ("labelling.parameters.SYSTEM.ecutwfc", "high", "`SYSTEM.ecutwfc` is 'high'; give a number"),
    ("labelling.parameters.ELECTRONS.conv_thr", "1e-6", "is the text '1e-6'; write it as"),
    ("labelling.parameters.CONTROL.calculation", "relax", "a label is a self-consistent calculation: set it to 'scf'"),
    ("labelling.parameters.CONTROL.tprnfor", False, "`CONTROL.tprnfor` is not set; a label needs forces"),
    ("training.parameters", [1], "`training.parameters` is [1]; give settings under it"),
    # Unknown keys at every level
    ("max_round", 3, "`max_round` is not a known setting. Did you mean `max_rounds`"),
    ("codes.lamps", "x", "`codes.lamps` is not a known setting. Did you mean `lammps`"),
    ("bootstrap.pairstyle", "edip", "`bootstrap.pairstyle` is not a known setting. Did you mean `pair_style`"),
    ("convergence.force_mea", 0.1, "`convergence.force_mea` is not a known setting. Did you mean `force_mae`"),
    ("exploration.walker", 3, "`exploration.walker` is not a known setting. Did you mean `walkers`"),
    (
        "exploration.parameters.temprature",
        3,
        "`exploration.parameters.temprature` is not a known setting. Did you mean",
    ),
    (
        "exploration.options.resorces",
        {},
        "`exploration.options.resorces` is not a known setting. Did you mean `resources`",
    ),
    ("selection.parameter", {}, "`selection.parameter` is not a known setting. Did you mean `parameters`"),
    ("selection.parameters.ntraining", 3, "Did you mean `n_training`"),
    (
        "selection.parameters.method",
        "top",
        "`selection.parameters.method` is 'top'; give `farthest-point`, `top-k`",
    ),
    ("selection.parameters.centres", [0, 14], "contains atom 14, but `structures.divacancy` has atoms 0 to 13"),
    ("selection.parameters.centres", "near", "`selection.parameters.centres` is 'near'"),
    ("selection.parameters.centres", [], "give `defect`, `all`, or a list of different atom indices"),
    (
        "selection.parameters.held_out_trajectories",
        2,
        "holds out 2 trajectories per round, but the exploration provides only 2",
    ),
    ("selection.parameters.held_out_structures", ["divacancies"], "is not a start structure. Did you mean `divacancy`"),
    (
        "selection.parameters.held_out_structures",
        ["divacancy"],
        "exploration provides only 0 of structures that are trained",
    ),
    ("labelling.max_concurent", 3, "Did you mean `max_concurrent`"),
    ("labelling.parameters.SYTEM", {}, "`SYTEM` is not a namelist of pw.x. Did you mean `SYSTEM`"),
    ("labelling.parameters.SYSTEM.ecutwf", 3, "`SYSTEM.ecutwf` is not a keyword of pw.x. Did you mean `ecutwfc`"),
    ("training.parameters.modell", {}, "`training.parameters.modell` is not a known setting. Did you mean `model`"),
    (
        "training.parameters.model.cutof",
        5,
        "`training.parameters.model.cutof` is not a known setting. Did you mean",
    ),
    ("compilation.parameters.devise", "cpu", "`compilation.parameters.devise` is not a known setting. Did you mean"),
    ("evaluation.option", {}, "`evaluation.option` is not a known setting. Did you mean `options`"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
def test_wrong_setting(write_settings: Callable[..., str], name: str, value: Any, words: str) -> None:
    message = refusal(write_settings(nested(name, value)))
    assert words in message
    assert name.rsplit(".", maxsplit=1)[-1] in message or "bootstrap" in message or "structures" in message


@pytest.mark.parametrize(
    ("name", "plugin"), [("lammps", "quantumespresso.pw"), ("pw", "sicmlip.training"), ("sicmlip", "lammps.base")]
)
def test_code_of_the_wrong_kind(
    write_settings: Callable[..., str], generate_code: Callable[..., Any], name: str, plugin: str
) -> None:
    code = generate_code(plugin)
    message = refusal(write_settings({"codes": {name: code.full_label}}))
    assert f"code `{code.full_label}` is set up for `{plugin}`, which is the wrong kind here" in message


def test_species_without_a_pseudopotential(write_settings: Callable[..., str], divacancy: Atoms) -> None:
    divacancy.symbols[3] = "N"
    structure = orm.StructureData(ase=divacancy).store()
    message = refusal(write_settings({"structures": {"doped": {"node": structure.pk}}}))
    assert "`sicmlip` lacks an element of structure `doped`" in message
    assert "It has C, Si." in message


def test_species_absent_from_a_trained_bootstrap_potential(
    write_settings: Callable[..., str], generate_compiled_potential: Callable[..., Any]
) -> None:
    potential = generate_compiled_potential(species=["C", "H"])
    message = refusal(write_settings({"bootstrap": {"node": potential.pk}}))
    assert "`bootstrap_potential`" in message
    assert "knows the species C, H, but the structure C7Si7 holds Si too" in message


def test_bootstrap_potential_that_is_none(write_settings: Callable[..., str], portable_potential: Any) -> None:
    message = refusal(write_settings({"bootstrap": {"node": portable_potential.pk}}))
    assert message.startswith(
        f"`bootstrap.node` is node <{portable_potential.pk}>, a PotentialData; give the PK or UUID of a "
    )
    assert "CompiledPotentialData" in message


def test_overlapping_atoms(write_settings: Callable[..., str], divacancy: Atoms) -> None:
    divacancy.positions[3] = divacancy.positions[5] + [0.2, 0.0, 0.0]
    structure = orm.StructureData(ase=divacancy).store()
    message = refusal(write_settings({"structures": {"crowded": {"node": structure.pk}}}))
    assert "in `structures.crowded` atoms 3 and 5 are 0.20 A apart and overlap; correct the start structure" in message


def test_node_that_is_no_structure(write_settings: Callable[..., str]) -> None:
    node = orm.Int(3).store()
    message = refusal(write_settings({"structures": {"x": {"node": node.pk}}}))
    assert message == f"`structures.x.node` is node <{node.pk}>, an Int; give the PK or UUID of a StructureData."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exploration: [walkers: 3", "is not YAML"),
        ("a: 1\n b: 2\n", "is not YAML"),
        ("", "contains no settings; give `protocol: moderate`"),
        ("- a\n- b\n", "contains no settings"),
        ("protocol: medium\n", "`medium` is not a protocol."),
        ("protocol: [demo]\n", "`['demo']` is not a protocol."),
        ("protocol: demo\n1: 2\n", "`1` is not a known setting."),
    ],
)
def test_file_that_cannot_be_used(write_settings: Callable[..., str], text: str, words: str) -> None:
    assert words in refusal(write_settings(text))


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    message = refusal(str(tmp_path / "none.yaml"))
    assert message.endswith("does not exist. Protocols are: demo, fast, moderate, paper.")


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("max_rounds", "the assignment `max_rounds` has no `=`; write `key=value`"),
        ("max_round=3", "`max_round` is not a known setting. Did you mean `max_rounds`"),
        ("max_rounds=[1", "the value in `max_rounds=[1` is not YAML"),
        ("=3", "`` is not a known setting"),
    ],
)
def test_wrong_assignment(write_settings: Callable[..., str], assignment: str, words: str) -> None:
    assert words in refusal(write_settings({}), assignment)


def test_plan_names_criteria_and_budget(write_settings: Callable[..., str]) -> None:
    path = write_settings({"budget": {"labels": 30, "gpu_hours": None}, "convergence": {"novelty": 1e-3}})
    lines = plan(read_settings(path))
    assert lines[-1] == "Budget: at most 30 labels"
    assert lines[1].endswith(
        "below 0.1 eV/A, and `exploring_force_mae`, `novelty`, `minimum_rounds` of `convergence` met"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("n_training", 500, "asks for 500 training and 4 validation frames a round, but exploration gives 122 frames"),
        ("separation", 0.3, "of which at most 6 are 0.3 ps apart"),
    ],
)
def test_more_frames_than_exploration_gives(
    write_settings: Callable[..., str], name: str, value: float, words: str
) -> None:
    message = refusal(write_settings(nested(f"selection.parameters.{name}", value)))
    assert words in message
    assert "Explore longer, with more walkers, keep frames more often, or ask for fewer" in message


def test_window_that_a_calibration_could_close(write_settings: Callable[..., str]) -> None:
    """The lower bound of the selection is above the least that the calibration may give as the upper one."""
    checked_builder(read_settings(write_settings(nested("selection.parameters.min_disagreement", 0.4))), store=False)
    path = write_settings(nested("selection.parameters.min_disagreement", 0.5))
    assert "as low as `exploration.calibration.smallest`, 0.5 eV/A: lower the first" in refusal(path)
    uncalibrated = {"exploration": {"calibration": None}, **nested("selection.parameters.min_disagreement", 0.5)}
    checked_builder(read_settings(write_settings(uncalibrated)), store=False)


def test_nearest_distance_sees_periodic_images(write_settings: Callable[..., str]) -> None:
    structure = orm.StructureData(ase=bulk("Si", "diamond", a=5.43)[:1]).store()
    settings = {
        "structures": {"x": {"node": structure.pk}},
        "exploration": {"bias": None},
        "training": {"parameters": {"model": {"cutoff": 3.8}}},
    }
    assert "the nearest atoms of `structures.x` are 3.84 A apart" in refusal(write_settings(settings))


def test_structure_without_a_crystal_behind_it(write_settings: Callable[..., str], divacancy: Atoms) -> None:
    """Where nobody names the host, it is found from the structure; if there is none, that is said at once."""
    known = orm.StructureData(ase=divacancy).store()
    free = {"exploration": {"bias": None}}
    checked_builder(read_settings(write_settings({"structures": {"x": {"node": known.pk}}, **free})), store=False)
    molten = Atoms("CSiCSi", [[0, 0, 0], [2.1, 0.3, 0.9], [3.9, 3.2, 1.0], [0.8, 3.9, 3.6]], cell=[6, 6, 6], pbc=True)
    given = {"structures": {"x": {"node": orm.StructureData(ase=molten).store().pk}}, **free}
    message = refusal(write_settings(given))
    assert message.startswith("`structures.x` has no host, which `selection.parameters.centres: defect` requires")
    assert message.endswith("Or set `centres` to `all` and `hop_share` to 0.")
    everywhere = {**given, "selection": {"parameters": {"centres": "all", "hop_share": 0}}}
    checked_builder(read_settings(write_settings(everywhere)), store=False)
