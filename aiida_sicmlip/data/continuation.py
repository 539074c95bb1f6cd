"""Where a run of molecular dynamics can be continued, as a node."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.common import filenames


class ContinuationData(orm.FolderData):
    """The state of a run after one of its steps: LAMMPS' restart file and, of a biased run, the state of the bias.

    It is kept in the graph and not on the machine that computed it, so that a run can go on anywhere and at any time.
    """

    @classmethod
    def from_files(cls, step: int, restart: Path, state: Path | None = None) -> ContinuationData:
        """Return an unstored node.

        :param step: production step after which both files were written.
        :param restart: LAMMPS' restart file.
        :param state: state of the bias after the same step; ``None`` for a run without a bias.
        """
        node = cls()
        node.base.attributes.set("step", int(step))
        node.base.repository.put_object_from_file(str(restart), filenames.RESTART_FILE)
        if state is not None:
            node.base.repository.put_object_from_file(str(state), filenames.STATE_FILE)
        return node

    @property
    def step(self) -> int:
        """Production step after which the run goes on."""
        return self.base.attributes.get("step")

    @property
    def biased(self) -> bool:
        """Whether the state of a bias is part of it."""
        return filenames.STATE_FILE in self.base.repository.list_object_names()

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        return f"after step {self.step}{', with its bias' if self.biased else ''}"

    def _validate(self) -> bool:
        super()._validate()
        if not isinstance(self.base.attributes.get("step", None), int):
            raise ValidationError("`step` is missing: say after which production step the run goes on.")
        if filenames.RESTART_FILE not in self.base.repository.list_object_names():
            raise ValidationError(f"the restart file of LAMMPS, `{filenames.RESTART_FILE}`, is missing.")
        return True
