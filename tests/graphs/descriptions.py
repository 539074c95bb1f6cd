"""Descriptions of frames done in the process of the tests, with the graph that a calculation leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager
from ase.utils import workdir

from aiida_sicmlip.calculations.descriptors import DescriptorsCalculation
from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.process_types import DESCRIPTORS
from aiida_sicmlip.data.candidates import CandidateFramesData
from tests.graphs.processes import output, process


class Description:
    """Writes what a calculation writes, runs its program's code, and keeps the outcome as the parser does."""

    def __init__(self, code: orm.AbstractCode, folder: Path) -> None:
        self.code = code
        self.folder = folder
        self.count = 0
        self.report: dict[str, Any] = {}

    def __call__(self, trajectories: dict[str, dict[str, Any]], **inputs: Any) -> CandidateFramesData:
        """Return the candidates of trajectories by start structure, with their creator and all its inputs."""
        from aiida_sicmlip.engine.candidates import write_round_candidates

        inputs = {"code": self.code, "seed": orm.Int(1), **inputs, "trajectories": trajectories}
        inputs["metadata"] = {"options": {"resources": {"num_machines": 1}}}
        calculation = instantiate_process(get_manager().get_runner(), DescriptorsCalculation, **inputs)
        folder = self.folder / f"description_{self.count}"
        folder.mkdir()
        self.count += 1
        calcinfo = calculation.prepare_for_submission(Folder(str(folder)))
        for uuid, filename, target in calcinfo.local_copy_list:
            content = orm.load_node(uuid).base.repository.get_object_content(filename, mode="rb")
            (folder / target).write_bytes(content)
        with workdir(folder):
            write_round_candidates(
                Path(filenames.DESCRIPTORS_SETTINGS_FILE), Path(filenames.CANDIDATES_FILE), 1, self.report
            )
        node = process(orm.CalcJobNode, DESCRIPTORS, **dict(flat(calculation.inputs)))
        output(node, "results", orm.Dict(self.report))
        return output(node, "candidates", CandidateFramesData.from_file(folder / filenames.CANDIDATES_FILE))


def flat(inputs: Any, prefix: str = "") -> list[tuple[str, orm.Data]]:
    """Return the nodes of nested inputs with the labels that their links have."""
    found = []
    for name, value in inputs.items():
        if isinstance(value, orm.Data):
            found.append((f"{prefix}{name}", value))
        elif name != "metadata":
            found += flat(value, f"{prefix}{name}__")
    return found
