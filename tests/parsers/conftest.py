"""Runs that ended in every way there is, kept as folders, and a way to hand them to a parser.

`fixtures/<calculation>/<case>/case.json` holds the inputs of a run, `retrieved` and `temporary` what it left. The runs
are real: `test_real_runs.py` does them again, and keeps their files where `SICMLIP_KEEP_RUNS` is set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from tests.graphs.descriptions import flat

FIXTURES = Path(__file__).parent / "fixtures"


class Parsed:
    """What a parser made of a run: its outputs by name, exit status and message."""

    def __init__(self, outputs: dict[str, Any], node: Any) -> None:
        self.outputs = outputs
        self.status = node.exit_status
        self.message = node.exit_message


@pytest.fixture
def descriptors_inputs(generate_segment: Callable[..., Any]) -> Callable[[Mapping[str, Any], Path], dict[str, Any]]:
    """Makes the inputs of a description."""
    from aiida import orm

    from tests.crystals import silicon_carbide_host

    def make(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        segments = {f"s{place:02d}": generate_segment(**given) for place, given in enumerate(case["segments"])}
        given = {"trajectories": {"vv": segments}, "parameters": orm.Dict(case["parameters"]), "seed": orm.Int(5)}
        if "host" in case:
            given["hosts"] = {"vv": orm.StructureData(ase=silicon_carbide_host(**case["host"]))}
        if "kept" in case:
            kept = orm.ArrayData()
            kept.set_array("kept", np.array(case["kept"], dtype=int))
            given["filters"] = {"vv": dict.fromkeys(segments, kept)}
        return given

    return make


@pytest.fixture
def case_inputs(
    divacancy: Atoms,
    edip: Any,
    generate_code: Callable[..., Any],
    generate_dataset: Callable[..., Any],
    request: pytest.FixtureRequest,
) -> Callable[[Path], dict[str, Any]]:
    """Makes the inputs of a run from its `case.json`."""
    from aiida import orm

    from aiida_sicmlip.common.lammps_files import find_potential_file
    from aiida_sicmlip.data.classical_potential import classical_potential
    from aiida_sicmlip.data.continuation import ContinuationData
    from aiida_sicmlip.science.dynamics.colvar import newest_state
    from tests.crystals import silicon_carbide_host

    def exploration(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        atoms = divacancy.copy()
        for index, displacement in case.get("displace", []):
            atoms.positions[index] += displacement
        for index, other in case.get("coincide", []):
            atoms.positions[index] = atoms.positions[other]
        potential = edip
        if "potential" in case:
            potential = classical_potential(folder / case["potential"], "edip/multi", ["Si", "C"]).store()
        structure, parameters = orm.StructureData(ase=atoms), orm.Dict(case["parameters"])
        given = {"structure": structure, "potential": potential, "parameters": parameters, "seed": orm.Int(7)}
        if "bias" in case:
            given |= {"bias": orm.Dict(case["bias"]), "collective_variables": request.getfixturevalue("variables")}
        if "continues" in case:
            given["continuation"] = continuation(FIXTURES / "exploration" / case["continues"], biased="bias" in case)
        if "host" in case:
            given["host"] = orm.StructureData(ase=silicon_carbide_host(**case["host"]))
        return given

    def continuation(folder: Path, biased: bool) -> Any:
        """Return what the run in `folder` left to go on from."""
        state = newest_state(folder / "temporary", timestep=0.001, biased=biased)
        assert state is not None
        return ContinuationData.from_files(state.step, state.restart_file, state.state_file)

    def training(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        sets = {"training_set": generate_dataset(4, seed=1), "validation_set": generate_dataset(2, seed=2)}
        return {**sets, "parameters": orm.Dict(case["parameters"]), "seed": orm.Int(3)}

    def compilation(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        return {"potential": request.getfixturevalue("portable_potential"), "parameters": orm.Dict(case["parameters"])}

    def evaluation(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        style, species = case.get("pair_style", "edip/multi"), ["Si", "C"]
        potential = classical_potential(find_potential_file("SiC.edip"), style, species).store()
        return {"dataset": generate_dataset(2, seed=3), "potential": potential}

    def reference_label(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        atoms = divacancy.copy()
        atoms.rotate(37.0, (1.0, 2.0, -0.5), rotate_cell=True)
        atoms.positions[3] += [0.1, 0.05, -0.1]
        return {"structure": orm.StructureData(ase=atoms), "potential": evaluation(case, folder)["potential"]}

    def collective_variables(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        generate_segment = request.getfixturevalue("generate_segment")
        host = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
        segments = {f"s{place:02d}": generate_segment(**given) for place, given in enumerate(case["segments"])}
        structures = {"structure": orm.StructureData(ase=divacancy), "host": orm.StructureData(ase=host)}
        parameters = orm.Dict(case["parameters"])
        return {**structures, "trajectories": segments, "parameters": parameters, "seed": orm.Int(5)}

    makers = {
        "exploration": exploration,
        "training": training,
        "compilation": compilation,
        "evaluation": evaluation,
        "reference_label": reference_label,
        "collective_variables": collective_variables,
        "descriptors": request.getfixturevalue("descriptors_inputs"),
    }

    def make(folder: Path) -> dict[str, Any]:
        case = json.loads((folder / "case.json").read_text())
        name = folder.parent.name
        own = name in ("exploration", "collective_variables", "descriptors")
        plugin = f"sicmlip.{name}" if own else "sicmlip.training"
        options = {"resources": {"num_machines": 1}, **case.get("options", {})}
        return {"code": generate_code(plugin), "metadata": {"options": options}, **makers[name](case, folder)}

    return make


@pytest.fixture
def parse_folder(
    generate_code: Callable[..., Any], case_inputs: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> Callable[..., Parsed]:
    """Parses a run: its folder of fixtures; files to leave out or to replace, by name; inputs to replace;
    what the scheduler's accounts say."""
    from aiida import orm
    from aiida.common.links import LinkType
    from aiida.plugins import ParserFactory

    def parse(
        folder: Path,
        files: Mapping[str, bytes | None] | None = None,
        inputs: Mapping[str, Any] | None = None,
        scheduler_status: int | None = None,
    ) -> Parsed:
        entry_point = f"sicmlip.{folder.parent.name}"
        node = orm.CalcJobNode(process_type=f"aiida.calculations:{entry_point}", computer=generate_code(None).computer)
        given = {**case_inputs(folder), **(inputs or {})}
        node.set_options(given["metadata"]["options"])
        for label, part in flat(given):
            node.base.links.add_incoming(part.store(), LinkType.INPUT_CALC, label)
        node.store()
        if scheduler_status is not None:
            node.set_exit_status(scheduler_status)
        retrieved = orm.FolderData()
        temporary = tmp_path / "retrieved_temporarily"
        temporary.mkdir(exist_ok=True)
        for path in sorted([*folder.glob("retrieved/*"), *folder.glob("temporary/*")]):
            content = (files or {}).get(path.name, path.read_bytes())
            if content is None:
                continue
            if path.parent.name == "temporary":
                (temporary / path.name).write_bytes(content)
            else:
                retrieved.base.repository.put_object_from_bytes(content, path.name)
        if messages := (files or {}).get("_scheduler-stderr.txt"):
            retrieved.base.repository.put_object_from_bytes(messages, "_scheduler-stderr.txt")
        retrieved.base.links.add_incoming(node, LinkType.CREATE, "retrieved")
        retrieved.store()
        outputs, call = ParserFactory(entry_point).parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(temporary)
        )
        return Parsed(outputs or {}, call)

    return parse
