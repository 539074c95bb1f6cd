"""How a label from first principles answers to failures; the ends of its calculations are made up."""

from __future__ import annotations

import io

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy.utils import AttributesFrozendict

from aiida_sicmlip.tools.failure_messages import diagnose_failure
from aiida_sicmlip.workflows.base.reattach import called
from aiida_sicmlip.workflows.labelling.pw_label import PwLabelWorkChain
from tests.graphs.processes import ended

CRASH = " %%%%%%%%%%\n     Error in routine readpp (2):\n     file Si.upf not found\n %%%%%%%%%%\n"


@pytest.fixture
def label(chain, inputs, divacancy):
    """Makes a label whose attempts have finished as given: exit status, and what the scheduler's file and CRASH say."""

    def make(*ends):
        given = dict(inputs["labelling"]["pw"])
        given["pw"] = {**given["pw"], "structure": orm.StructureData(ase=divacancy)}
        instance = chain(PwLabelWorkChain, given)
        instance.setup()
        instance.validate_kpoints()
        for number, (status, stderr, crash) in enumerate(ends, start=1):
            instance.ctx.iteration = number
            instance.ctx.children.append(calculation(given["pw"]["code"].computer, status, stderr, crash))
            instance.add_list_of_handlers()
            if number < len(ends):
                assert instance.inspect_process().status == 0
        return instance

    return make


@pytest.mark.parametrize(("bound", "status"), [(None, 0), (8.0, 0), (4.0, 460)])
def test_label_with_too_large_forces_is_set_aside(label, divacancy, bound, status):
    """It stays an output, and the message names the atom."""
    instance = label((0, "", ""))
    if bound is not None:
        instance._parsed_inputs = AttributesFrozendict({**instance.inputs, "max_force": orm.Float(bound)})
    forces = np.zeros((1, len(divacancy), 3))
    forces[0, 5] = [3.0, 0.0, 4.0]
    trajectory = orm.TrajectoryData()
    kinds = divacancy.get_chemical_symbols()
    trajectory.set_trajectory(kinds, divacancy.positions[None], cells=divacancy.cell.array[None])
    trajectory.set_array("forces", forces)
    results = orm.Dict({})
    for name, node in (("output_trajectory", trajectory), ("output_parameters", results)):
        node.base.links.add_incoming(instance.ctx.children[-1], LinkType.CREATE, name)
        node.store()
    code = instance.results()
    assert (code.status if code else 0) == status
    assert instance.outputs["output_trajectory"].uuid == trajectory.uuid
    if status:
        assert code.message == (f"Rejected: the force on atom 5 ({kinds[5]}) is 5.0 eV/A, above `max_force`, 4 eV/A.")


def calculation(computer, status, stderr="", crash=""):
    """Return a calculation that has ended with ``status``."""
    retrieved = orm.FolderData()
    for name, content in (("_scheduler-stderr.txt", stderr), ("CRASH", crash)):
        if content:
            retrieved.base.repository.put_object_from_filelike(io.BytesIO(content.encode()), name)
    remote = orm.RemoteData(remote_path="/", computer=computer)
    return ended(status, "what the parser said", retrieved=retrieved, remote_folder=remote)


@pytest.mark.parametrize("words", ["job.sh: line 9: 77 Killed pw.x", "line 9: Segmentation fault", "", "slurmd: oops"])
@pytest.mark.parametrize("status", [303, 305, 312])
def test_crashed_calculation_is_repeated_once(label, words, status):
    """A machine may be to blame; twice is no accident."""
    instance = label((status, words, ""))
    assert instance.inspect_process().status == 0
    assert "parent_folder" not in instance.ctx.inputs
    instance = label((status, words, ""), (status, words, ""))
    code = instance.inspect_process()
    assert code.status == 402
    assert code.message.startswith(f"Calculation <{instance.ctx.children[-1].pk}> failed: pw.x crashed: ")


@pytest.mark.parametrize(
    ("stderr", "crash", "reason"),
    [
        ("", CRASH, "pw.x stopped: `Error in routine readpp (2): file Si.upf not found`"),
        ("line 9: pw.x: No such file or directory", "", "the program could not be started (`line 9: pw.x: No such"),
        ("write: No space left on device", CRASH, "the disk or a quota of the work folder is full (`write: No space"),
        ("slurmstepd: error: Detected 1 oom-kill event", "", "the machine ran out of memory"),
    ],
)
def test_what_would_happen_again_is_not_tried_again(label, stderr, crash, reason):
    """The reason ends the label, and is what the user reads."""
    code = label((305, stderr, crash)).inspect_process()
    assert code.status == 402 and reason in code.message


def test_words_that_are_no_failure():
    """Fortran's note on exceptions in the arithmetic comes with good runs, too."""
    kind, diagnosis = diagnose_failure("Note: The following floating-point exceptions are signalling: IEEE_DENORMAL")
    assert kind is None and "IEEE_DENORMAL" in diagnosis


def test_a_try_is_found_again(label):
    """The step that submits runs again after a kill: upstream's class submits a twin then."""
    instance = label()
    instance.run_process()
    instance.ctx.iteration = 0
    instance.run_process()
    assert len(called(instance.node, "iteration_01")) == 1


def test_limit_of_tries_names_the_last(label):
    """`max_iterations` is the engine's, its message ours."""
    instance = label(*[(462, "", "")] * 3)
    instance._parsed_inputs = type(instance.inputs)({**instance.inputs, "max_iterations": orm.Int(3)})
    code = instance.inspect_process()
    assert code.status == 401
    assert "Not finished after 3 calculations" in code.message and "what the parser said" in code.message
