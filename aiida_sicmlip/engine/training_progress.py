"""Progress of a training: a line, a row of the curve and a checkpoint for each epoch, and the reasons to stop."""

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

    ``wall_time_limit`` is in seconds from when this object was made. Training errors are means over the epoch's steps,
    while the weights change; validation errors are of the weights at the end of the epoch. ``starting_validation_loss``
    is that of the weights before the first epoch; None where it is not finite. It is kept in the checkpoints with the
    curve, so that a continued training has both from its start.
    """

    def __init__(self, maximum_epochs: int, wall_time_limit: float | None = None) -> None:
        self.maximum_epochs = maximum_epochs
        self.wall_time_limit = wall_time_limit
        self.curve: dict[str, list[float]] = {column: [] for column in CURVE_COLUMNS}
        self.starting_validation_loss: float | None = None
        self.wall_time_reached = False
        self._learning_rate = 0.0
        self._start = time.monotonic()

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

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        # The schedule is advanced before the epoch's validation.
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        _require_finite(float(loss), "training", trainer.current_epoch + 1)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Take the row of the epoch: Lightning validates at the end of it, before the checkpoints are written."""
        validation = pl_module.val_metrics[0].compute()
        if trainer.sanity_checking:
            loss = float(validation["weighted_sum"])
            self.starting_validation_loss = loss if math.isfinite(loss) else None
            return
        training = {**pl_module.loss.compute(), **pl_module.train_metrics.compute()}
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
        if self.wall_time_limit is None or trainer.current_epoch + 1 >= self.maximum_epochs:
            return
        if time.monotonic() - self._start > self.wall_time_limit:
            self.wall_time_reached = True
            trainer.should_stop = True

    def stop_reason(self, trainer: Any) -> str:
        """Return why the fit ended: `wall_time_limit`, `early_stopping` or `maximum_epochs`."""
        stoppers = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]
        if any(callback.stopped_epoch for callback in stoppers):
            return "early_stopping"
        return "wall_time_limit" if self.wall_time_reached else "maximum_epochs"


class TrainingCheckpoints(ModelCheckpoint):
    """Saves the best and the last state after each epoch, then the curve up to there.

    A training continues in another folder than the one that saved its state. Lightning would then lose the loss of the
    best model, and take the first epoch for the best; here the loss is kept wherever the best model exists.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        folder = Path(str(self.dirpath))

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else path

        if not Path(here(state_dict["best_model_path"])).is_file():
            return
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath})

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, TrainingProgress):
                callback.write_curve()


def _require_finite(loss: float, kind: str, epoch: int) -> None:
    if not math.isfinite(loss):
        raise NotANumberError(
            f"The {kind} loss became {loss} in epoch {epoch}: lower `optimiser.learning_rate`, set "
            "`optimiser.gradient_clipping`, or look for unphysical frames."
        )
