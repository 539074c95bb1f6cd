"""The state from which a training can be continued, as a node."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.common.filenames import BEST_CHECKPOINT_FILE, LAST_CHECKPOINT_FILE


class TrainingCheckpointData(orm.FolderData):
    """The state of a training at its last validation, and that at its best one.

    The last state holds weights, optimiser, schedule, random numbers and the curve so far, so that the training
    continues as if it had not been interrupted; the best one is packaged where no later one is better. Both are kept
    in the graph and not on the machine that computed them. Made by a ``TrainingCalcJob`` that was interrupted.
    """

    @classmethod
    def from_files(cls, steps: int, last: Path, best: Path) -> TrainingCheckpointData:
        """Return an unstored node of two checkpoints of NequIP.

        :param steps: number of optimiser steps that are known to be part of it.
        """
        node = cls()
        node.base.attributes.set("steps", int(steps))
        node.base.repository.put_object_from_file(str(last), LAST_CHECKPOINT_FILE)
        node.base.repository.put_object_from_file(str(best), BEST_CHECKPOINT_FILE)
        return node

    @property
    def steps(self) -> int:
        """Number of optimiser steps that are done; a training that was killed while it saved may have some more."""
        return self.base.attributes.get("steps")

    def _validate(self) -> bool:
        super()._validate()
        if not isinstance(self.base.attributes.get("steps", None), int):
            raise ValidationError("`steps` is missing: say after how many optimiser steps the training goes on.")
        missing = {LAST_CHECKPOINT_FILE, BEST_CHECKPOINT_FILE} - set(self.base.repository.list_object_names())
        if missing:
            raise ValidationError(f"the file `{min(missing)}` of the checkpoint is missing.")
        return True
