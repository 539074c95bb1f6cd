"""What an exploration writes and asks back, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.datastructures import StashMode
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.data.continuation import ContinuationData
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.dynamics.lammps_input import write_structure_data
from aiida_sicmlip.science.pines.atoms import atoms_of_shell_of_structure
from tests.crystals import silicon_carbide_host

ENTRY_POINT = "sicmlip.exploration"
PARAMETERS = {"temperature": 1200.0, "equilibration": 0.5, "production": 2.0, "frame_interval": 0.05}


@pytest.fixture
def inputs(generate_code: Callable[..., Any], edip: Any, divacancy: Atoms) -> dict[str, Any]:
    """Inputs of a complete exploration; one port is changed by each test."""
    return {
        "code": generate_code(ENTRY_POINT),
        "structure": orm.StructureData(ase=divacancy),
        "potential": edip,
        "parameters": dict(PARAMETERS),
        "seed": 12345,
        "metadata": {"options": {"max_wallclock_seconds": 7200}},
    }


def commands(folder: Path) -> dict[str, list[list[str]]]:
    """Return the words after each command of the LAMMPS input, by command."""
    found: dict[str, list[list[str]]] = {}
    for line in (folder / "exploration.in").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            command, *words = line.split()
            found.setdefault(command, []).append(words)
    return found


def test_input_says_what_was_asked_for(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    found = commands(folder)
    assert found["run"] == [["500"], ["2000", "upto"]]
    assert found["timestep"] == [["0.001"]]
    assert found["dump"] == [["trajectory", "all", "dcd", "50", "trajectory.dcd"]]
    assert found["thermo"] == [["50"]]
    assert ["all", "create", "1200", "12345", *["mom", "yes", "rot", "yes", "dist", "gaussian"]] in found["velocity"]
    assert ["thermostat", "all", "nvt", "temp", "1200", "1200", "0.1"] in found["fix"]
    # Ten standard deviations of the temperature of 14 atoms, distances each 10 steps, and nine tenths of the walltime.
    halts = {words[0]: words[1:] for words in found["fix"] if words[1:3] == ["all", "halt"]}
    assert set(halts) == {"stop_temperature", *(f"stop_distance_{pair}" for pair in ("C_C", "C_Si", "Si_Si"))}
    *before, bound = halts["stop_temperature"][:6]
    assert before == ["all", "halt", "1", "v_temperature", ">"]
    assert float(bound) == pytest.approx(1200.0 * (1.0 + 10.0 * (2.0 / (3.0 * 14)) ** 0.5))
    assert halts["stop_distance_C_Si"][:6] == ["all", "halt", "10", "v_n_near_C_Si", ">", "0"]
    cutoffs = {words[0]: float(words[4]) for words in found["compute"] if words[2] == "coord/atom"}
    assert cutoffs == pytest.approx({"near_C_C": 1.14, "near_C_Si": 1.4025, "near_Si_Si": 1.665})
    assert found["timer"] == [["timeout", "6480", "every", "10"]]
    assert committee_commands(folder) == ""


def test_classical_potential(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    found = commands(folder)
    assert found["pair_style"] == [["edip/multi"]]
    assert found["pair_coeff"] == [["*", "*", "potential.dat", "C", "Si"]]
    assert calcinfo.local_copy_list == [(inputs["potential"].uuid, "SiC.edip", "potential.dat")]


def test_trained_potential(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    potential = generate_compiled_potential(species=["Si", "C", "H"])
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "potential": potential})
    found = commands(folder)
    assert found["pair_style"] == [["allegro"]]
    assert found["pair_coeff"] == [["*", "*", "potential.nequip.pt2", "C", "Si"]]
    assert calcinfo.local_copy_list == [(potential.uuid, "anything.nequip.pt2", "potential.nequip.pt2")]


def test_structure_is_in_the_order_of_the_types(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    written = (folder / "structure.data").read_text()
    assert written == write_structure_data(inputs["structure"].get_ase(), ["C", "Si"])


def test_trajectory_is_retrieved_for_the_parser_only(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any]
) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, inputs)
    assert sorted(path.name for path in folder.iterdir()) == ["exploration.in", "structure.data"]
    assert set(calcinfo.retrieve_list) == {"log.lammps", "exploration.out", "exploration.err"}
    assert calcinfo.retrieve_temporary_list == [("exploration.restart.*", ".", 0), "trajectory.dcd"]
    code = calcinfo.codes_info[0]
    assert code.code_uuid == inputs["code"].uuid
    assert code.cmdline_params == ["-in", "exploration.in", "-log", "log.lammps"]


def test_equal_inputs_write_equal_files(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    generate_calc_job(ENTRY_POINT, inputs)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == written


def test_shortest_walltime_still_runs(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    inputs["metadata"] = {"options": {"max_wallclock_seconds": 1}}
    folder, _ = generate_calc_job(ENTRY_POINT, inputs)
    assert commands(folder)["timer"][0][:2] == ["timeout", "1"]


@pytest.mark.parametrize("plugin", [None, "sicmlip.exploration", "lammps.base", "lammps.raw"])
def test_codes_that_run_lammps(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_code: Callable[..., Any], plugin: str | None
) -> None:
    generate_calc_job(ENTRY_POINT, {**inputs, "code": generate_code(plugin)})


def test_other_codes_are_refused(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_code: Callable[..., Any]
) -> None:
    with pytest.raises(
        ValueError,
        match=r"wrong kind here; give a code of LAMMPS, whose default plugin",
    ):
        generate_calc_job(ENTRY_POINT, {**inputs, "code": generate_code("quantumespresso.pw")})


def test_species_that_the_potential_lacks(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    structure = orm.StructureData(ase=bulk("GaAs", "zincblende", a=5.6))
    expected = "knows the species Si, C, but the structure AsGa holds As, Ga too; use a potential that covers them"
    with pytest.raises(ValueError, match=expected):
        generate_calc_job(ENTRY_POINT, {**inputs, "structure": structure})


def test_potential_compiled_for_another_target(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="was compiled for the target `ase`; LAMMPS needs one compiled for"):
        generate_calc_job(ENTRY_POINT, {**inputs, "potential": generate_compiled_potential(target="ase")})


@pytest.mark.parametrize("seed", [0, -3, 2**31])
def test_seeds_that_lammps_does_not_take(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], seed: int
) -> None:
    with pytest.raises(ValueError, match=f"`seed` is {seed}; give a whole number of at least 1 and at most 2147483647"):
        generate_calc_job(ENTRY_POINT, {**inputs, "seed": seed})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"temprature": 300}, "`exploration.parameters.temprature` is not a known setting. Did you mean `temperature`"),
        ({"temperature": 0}, "`exploration.parameters.temperature` is 0; give a number above zero"),
        ({"temperature": "hot"}, "`exploration.parameters.temperature` is 'hot'; give a number"),
        ({"production": -1.0}, "`exploration.parameters.production` is -1.0; give a number above zero"),
        ({"equilibration": -1.0}, "`exploration.parameters.equilibration` is -1.0; give a number of at least 0"),
        (
            {"frame_interval": 0.0005},
            "`exploration.parameters.frame_interval` is 0.0005 ps, which is not a whole number",
        ),
        ({"frame_interval": 3.0}, "longer than the production of 2.0 ps: no frame would be kept"),
        (
            {"temperature_deviations": 2.0},
            "`exploration.parameters.temperature_deviations` is 2.0; give a number of at least 3",
        ),
        ({"timestep": True}, "`exploration.parameters.timestep` is True; give a number"),
        ({"damping": None}, "`exploration.parameters.damping` is None; give a number"),
    ],
)
def test_wrong_parameters(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match="parameters") as caught:
        generate_calc_job(ENTRY_POINT, {**inputs, "parameters": {**PARAMETERS, **change}})
    assert expected in str(caught.value)


def committee_commands(folder: Path) -> str:
    """Return the commands of the input that concern the committee, on one line."""
    text = (folder / "exploration.in").read_text().replace("&\n", " ")
    return next(
        (" ".join(line.split()) for line in text.splitlines() if line.startswith("if ") and "compute" in line), ""
    )


@pytest.mark.parametrize(
    ("more", "parameters", "bound"),
    [
        ({}, {}, 4),
        ({"calibration": 0.8}, {}, 0.8),
        # Too few labels.
        ({"calibration": None}, {}, 4),
        ({"calibration": 0.8}, {"max_disagreement": None}, None),
    ],
)
def test_committee_is_measured_and_stops_the_run(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_compiled_potential: Callable[..., Any],
    *,
    more: dict[str, float | None],
    parameters: dict[str, Any],
    bound: float | None,
) -> None:
    members = {f"member_{number:02d}": generate_compiled_potential() for number in (1, 2)}
    given = {"potential": generate_compiled_potential(), "committee": members}
    calibration = {name: orm.Dict({"max_disagreement": value}) for name, value in more.items()}
    changed = {"parameters": {**PARAMETERS, **parameters}, **given, **calibration}
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, **changed})
    files = "committee_member_01.nequip.pt2 committee_member_02.nequip.pt2"
    text = committee_commands(folder)
    assert f'"compute disagreement all committee/disagreement types C Si members {files}"' in text
    halt = f'"fix stop_disagreement all halt 10 v_disagreement > {bound} error soft message yes"'
    assert (halt in text) is (bound is not None) and ("halt" in text) is (bound is not None)
    for name, member in members.items():
        assert (member.uuid, "anything.nequip.pt2", f"committee_{name}.nequip.pt2") in calcinfo.local_copy_list


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"target": "ase"}, "`committee.other` <.*> was compiled for the target `ase`"),
        ({"device": "cuda"}, "`committee.other` <.*> was compiled for cuda and `potential` <.*> for cpu"),
        ({"species": ["C"]}, "`committee.other` .* knows the species C, but the structure"),
    ],
)
def test_member_that_does_not_fit(
    generate_calc_job: Callable[..., Any],
    inputs: dict[str, Any],
    generate_compiled_potential: Callable[..., Any],
    member: dict[str, Any],
    message: str,
) -> None:
    given = {"potential": generate_compiled_potential(), "committee": {"other": generate_compiled_potential(**member)}}
    with pytest.raises(ValueError, match=message):
        generate_calc_job(ENTRY_POINT, {**inputs, **given})


def test_classical_potential_has_no_committee(
    generate_calc_job: Callable[..., Any], inputs: dict[str, Any], generate_compiled_potential: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="`committee` is given for a classical potential"):
        generate_calc_job(ENTRY_POINT, {**inputs, "committee": {"member_01": generate_compiled_potential()}})


BIAS = {"barrier": 1.0, "pace": 0.01, "upper_walls": [{"variable": 1, "at": 2.0}]}


@pytest.fixture
def biased(inputs: dict[str, Any], variables: Any, divacancy_host: Atoms) -> dict[str, Any]:
    """Inputs of a run that is biased along the variables of its structure."""
    host = orm.StructureData(ase=divacancy_host).store()
    return {**inputs, "collective_variables": variables, "bias": dict(BIAS), "host": host}


def saved_state(step: int, biased: bool = False) -> ContinuationData:
    """Return a state after a step; its files hold nothing."""
    node = ContinuationData()
    node.base.attributes.set("step", step)
    for name in ("exploration.restart", "STATE") if biased else ("exploration.restart",):
        node.base.repository.put_object_from_bytes(b"state", name)
    return node.store()


def test_biased_run_brings_its_bias(generate_calc_job: Callable[..., Any], biased: dict[str, Any]) -> None:
    folder, calcinfo = generate_calc_job(ENTRY_POINT, biased)
    fixes = [" ".join(words) for words in commands(folder)["fix"]]
    assert "bias all plumed plumedfile plumed.dat outfile plumed.log" in fixes
    lines = (folder / "plumed.dat").read_text().splitlines()
    variables = biased["collective_variables"]
    assert sum("DISTANCE ATOMS=" in line for line in lines) == len(variables.pairs)
    first, second = variables.pairs[0]
    assert f"d0: DISTANCE ATOMS={first + 1},{second + 1}" in lines
    opes = next(line for line in lines if "OPES_METAD_EXPLORE" in line)
    assert "PACE=10 " in opes and "TEMP=1200.0" in opes and "STATE_RFILE" not in opes
    assert any(line.startswith("upper_walls_0: UPPER_WALLS ARG=cv.node-1 AT=2.0") for line in lines)
    assert (variables.uuid, "model.ptc", "model.ptc") in calcinfo.local_copy_list
    assert {"plumed.log", "KERNELS"} <= set(calcinfo.retrieve_list)
    assert {"COLVAR", "STATE", "bck.last.STATE"} <= set(calcinfo.retrieve_temporary_list)


def test_later_segment_goes_on(generate_calc_job: Callable[..., Any], biased: dict[str, Any]) -> None:
    state = saved_state(1200, biased=True)
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**biased, "continuation": state})
    found = commands(folder)
    assert found["read_restart"] == [["previous.restart"]]
    assert "read_data" not in found and "velocity" not in found and "reset_timestep" not in found
    assert found["run"] == [["2000", "upto"]]
    assert ["trajectory", "delay", "1201"] in found["dump_modify"]
    assert "STATE_RFILE=previous.STATE RESTART=YES" in (folder / "plumed.dat").read_text()
    assert (state.uuid, "exploration.restart", "previous.restart") in calcinfo.local_copy_list
    assert (state.uuid, "STATE", "previous.STATE") in calcinfo.local_copy_list
    assert not (folder / "structure.data").exists()


def test_shell_is_held(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    host = silicon_carbide_host(repeats=(2, 2, 2))
    atoms = build_defects(host, [{"kind": "divacancy"}], 1).atoms
    given = {
        **inputs,
        "structure": orm.StructureData(ase=atoms),
        "host": orm.StructureData(ase=host),
        "parameters": {**PARAMETERS, "restrained_shell": 3, "spring_constant": 7.0},
    }
    folder, _ = generate_calc_job(ENTRY_POINT, given)
    found = commands(folder)
    held = atoms_of_shell_of_structure(atoms, host, 3).indices
    assert ["held", "id", *(str(index + 1) for index in held)] in found["group"]
    assert ["held", "held", "spring/self", "7"] in found["fix"]


def test_switches_belong_to_the_code(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    """The input stays the same; the command line has them at its end."""
    switches = ["-k", "on", "g", "1", "-sf", "kk"]
    folder, calcinfo = generate_calc_job(ENTRY_POINT, {**inputs, "switches": switches})
    assert calcinfo.codes_info[0].cmdline_params == ["-in", "exploration.in", "-log", "log.lammps", *switches]
    assert "kokkos" not in (folder / "exploration.in").read_text()


def test_trajectory_that_stays_where_it_is(generate_calc_job: Callable[..., Any], inputs: dict[str, Any]) -> None:
    """What is not retrieved has to be stashed."""
    given = {**inputs, "parameters": {**PARAMETERS, "retrieve_trajectory": False}}
    with pytest.raises(ValueError, match="the frames would be lost with the work folder; stash"):
        generate_calc_job(ENTRY_POINT, given)
    stash = {"source_list": ["trajectory.dcd"], "target_base": "/archive", "stash_mode": StashMode.COPY.value}
    options = {**inputs["metadata"]["options"], "stash": stash}
    _, calcinfo = generate_calc_job(ENTRY_POINT, {**given, "metadata": {"options": options}})
    assert calcinfo.retrieve_temporary_list == [("exploration.restart.*", ".", 0)]


def other_species(variables: Any) -> Any:
    """Return variables whose groups name other atoms."""
    node = type(variables)()
    for name in variables.base.repository.list_object_names():
        node.base.repository.put_object_from_bytes(variables.base.repository.get_object_content(name, "rb"), name)
    node.base.attributes.set_many(variables.base.attributes.all)
    groups = variables.groups
    first, second = sorted(groups)[0], sorted(groups)[-1]
    node.base.attributes.set("groups", {**groups, first: groups[second], second: groups[first]})
    return node.store()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bias": None}, "`collective_variables` is given without `bias`"),
        ({"collective_variables": None}, "`bias` is given without `collective_variables`"),
        ({"bias": {"barrier": 0.01}}, "barrier"),
        ({"bias": {"barrier": 1.0, "pace": 0.01, "sigma": [0.1]}}, "gives 1 widths for 2 collective variables"),
        ({"bias": {"barier": 1.0}}, "`exploration.bias.barier` is not a known setting. Did you mean `barrier`"),
        ({"continuation": (5000, True)}, "nothing is left to run. Ask for a longer production"),
        ({"continuation": (500, False)}, "is of a free run, and this is a biased one; continue it as it was started"),
        (
            {"host": None, "parameters": {"restrained_shell": 3}},
            "`restrained_shell` is given, but no `host`",
        ),
        ({"parameters": {"restrained_shell": 3}}, "shell 3"),
        ({"switches": ["-in", "other"]}, "`switches` holds `-in`, which cannot be given"),
        ({"collective_variables": other_species}, "use variables that were trained for this structure"),
    ],
)
def test_bias_that_cannot_work(
    generate_calc_job: Callable[..., Any], biased: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    given = dict(biased)
    for name, value in change.items():
        if value is None:
            del given[name]
        elif name == "continuation":
            given[name] = saved_state(value[0], biased=value[1])
        elif name == "parameters":
            given[name] = {**PARAMETERS, **value}
        elif callable(value):
            given[name] = value(given[name])
        else:
            given[name] = value
    with pytest.raises(ValueError, match="Error occurred validating port") as caught:
        generate_calc_job(ENTRY_POINT, given)
    assert expected in str(caught.value)
