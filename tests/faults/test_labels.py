"""Labels that fail: for some of the frames and for all, by an error, by a signal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase import Atoms
from ase.build import bulk

from aiida_sicmlip.common.process_types import PW
from aiida_sicmlip.workflows.labelling.labelling import LabellingWorkChain
from tests.faults.conftest import Program

pytestmark = pytest.mark.program

PSEUDOPOTENTIALS = {"Si": "Si.pbe-nl-rrkjus_psl.1.0.0.UPF", "C": "C.pbe-n-kjpaw_psl.0.1.UPF"}
PARAMETERS = {
    "CONTROL": {"calculation": "scf", "tprnfor": True, "disk_io": "low"},
    "SYSTEM": {"ecutwfc": 12.0, "ecutrho": 96.0, "occupations": "fixed"},
    "ELECTRONS": {"conv_thr": 1.0e-4},
}


def coordinate(index: int) -> float:
    """Return where the second atom of frame ``index`` stands along x, in A: the scripts tell frames by it."""
    return 1.21 + 0.01 * index


def frame(index: int) -> Atoms:
    """Return two atoms of SiC."""
    atoms = bulk("SiC", "zincblende", a=4.4)
    atoms.positions[1, 0] = coordinate(index)
    return atoms


def is_frame(*indices: int) -> str:
    """Return the condition of shell that the job is for one of these frames."""
    return " || ".join(f"grep -q ' {coordinate(index):.10f} ' aiida.in" for index in indices)


def label_of(index: int) -> str:
    """Return the label of the call for a frame."""
    return f"frame_s00_{index:06d}"


@pytest.fixture
def pw_inputs(aiida_profile: Any) -> Callable[..., dict[str, Any]]:
    """Makes inputs of a ``PwLabelWorkChain`` but its structure: code, changed parameters."""
    from aiida_pseudo.data.pseudo.upf import UpfData

    folder = Path("/usr/share/espresso/pseudo")
    if not folder.is_dir():
        pytest.skip("the pseudopotentials of Quantum ESPRESSO are not installed; `make install` says how to get them")

    def make(code: orm.InstalledCode, **changes: dict[str, Any]) -> dict[str, Any]:
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        namelists = {name: {**content, **changes.get(name, {})} for name, content in PARAMETERS.items()}
        pw = {
            "code": code,
            "parameters": orm.Dict(namelists),
            "pseudos": {element: UpfData(folder / name) for element, name in PSEUDOPOTENTIALS.items()},
            "settings": orm.Dict({"GAMMA_ONLY": True}),
            "metadata": {"options": {"resources": {"num_machines": 1}, "withmpi": False}},
        }
        return {"pw": pw, "kpoints": kpoints, "max_iterations": orm.Int(4)}

    return make


def labelled(program: Program, inputs: dict[str, Any], *indices: int) -> orm.WorkChainNode:
    """Label frames in this process, and return the work chain."""
    structures = {label_of(index): orm.StructureData(ase=frame(index)) for index in indices}
    return run_get_node(LabellingWorkChain, structures=structures, pw=inputs, max_concurrent=10)[1]


def attempts(node: orm.WorkChainNode) -> dict[str, int]:
    """Return how many calculations each label took."""
    return {
        link.link_label: len(link.node.called)
        for link in node.base.links.get_outgoing().all()
        if link.link_label.startswith("frame_")
    }


def report_of(node: orm.ProcessNode) -> str:
    """Return what a work chain and those that it called have reported."""
    nodes = [node, *node.called_descendants]
    return "\n".join(entry.message for each in nodes for entry in orm.Log.collection.get_logs_for(each))


def test_one_of_ten_labels_fails_and_two_are_killed_once(program, pw_inputs, tmp_path):
    """The failed one is named with its reason, killed ones are run again, and the step goes on with nine labels."""
    begin_and_die = '$real "$@" & sleep 0.05; kill -{signal} $! $$'
    once = "if ({condition}) && mkdir {flag} 2> /dev/null; then {death}; fi"
    lines = [
        f'if ({is_frame(3)}) && [ ! -e {tmp_path}/mended ]; then echo "no licence" >&2; exit 1; fi',
        once.format(condition=is_frame(5), flag=tmp_path / "five", death=begin_and_die.format(signal="KILL")),
        once.format(condition=is_frame(7), flag=tmp_path / "seven", death=begin_and_die.format(signal="SEGV")),
    ]
    pw = program("quantumespresso.pw", "\n".join(lines))
    inputs = pw_inputs(pw.code)
    node = labelled(pw, inputs, *range(10))
    assert node.is_finished_ok, node.exit_message
    assert sorted(node.outputs.labels) == [label_of(index) for index in range(10) if index != 3]
    assert {name: count for name, count in attempts(node).items() if count > 1} == {label_of(i): 2 for i in (3, 5, 7)}
    report = report_of(node)
    assert "9 of 10 labels done, 1 failed" in report
    assert f"label `{label_of(3)}`" in report and "no licence" in report
    assert report.count("Second attempt.") == 3
    # What failed is mended, and a frame that was labelled is asked for, too: one of the two is computed.
    (tmp_path / "mended").touch()
    before = pw.starts
    with enable_caching(identifier=PW):
        again = labelled(pw, inputs, 3, 4)
    assert len(again.outputs.labels) == 2
    assert pw.starts == before + 1


def test_all_labels_fail(program, pw_inputs):
    """The step fails, counts them, and each label says what it died of."""
    lines = [
        f"if {is_frame(0)}; then kill -KILL $$; fi",
        f"if {is_frame(1)}; then for file in pseudo/*; do echo broken > $file; done; exec $real $*; fi",
        "exit 1",
    ]
    pw = program("quantumespresso.pw", "\n".join(lines))
    node = labelled(pw, pw_inputs(pw.code), 0, 1, 2)
    assert node.exit_status == 401
    assert node.exit_message.startswith("3 of 3 labels failed, more than `allowed_failed_fraction` allows")
    assert "labels" not in node.outputs
    links = node.base.links.get_outgoing()
    killed, wrong, silent = (links.get_node_by_label(label_of(index)).exit_message for index in range(3))
    # What pw.x said itself would be said again.
    assert list(attempts(node).values()) == [2, 1, 2] and pw.starts == 5
    assert killed.endswith("pw.x crashed: it was killed with signal 9, as a machine without memory does.")
    assert "pw.x crashed: pw.x stopped: `" in wrong and "./pseudo/" in wrong
    assert silent.endswith("pw.x crashed: neither the program nor the scheduler left a message.")
    assert killed in node.exit_message


def test_labels_beyond_the_bound_on_forces_are_set_aside(program, pw_inputs):
    """The other is an output; what was computed stays in the graph, and is not computed again with another bound."""
    pw = program("quantumespresso.pw", "")
    inputs = pw_inputs(pw.code)
    near, far = label_of(0), label_of(15)
    labels = labelled(pw, inputs, 0, 15).outputs.labels
    largest = {name: np.linalg.norm(labels[name].get_array("forces")[-1], axis=1).max() for name in (near, far)}
    assert largest[far] > largest[near] + 0.3
    bound = (largest[near] + largest[far]) / 2
    before = pw.starts
    with enable_caching(identifier=PW):
        node = labelled(pw, {**inputs, "max_force": orm.Float(bound)}, 0, 15)
    assert pw.starts == before
    assert node.is_finished_ok and list(node.outputs.labels) == [near]
    child = node.base.links.get_outgoing().get_node_by_label(far)
    assert child.exit_status == 460 and f"is {largest[far]:.1f} eV/A, above `max_force`" in child.exit_message
    assert child.outputs.output_trajectory.get_array("forces").shape == (1, 2, 3)
    report = report_of(node)
    assert "1 of 2 labels done, 1 failed, 1 of them rejected for their forces" in report
    assert f"label `{far}` <{child.pk}> failed: Rejected: the force on atom " in report
