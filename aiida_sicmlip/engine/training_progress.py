"""Progress of a training: a printed line and a stored row for each epoch, and the reasons to stop early."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping

from aiida_sicmlip.engine.errors import NotANumberError

#: Columns of the training curve, with their units.
CURVE_COLUMNS: dict[str, str] = {
    "epoch": "1",
    "learning_rate": "1",
    "training_loss": "weighted mean of (eV/atom)^2 and (eV/A)^2",
    "training_force_mae": "eV/A",
    "training_energy_mae": "eV/atom",
    "validation_loss": "weighted mean of (eV/atom)^2 and (eV/A)^2",
    "validation_force_mae": "eV/A",
    "validation_energy_mae": "eV/atom",
}


class TrainingProgress(Callback):
    """Records the curve, prints it, stops at the wall-time limit and at the first loss that is not finite.

    ``maximum_epochs`` is for the printed line only; ``wall_time_limit`` is in seconds from when this object was made.
    Training errors are means over the epoch's steps, while the weights change; validation errors are of the weights at
    the end of the epoch.
    """

    def __init__(self, maximum_epochs: int, wall_time_limit: float | None = None) -> None:
        self.maximum_epochs = maximum_epochs
        self.wall_time_limit = wall_time_limit
        self.curve: dict[str, list[float]] = {column: [] for column in CURVE_COLUMNS}
        self.wall_time_reached = False
        self._learning_rate = 0.0
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"curve": {column: list(values) for column, values in self.curve.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curve = {column: list(state_dict["curve"][column]) for column in CURVE_COLUMNS}

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        # The schedule moves on before the epoch's validation.
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        _require_finite(float(loss), "training", trainer.current_epoch + 1)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Take the row of the epoch: Lightning validates at the end of it, before the checkpoints are written."""
        training = {**pl_module.loss.compute(), **pl_module.train_metrics.compute()}
        validation = pl_module.val_metrics[0].compute()
        row = {
            "epoch": trainer.current_epoch + 1,
            "learning_rate": self._learning_rate,
            "training_loss": float(training["weighted_sum"]),
            "training_force_mae": float(training["forces_mae"]),
            "training_energy_mae": float(training["energy_mae"]),
            "validation_loss": float(validation["weighted_sum"]),
            "validation_force_mae": float(validation["forces_mae"]),
            "validation_energy_mae": float(validation["energy_mae"]),
        }
        _require_finite(row["validation_loss"], "validation", trainer.current_epoch + 1)
        for column, value in row.items():
            self.curve[column].append(value)
        print(
            f"epoch {row['epoch']:5d}/{self.maximum_epochs}  training loss {row['training_loss']:.6f}  "
            f"validation loss {row['validation_loss']:.6f}  force MAE {row['validation_force_mae']:.4f} eV/A  "
            f"energy MAE {row['validation_energy_mae']:.5f} eV/atom  learning rate {row['learning_rate']:.2e}",
            flush=True,
        )

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        if self.wall_time_limit is not None and time.monotonic() - self._start > self.wall_time_limit:
            self.wall_time_reached = True
            trainer.should_stop = True

    def stop_reason(self, trainer: Any) -> str:
        """Return why the fit ended: `wall_time_limit`, `early_stopping` or `maximum_epochs`."""
        if self.wall_time_reached:
            return "wall_time_limit"
        stoppers = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]
        return "early_stopping" if any(callback.stopped_epoch for callback in stoppers) else "maximum_epochs"


def _require_finite(loss: float, kind: str, epoch: int) -> None:
    if not math.isfinite(loss):
        raise NotANumberError(
            f"The {kind} loss became {loss} in epoch {epoch}: lower `optimiser.learning_rate`, set "
            "`optimiser.gradient_clipping`, or look for unphysical frames."
        )
