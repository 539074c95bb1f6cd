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
    """Records and prints the training curve; stops at the wall-time limit and raises an error for a loss not finite.

    Training errors are means over the steps of an epoch, during which the weights change; validation errors are those
    of the weights at the end of the epoch. The validation loss of the weights before the first epoch is
    ``starting_validation_loss``, None if it is not finite. Curve and this loss are stored in the checkpoints, so that
    a continued training has them from its start.

    :param maximum_epochs: for the printed lines.
    :param wall_time_limit: s after the construction of this object; None: no limit.
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
        # Lightning advances the schedule before the validation of the epoch.
        self._learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        _require_finite(float(loss), "training", trainer.current_epoch + 1)

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Append the row of the epoch; Lightning validates at its end, before the checkpoints are written."""
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
    """Saves the best and the last state after each epoch, and then the training curve.

    A training is continued in a different folder, in which Lightning would discard the loss of the best model and take
    the first epoch for the best. Here the paths of the state are changed to this folder if it contains the best model.
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


def _require_finite(loss: float, kind: str, epoch: int) -> None:
    if not math.isfinite(loss):
        raise NotANumberError(
            f"The {kind} loss is {loss} in epoch {epoch}; decrease `optimiser.learning_rate`, set "
            "`optimiser.gradient_clipping`, or remove unphysical frames."
        )
