"""A potential as text: how it was trained, on what, how wrong it is on each set, and where it is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm

from aiida_sicmlip.reports.text import Cells, duration, number, or_dash, table
from aiida_sicmlip.tools.potentials import TrainedPotential

ERRORS = ("force_mae", "force_rmse", "force_r2", "energy_mae", "energy_rmse", "energy_r2")
"""Errors of an evaluation that are shown, in eV/A and eV/atom; not all are there in evaluations of earlier versions."""
STOPPED = {
    "maximum_steps": "all steps done",
    "maximum_epochs": "all passes done",
    "early_stopping": "the validation loss did not fall any more",
    "wall_time_limit": "the wall time was over",
}


def potential_report(trained: TrainedPotential) -> dict[str, Any]:
    """Return what is known of a potential as plain values for JSON; None for what there is not.

    Keys: `pk`, `uuid`, `label`, `species`, `cutoff` (A); `training` (calculations, settings, seed, steps, time and
    so on), `curve` (columns by validation), `prior`, `data` and `errors` by set, `compiled`, a list.
    """
    potential = trained.potential
    return {
        "pk": potential.pk,
        "uuid": potential.uuid,
        "label": potential.label,
        "species": list(potential.species),
        "cutoff": potential.cutoff,
        "training": _training(trained),
        "curve": {name: values.tolist() for name, values in (training_curve(trained) or {}).items()} or None,
        "prior": _prior(trained),
        "data": _data(trained),
        "errors": {name: _errors(node) for name, node in trained.evaluations.items()},
        "compiled": [_compiled(node) for node in trained.compilations],
    }


def training_curve(trained: TrainedPotential) -> dict[str, np.ndarray] | None:
    """Return the columns of the training curve, (E,) each; None where there is none.

    That of a continued training is whole: a checkpoint carries what came before it.
    """
    return None if trained.training is None else _curve(trained.training)


def _curve(node: orm.CalcJobNode) -> dict[str, np.ndarray] | None:
    if "training_curve" not in node.outputs:
        return None
    curve = node.outputs.training_curve
    return {name: curve.get_array(name) for name in curve.get_arraynames()}


def kept_step(trained: TrainedPotential) -> float | None:
    """Return the step of the model that was kept; its epoch in early versions, whose curves have no step."""
    results = _results(trained.training)
    kept = results.get("best_step", results.get("best_epoch"))
    return None if kept is None else float(kept)


def attempts(trained: TrainedPotential) -> list[float]:
    """Return the last step before each part that continued the training; the last epoch in those of early versions."""
    curves = [_curve(part) for part in trained.trainings[:-1]]
    return [float(curve.get("step", curve["epoch"])[-1]) for curve in curves if curve is not None]


def potential_lines(report: dict[str, Any]) -> list[str]:
    """Return a report of :func:`potential_report` as text."""
    title = f"Potential <{report['pk']}>" + (f" `{report['label']}`" if report["label"] else "")
    rows = {"UUID": report["uuid"], "species": f"{', '.join(report['species'])}; cutoff {report['cutoff']:g} A"}
    rows |= _training_rows(report["training"]) if report["training"] else {"made by": "given as it is"}
    if report["training"]:
        rows["prior"] = _prior_text(report["prior"])
    width = max(map(len, rows))
    lines = [title, *(f"  {name.ljust(width)}  {text}" for name, text in rows.items())]
    if report["data"] or report["errors"]:
        lines += ["", errors_cells(report).text]
    if report["compiled"]:
        header = ("compiled model", "made by", "on", "device", "architecture", "torch", "called by")
        keys = ("pk", "calculation", "computer", "device", "gpu_architecture", "torch_version", "target")
        lines += ["", table(header, [[or_dash(entry[key]) for key in keys] for entry in report["compiled"]])]
    else:
        lines += ["", "It is compiled for no machine."]
    return lines


def _results(node: orm.CalcJobNode | None) -> dict[str, Any]:
    return node.outputs.results.get_dict() if node is not None and "results" in node.outputs else {}


def _training(trained: TrainedPotential) -> dict[str, Any] | None:
    """Return how the potential was trained."""
    node = trained.training
    if node is None:
        return None
    results = _results(node)
    names = ("settings", "n_parameters", "steps", "passes", "best_step", "stop_reason", "device", "threads", "versions")
    start = node.inputs.initial_potential.pk if "initial_potential" in node.inputs else None
    return {
        "calculations": [part.pk for part in trained.trainings],
        "code": node.inputs.code.full_label,
        "seed": node.inputs.seed.value,
        "initial_potential": start,
        "seconds": sum(_results(part).get("fit_seconds", 0.0) for part in trained.trainings),
        **{name: results.get(name) for name in names},
    }


def _prior(trained: TrainedPotential) -> dict[str, Any] | None:
    if trained.training is None or "prior" not in trained.training.inputs:
        return None
    prior = trained.training.inputs.prior
    return {"pk": prior.pk, "cutoff": prior.prior().cutoff, "residuals": prior.residuals}


def _data(trained: TrainedPotential) -> dict[str, Any]:
    """Return the data sets of the training."""
    if trained.training is None:
        return {}
    sets = {name: trained.training.inputs[f"{name}_set"] for name in ("training", "validation")}
    return {
        name: {"pk": node.pk, "n_frames": node.n_frames, "n_atoms": node.base.attributes.get("n_atoms")}
        for name, node in sets.items()
    }


def _errors(node: orm.CalcJobNode) -> dict[str, Any]:
    """Return the errors of an evaluation; the score is that on migrating atoms."""
    results = node.outputs.results.get_dict()
    return {
        "evaluation": node.pk,
        "dataset": node.inputs.dataset.pk,
        "n_frames": results["n_frames"],
        **{name: results.get(name) for name in ERRORS},
        "rare_event_score": results.get("rare_events", {}).get("migrating", {}).get("score"),
    }


def _compiled(node: orm.CalcJobNode) -> dict[str, Any]:
    """Return what a compilation made, and for which machine."""
    model = node.outputs.compiled_potential
    names = ("device", "target", "torch_version", "gpu_architecture")
    return {
        "pk": model.pk,
        "calculation": node.pk,
        "computer": node.computer.label if node.computer is not None else None,
        **{name: model.base.attributes.get(name, None) for name in names},
    }


def _training_rows(training: dict[str, Any]) -> dict[str, str]:
    """Return the rows of the text that say how a potential was trained."""
    pks = ", ".join(f"<{pk}>" for pk in training["calculations"])
    continued = " (continued)" if len(training["calculations"]) > 1 else ""
    rows = {"trained by": f"{pks}{continued} with {training['code']}, seed {training['seed']}"}
    settings = training["settings"]
    if settings is not None:
        loss, schedule = settings["loss"], settings["schedule"]
        rows["model"] = _model_text(training)
        rows["loss"] = _loss_text(loss)
        rows["optimiser"] = (
            f"Adam, learning rate {settings['optimiser']['learning_rate']:g}, schedule {schedule['kind']}, "
            f"batches of {settings['batch_size']}"
        )
    if training["steps"] is not None:
        most = "" if settings is None else f" of at most {settings['maximum_steps']:,}"
        rows["steps"] = f"{training['steps']:,}{most}, {training['passes']:,} passes over the training set"
    if training["stop_reason"] is not None:
        reason = training["stop_reason"]
        kept = "" if training["best_step"] is None else f"kept the model of step {training['best_step']:,}; "
        rows["end"] = f"{kept}{STOPPED.get(reason, reason)}"
        rows["time"] = f"{duration(training['seconds'])} on {training['device']}, threads {training['threads']}"
    return rows


def _loss_text(loss: dict[str, Any]) -> str:
    """Return the weights of the loss; those of early versions have neither a Huber loss nor a last share."""
    energy, delta = f"{loss['energy']:g}", loss.get("huber_delta")
    if loss.get("final_energy") is not None:
        energy += f", {loss['final_energy']:g} in the last {100 * loss['final_share']:g} %"
    forces = "squared" if delta is None else f"Huber, linear beyond {delta:g} eV/A"
    return f"weights {energy} (energy per atom) and {loss['forces']:g} (forces, {forces})"


def _model_text(training: dict[str, Any]) -> str:
    """Return what the network is like; one that started from a potential has the form of that."""
    weights = "" if training["n_parameters"] is None else f", {training['n_parameters']} weights"
    if training["initial_potential"] is not None:
        return f"that of potential <{training['initial_potential']}>, trained further{weights}"
    model = training["settings"]["model"]
    return (
        f"layers {model['num_layers']}, l_max {model['l_max']}, scalar features {model['num_scalar_features']}, tensor "
        f"features {model['num_tensor_features']}{weights}, {model['precision']}"
    )


def _prior_text(prior: dict[str, Any] | None) -> str:
    if prior is None:
        return "none"
    text = f"Lennard-Jones <{prior['pk']}>, cutoff {prior['cutoff']:g} A"
    stages = prior["residuals"]
    if {"before", "after"} <= set(stages):
        before, after = (stages[stage]["forces_rmse"] for stage in ("before", "after"))
        text += f"; root mean square force {before:.3f} eV/A, {after:.3f} eV/A of it left"
    return text


def errors_cells(report: dict[str, Any]) -> Cells:
    """Return the data sets with the errors on each."""
    header = (
        "set",
        "data set",
        "configurations",
        "evaluation",
        "force (eV/A)\nMAE",
        "\nRMSE",
        "\nR2",
        "energy (meV/atom)\nMAE",
        "\nRMSE",
        "\nR2",
        "rare events\nP",
    )
    rows = []
    for name in dict.fromkeys([*report["data"], *report["errors"]]):
        errors = report["errors"].get(name, {})
        data = report["data"].get(name) or {"pk": errors["dataset"], "n_frames": errors["n_frames"]}
        rows.append(
            (
                name,
                f"<{data['pk']}>",
                f"{data['n_frames']}",
                "-" if not errors else f"<{errors['evaluation']}>",
                *(number(errors.get(key), 3) for key in ERRORS[:2]),
                number(errors.get("force_r2")),
                *(number(errors.get(key), 1, 1000.0) for key in ERRORS[3:5]),
                number(errors.get("energy_r2")),
                number(errors.get("rare_event_score"), 3),
            )
        )
    return Cells(header, rows)
