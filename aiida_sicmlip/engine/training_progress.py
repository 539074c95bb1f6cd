"""Lightning callbacks of a training: training curve, checkpoints and stop conditions."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from aiida_sicmlip.common.filenames import TRAINING_CURVE_FILE
from aiida_sicmlip.engine.errors import NotANumberError
from aiida_sicmlip.engine.reports import write_report

_LOSS = "weighted mean of (eV/atom)^2 and (eV/A)^2"
#: Columns of the training curve, with their units.
CURVE_COLUMNS: dict[str, str] = {
    "step": "1",
    "epoch": "passes over the training set",
    "learning_rate": "1",
    "training_loss": _LOSS,
    "training_force_mae": "eV/A",
    "training_energy_mae": "eV/atom",
    "validation_loss": _LOSS,
    "validation_force_mae": "eV/A",
    "validation_energy_mae": "eV/atom",
}


class TrainingProgress(Callback):
    """Records and prints the training curve; stops at the wall-time limit and raises an error for a loss not finite.

    Validation errors are those of the weights at the step, of the averaged weights if there are any. Training errors
    are means over the steps of the last pass over the training set, during which the weights change. The validation
    loss of the weights before the first step is ``starting_validation_loss``, None if it is not finite. Curve and this
    loss are stored in the checkpoints, so that a continued training has them from its start.

    :param maximum_steps: number of optimiser steps.
    :param passes_between_validations: passes over the training set.
    :param wall_time_limit: s after the construction of this object; None: no limit.
    """

    def __init__(
        self, maximum_steps: int, passes_between_validations: int = 1, wall_time_limit: float | None = None
    ) -> None:
        self.maximum_steps = maximum_steps
        self.passes_between_validations = passes_between_validations
        self.wall_time_limit = wall_time_limit
        self.curve: dict[str, list[float]] = {column: [] for column in CURVE_COLUMNS}
        self.starting_validation_loss: float | None = None
        self.wall_time_reached = False
        self._learning_rate = 0.0
        self._start = time.monotonic()
        self._first_step = 0
        self._start_of_fit = self._start

    def state_dict(self) -> dict[str, Any]:
        return {
            "curve": {column: list(values) for column, values in self.curve.items()},
            "starting_validation_loss": self.starting_validation_loss,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curve = {column: list(state_dict["curve"][column]) for column in CURVE_COLUMNS}
        self.starting_validation_loss = state_dict["starting_validation_loss"]

    def write_curve(self) -> None:
        """Write the curve up to the current epoch."""
        write_report(TRAINING_CURVE_FILE, {"units": CURVE_COLUMNS, "columns": self.curve})

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._first_step, self._start_of_fit = trainer.global_step, time.monotonic()

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Lightning advances the schedule before the validation.
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        _require_finite(float(loss), "training", trainer.global_step)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Append a row; Lightning validates at the end of a pass, before the checkpoints are written."""
        validation = pl_module.val_metrics[0].compute()
        if trainer.sanity_checking:
            loss = float(validation["weighted_sum"])
            self.starting_validation_loss = loss if math.isfinite(loss) else None
            return
        training = {**pl_module.loss.compute(), **pl_module.train_metrics.compute()}
        row = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch + 1,
            "learning_rate": self._learning_rate,
            "training_loss": float(training["weighted_sum"]),
            "training_force_mae": float(training["forces_mae"]),
            "training_energy_mae": float(training["energy_mae"]),
            "validation_loss": float(validation["weighted_sum"]),
            "validation_force_mae": float(validation["forces_mae"]),
            "validation_energy_mae": float(validation["energy_mae"]),
        }
        _require_finite(row["validation_loss"], "validation", trainer.global_step)
        for column, value in row.items():
            self.curve[column].append(value)
        print(
            f"step {row['step']:6d}/{self.maximum_steps}  force MAE {row['training_force_mae']:.4f} eV/A in training, "
            f"{row['validation_force_mae']:.4f} eV/A in validation  energy MAE {row['validation_energy_mae']:.5f} "
            f"eV/atom  learning rate {row['learning_rate']:.2e}  {self._time_left(trainer.global_step)}",
            flush=True,
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        # Only what was validated is saved, and can be continued.
        validated = (trainer.current_epoch + 1) % self.passes_between_validations == 0
        if self.wall_time_limit is None or not validated or trainer.global_step >= self.maximum_steps:
            return
        if time.monotonic() - self._start > self.wall_time_limit:
            self.wall_time_reached = True
            trainer.should_stop = True

    def stop_reason(self, trainer: Any) -> str:
        """Return why the fit ended: `wall_time_limit`, `early_stopping` or `maximum_steps`."""
        stoppers = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]
        if any(callback.stopped_epoch for callback in stoppers):
            return "early_stopping"
        return "wall_time_limit" if self.wall_time_reached else "maximum_steps"

    def _time_left(self, step: int) -> str:
        """Return the time to the last step, at the pace so far."""
        seconds = (time.monotonic() - self._start_of_fit) / (step - self._first_step) * (self.maximum_steps - step)
        if seconds >= 5400:
            return f"{seconds / 3600:.1f} h left"
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


class TrainingCheckpoints(ModelCheckpoint):
    """Saves the best and the last state after each validation, and then the training curve.

    A training is continued in a different folder, in which Lightning would discard the loss of the best model and take
    the first validation for the best. Here the paths of the state are changed to this folder if it contains the best
    model.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        folder = Path(str(self.dirpath))

        def in_folder(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        if not Path(in_folder(state_dict["best_model_path"])).is_file():
            return
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {name: in_folder(state_dict[name]) for name in names}
        best = {in_folder(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, TrainingProgress):
                callback.write_curve()


def _require_finite(loss: float, kind: str, step: int) -> None:
    if not math.isfinite(loss):
        raise NotANumberError(
            f"The {kind} loss is {loss} in step {step}; decrease `optimiser.learning_rate`, set "
            "`optimiser.gradient_clipping`, or remove unphysical frames."
        )
