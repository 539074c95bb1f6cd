"""Runs whose labels are by a reference potential: their settings, what is refused, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import ProcessState
from ase import Atoms

from aiida_sicmlip.calculations.reference_label import ReferenceLabelCalculation
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.process_types import ACTIVE_LEARNING
from aiida_sicmlip.reports.run.tables import results_table, status_lines
from aiida_sicmlip.tools.runs import read_run
from aiida_sicmlip.workflows.active_learning.launch import checked_builder, read_settings
from aiida_sicmlip.workflows.active_learning.plan import plan
from aiida_sicmlip.workflows.labelling import labelling as labelling_module
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from aiida_sicmlip.workflows.protocols.loop import load_protocol
from tests.graphs.processes import ended, process

TERSOFF = {"pair_style": "tersoff", "file": "SiC.tersoff", "species": ["Si", "C"]}


def with_reference(codes: dict[str, str], **labelling: Any) -> dict[str, Any]:
    """Return settings of the demo with labels by Tersoff's potential."""
    return load_protocol("demo", {"codes": codes, "labelling": {"reference": TERSOFF, **labelling}})


def test_settings_become_inputs(ready: dict[str, str]) -> None:
    """No code of pw.x and no pseudopotentials are needed; the jobs ask for what an evaluation asks for."""
    settings = with_reference({**ready, "pw": "pw@nowhere"}, max_concurrent=3, options={"max_wallclock_seconds": 60})
    labelling = checked_builder(settings, store=False)._inputs(prune=True)["labelling"]
    assert set(labelling) == {"reference", "max_concurrent", "allowed_failed_fraction"}
    assert labelling["max_concurrent"].value == 3
    reference = labelling["reference"]
    assert reference["code"].full_label == ready["sicmlip"]
    assert (reference["potential"].pair_style, reference["potential"].filename) == ("tersoff", "SiC.tersoff")
    options = reference["metadata"]["options"]
    assert options["max_wallclock_seconds"] == 60
    assert not options.get("withmpi", False)
    assert any("Labels by tersoff (SiC.tersoff) instead of DFT: 8 for training" in line for line in plan(settings))


def test_settings_for_pw_are_not_shown_beside_a_reference(ready: dict[str, str]) -> None:
    settings = with_reference(ready)
    kept = {"allowed_failed_fraction", "max_force", "max_concurrent", "max_replacements", "options", "reference"}
    assert set(settings["labelling"]) == kept
    # What is shown can be given again.
    assert load_protocol("demo", settings) == settings


def test_stored_potential(ready: dict[str, str], edip: Any) -> None:
    settings = load_protocol("demo", {"codes": ready, "labelling": {"reference": {"node": edip.pk}}})
    labelling = checked_builder(settings, store=False)._inputs(prune=True)["labelling"]
    assert labelling["reference"]["potential"].uuid == edip.uuid
    assert any(f"Labels by potential <{edip.pk}>" in line for line in plan(settings))


@pytest.mark.parametrize(
    ("labelling", "words"),
    [
        (
            {"reference": "tersoff"},
            "`labelling.reference` is 'tersoff'; give settings under it: pair_style, file, species, node",
        ),
        ({"reference": {**TERSOFF, "files": "x"}}, "`labelling.reference.files` is not a known setting. Did you mean"),
        ({"reference": {"pair_style": "tersoff"}}, "`labelling.reference.file` is missing"),
        ({"reference": {**TERSOFF, "species": "SiC"}}, "`labelling.reference.species` is 'SiC'; give a list"),
        ({"reference": {**TERSOFF, "file": "SiC.tersof"}}, "`SiC.tersof` is neither a file here nor one of LAMMPS."),
        ({"reference": {**TERSOFF, "pair_style": "tersof"}}, "`labelling.reference` does not describe a LAMMPS"),
        ({"reference": {"node": 999999}}, "`labelling.reference.node` is 999999, and no node is called that"),
        ({"reference": {**TERSOFF, "species": ["Si"]}}, "knows the species Si, but the structure C7Si7 holds C too"),
        ({"reference": TERSOFF, "kpoints": [2, 2, 2]}, "`labelling.kpoints` is a setting for pw.x, but"),
        ({"reference": TERSOFF, "parameters": {"SYSTEM": {"ecutwfc": 40}}}, "remove one of them"),
        ({"reference": TERSOFF, "options": {"queue": "x"}}, "`labelling.options.queue` has no effect on computer"),
        ({"reference": TERSOFF, "max_concurrent": 0}, "is 0; give "),
        ({"reference": TERSOFF, "max_force": -1}, "`labelling.max_force` is -1"),
    ],
)
def test_reference_that_cannot_be_used(
    write_settings: Callable[..., str], labelling: dict[str, Any], words: str
) -> None:
    """All is said before anything is submitted, in a dry run too."""
    with pytest.raises(InputError) as caught:
        checked_builder(read_settings(write_settings({"labelling": labelling})), store=False)
    assert words in str(caught.value)


def test_trained_model_is_no_reference(
    write_settings: Callable[..., str], generate_compiled_potential: Callable[..., Any]
) -> None:
    node = generate_compiled_potential()
    with pytest.raises(InputError, match=rf"node <{node.pk}>, a CompiledPotentialData; give .* a LammpsPotentialData"):
        checked_builder(read_settings(write_settings({"labelling": {"reference": {"node": node.pk}}})), store=False)


@pytest.fixture
def inputs(ready: dict[str, str]) -> dict[str, Any]:
    """Inputs of a labelling by Tersoff's potential, without structures."""
    return checked_builder(with_reference(ready))._inputs(prune=True)["labelling"]


def test_exactly_one_way_to_label(ready: dict[str, str], inputs: dict[str, Any], divacancy: Atoms) -> None:
    structures = {"one": orm.StructureData(ase=divacancy)}
    pw = checked_builder(load_protocol("demo", {"codes": ready}))._inputs(prune=True)["labelling"]["pw"]
    spec = LabellingWorkChain.spec().inputs
    both = spec.validate({**inputs, "structures": structures, "pw": pw})
    assert "both `pw` and `reference` are given" in both.message
    neither = {key: value for key, value in inputs.items() if key != "reference"}
    assert "neither `pw` nor `reference` is given" in spec.validate({**neither, "structures": structures}).message
    assert spec.validate({**inputs, "structures": structures}) is None


def test_labels_are_submitted_as_calculations(
    chain: Callable[..., Any], inputs: dict[str, Any], divacancy: Atoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The level of theory is the potential's; each configuration gets its own calculation under its own name."""
    structures = {f"frame_s00_{index:06d}": orm.StructureData(ase=divacancy).store() for index in range(2)}
    instance = chain(LabellingWorkChain, {**inputs, "structures": structures})
    instance.setup()
    assert instance.ctx.level_of_theory["functional"] == "TERSOFF"
    assert instance.ctx.level_of_theory.creator.inputs.potential.uuid == inputs["reference"]["potential"].uuid
    submitted = {}

    def submit(workchain: Any, process: Any, label: str, **given: Any) -> orm.CalcJobNode:
        submitted[label] = (process, given)
        if not label.endswith("0"):
            return ended(420, "LAMMPS stopped")
        trajectory = orm.TrajectoryData()
        trajectory.set_trajectory(["Si"], np.zeros((1, 1, 3)), cells=np.eye(3)[None], pbc=[True] * 3)
        return ended(output_trajectory=trajectory)

    monkeypatch.setattr(labelling_module, "submit_once", submit)
    while instance.window_is_open():
        instance.run_labels()
    assert sorted(submitted) == sorted(structures)
    for name, (what, given) in submitted.items():
        assert what is ReferenceLabelCalculation
        assert given["structure"].uuid == structures[name].uuid
        assert given["potential"].uuid == inputs["reference"]["potential"].uuid
        assert set(given) == {"code", "structure", "potential", "max_force", "metadata"}
    # Failed labels count as those from first principles do.
    code = instance.inspect_labels()
    assert code.status == 401 and "1 of 2 labels failed" in code.message
    instance.results()
    assert list(instance.outputs["labels"]) == ["frame_s00_000000"]


def test_status_and_results_name_the_reference(aiida_profile: Any, edip: Any) -> None:
    plain, with_reference = (
        process(orm.WorkChainNode, ACTIVE_LEARNING, state=ProcessState.WAITING, max_rounds=orm.Int(2), **inputs)
        for inputs in ({}, {"bootstrap_potential": edip, "labelling__reference__potential": edip})
    )
    run = read_run(with_reference)
    assert run.reference == "edip/multi (SiC.edip)"
    assert "labelled by edip/multi (SiC.edip), a reference potential instead of DFT" in status_lines(run)[1]
    assert "labels: by edip/multi (SiC.edip), a reference potential" in results_table(run)
    run = read_run(plain)
    assert run.reference is None
    assert "reference" not in results_table(run) + "".join(status_lines(run))
