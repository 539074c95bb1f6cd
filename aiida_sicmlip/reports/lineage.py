"""The lineage of a model as text: a tree by round, one configuration, tables, and plain values for JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.reports.text import table
from aiida_sicmlip.science.labels.states import charge_in_words, spin_in_words
from aiida_sicmlip.tools.lineage import Configuration, Lineage, Model, RoundOfRun, by_round
from aiida_sicmlip.tools.lineage.configurations import NODES, nodes_of_configurations
from aiida_sicmlip.tools.lineage.rounds import uuids_of_nodes

Branch = tuple[str, list[Any]]
"""A line of a tree with the branches below it."""
_MOST = 4
"""Largest number of nodes of a kind that are named in a line."""


def configurations_of_set(lineage: Lineage, name: str) -> list[Configuration]:
    """Return the configurations of one of a model's data sets.

    :raises InputError: if it has no set of that name.
    """
    if name not in lineage.sets:
        raise InputError(f"model <{lineage.model.potential}> has no set `{name}`. {nearest_name(name, lineage.sets)}")
    return lineage.sets[name]


def lineage_tree(lineage: Lineage) -> list[str]:
    """Return a lineage as a tree for people: data sets by round, and what each round's frames and labels are from."""
    model = lineage.model
    rounds = {one.potential: one.round for one in (*lineage.earlier, model)}
    potential = orm.load_node(model.potential)
    branches: list[Branch] = [
        (_of_set(name, model.sets[name], configurations), _rounds(configurations, rounds))
        for name, configurations in lineage.sets.items()
    ]
    if model.prior is not None:
        fitted = f", fitted to data set <{model.prior_fitted_to}>" if model.prior_fitted_to is not None else ""
        branches.append((f"prior <{model.prior}>{fitted}", []))
    if model.initial_potential is not None:
        branches.append((f"started from the weights of {_model(model.initial_potential, rounds)}", []))
    if lineage.earlier:
        earlier: list[Branch] = [
            (f"{_title(one)}, trained on data set <{one.training_set}>", []) for one in lineage.earlier
        ]
        branches.append(("models before", earlier))
    attempts = f" in {len(model.attempts)} attempts {_pks(model.attempts)}" if len(model.attempts) > 1 else ""
    return [
        f"{_title(model)}: {', '.join(potential.species)}, cutoff {potential.cutoff:g} A,",
        f"trained by {orm.load_node(model.training).process_label} <{model.training}>{attempts}{_seed(model)}",
        *_drawn(branches),
    ]


def configuration_lines(lineage: Lineage, name: str, index: int) -> list[str]:
    """Return all that led to one configuration, one step a line.

    :raises InputError: if the model has no such set, or the set no configuration of that index.
    """
    configurations = configurations_of_set(lineage, name)
    if not 0 <= index < len(configurations):
        raise InputError(
            f"the {_name(name)} <{lineage.model.sets[name]}> has no configuration {index}; its indices are 0 to "
            f"{len(configurations) - 1}."
        )
    configuration = configurations[index]
    rounds = {one.potential: one.round for one in (*lineage.earlier, lineage.model)}
    steps: list[tuple[str, str]] = [("set", f"{_name(name)} <{lineage.model.sets[name]}>, index {index}")]
    if configuration.origin is not None:
        steps.append(("round", f"{configuration.origin.index} of run <{configuration.origin.run}>"))
    if configuration.file is not None:
        steps.append(
            (
                "imported from",
                f"{orm.load_node(configuration.file).filename} <{configuration.file}>, "
                f"frame {configuration.file_index}",
            )
        )
    if configuration.label is not None:
        steps.append(("label", f"<{configuration.label}>"))
    if configuration.calculation is not None:
        code = f" with {_codes([configuration.code])}" if configuration.code is not None else ""
        steps.append(
            (
                "computed by",
                f"{orm.load_node(configuration.calculation).process_label} <{configuration.calculation}>{code}",
            )
        )
    if configuration.level_of_theory is not None:
        steps.append(("level of theory", _level(configuration.level_of_theory)))
    steps.append(("electrons", _state(configuration)))
    if configuration.structure is not None:
        steps.append(
            ("structure", f"{orm.load_node(configuration.structure).get_formula()} <{configuration.structure}>")
        )
    if configuration.trajectory is not None:
        time = f", step {configuration.step}, {configuration.time:g} ps" if configuration.step is not None else ""
        steps.append(("trajectory", f"<{configuration.trajectory}>, frame {configuration.frame}{time}"))
    if configuration.start is not None:
        steps.append(("started from", configuration.start))
    if configuration.exploration is not None:
        steps.append(
            ("run by", f"{orm.load_node(configuration.exploration).process_label} <{configuration.exploration}>")
        )
    if configuration.potential is not None:
        steps.append(("driven by", _driver(configuration, rounds)))
    if configuration.collective_variables is not None:
        steps.append(("biased along", f"collective variables <{configuration.collective_variables}>"))
    width = max(len(what) for what, _ in steps)
    return [f"{what.rjust(width)}  {detail}" for what, detail in steps]


def configurations_table(configurations: Sequence[Configuration]) -> str:
    """Return a table with a row for each configuration."""
    header = (
        *(
            "index",
            "round",
            "label",
            "calculation",
            "code",
            "level of\ntheory",
            "charge",
            "spin",
            "structure",
            "start",
            "trajectory",
        ),
        *("frame", "step", "time\n(ps)", "driven\nby", "model", "biased\nalong"),
    )
    rows = [
        tuple(
            "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            for value in (
                *(
                    configuration.index,
                    configuration.round,
                    configuration.label,
                    configuration.calculation,
                    configuration.code,
                    configuration.level_of_theory,
                ),
                *(
                    configuration.charge,
                    configuration.spin,
                    configuration.structure,
                    configuration.start,
                    configuration.trajectory,
                    configuration.frame,
                    configuration.step,
                    configuration.time,
                ),
                *(configuration.potential, configuration.model, configuration.collective_variables),
            )
        )
        for configuration in configurations
    ]
    return table(header, rows)


def configuration_values(configurations: Sequence[Configuration]) -> list[dict[str, Any]]:
    """Return each configuration as plain values: its fields, and for each node its UUID, under `..._uuid`."""
    uuids = uuids_of_nodes(nodes_of_configurations(configurations))
    values_of_all = []
    for configuration in configurations:
        values = asdict(configuration)
        for name in NODES:
            values[f"{name}_uuid"] = uuids.get(values[name])
        values_of_all.append(values)
    return values_of_all


CONFIGURATION_COLUMNS = (*(entry.name for entry in fields(Configuration)), *(f"{name}_uuid" for name in NODES))
"""Names of the values of a configuration, in their order."""


def lineage_values(lineage: Lineage) -> dict[str, Any]:
    """Return a whole lineage as plain values for JSON: `model`, `earlier` models, and `sets` of configurations."""
    models = (lineage.model, *lineage.earlier)
    uuids = uuids_of_nodes({pk for one in models for pk in (one.potential, one.training, *one.sets.values())})

    def values(model: Model) -> dict[str, Any]:
        known = {name: uuids.get(getattr(model, name)) for name in ("potential", "training")}
        return asdict(model) | {f"{name}_uuid": known[name] for name in known}

    sets = {
        name: {
            "dataset": lineage.model.sets[name],
            "dataset_uuid": uuids[lineage.model.sets[name]],
            "configurations": configuration_values(configurations),
        }
        for name, configurations in lineage.sets.items()
    }
    return {"model": values(lineage.model), "earlier": [values(one) for one in lineage.earlier], "sets": sets}


def level_in_words(level: Mapping[str, Any]) -> str:
    """Return functional and cutoff of a level of theory, as far as it has them."""
    cutoff = level.get("settings", {}).get("ecutwfc")
    parts = [level.get("functional"), f"{cutoff:g} Ry" if cutoff is not None else None]
    return " ".join(filter(None, parts))


def counted(number: int, what: str) -> str:
    """Return a number with its noun, in the plural where it is not one."""
    return f"{number} {what}" + ("s" if number != 1 else "")


def round_title(where: RoundOfRun | None) -> str:
    """Return the name of a round."""
    return "outside of a run" if where is None else f"round {where.index} of run <{where.run}>"


def _rounds(configurations: Iterable[Configuration], rounds: dict[int, RoundOfRun | None]) -> list[Branch]:
    """Return a branch for each round of a data set."""
    branches: list[Branch] = []
    for where, of_round in by_round(configurations).items():
        spans = _spans(configuration.index for configuration in of_round)
        title = f"{round_title(where)}: {counted(len(of_round), 'configuration')}, indices {spans}"
        branches.append((title, [(line, []) for line in _of_round(of_round, rounds)]))
    return branches


def _of_round(configurations: Sequence[Configuration], rounds: dict[int, RoundOfRun | None]) -> list[str]:
    """Return what the frames and labels of a round are from."""
    lines = []
    files = _distinct(configuration.file for configuration in configurations)
    lines += [f"imported from {orm.load_node(pk).filename} <{pk}>" for pk in files]
    labels = sum(configuration.label is not None for configuration in configurations)
    if labels:
        codes = _codes(_distinct(configuration.code for configuration in configurations))
        levels = "; ".join(
            _level(pk) for pk in _distinct(configuration.level_of_theory for configuration in configurations)
        )
        states = "; ".join(
            dict.fromkeys(_state(configuration) for configuration in configurations if configuration.label is not None)
        )
        level = levels or "an unknown level of theory"
        lines.append(f"labelled with {codes or 'an unknown code'}, at {level}; {states}")
    trajectories = _distinct(configuration.trajectory for configuration in configurations)
    if trajectories:
        starts = _distinct(configuration.start for configuration in configurations)
        begun = f", started from {', '.join(starts)}" if starts else ""
        several = "trajectory" if len(trajectories) == 1 else f"{len(trajectories)} trajectories"
        lines.append(f"frames of {several} {_pks(trajectories)}{begun}")
    driven = {
        configuration.potential: configuration
        for configuration in configurations
        if configuration.potential is not None
    }
    if driven:
        lines.append(f"driven by {'; '.join(_driver(configuration, rounds) for configuration in driven.values())}")
    variables = _distinct(configuration.collective_variables for configuration in configurations)
    if variables:
        lines.append(f"biased along collective variables {_pks(variables)}")
    return lines or ["given as they are"]


def _driver(configuration: Configuration, rounds: dict[int, RoundOfRun | None]) -> str:
    """Return what drove a trajectory."""
    if configuration.model is not None:
        return f"{_model(configuration.model, rounds)}, compiled as <{configuration.potential}>"
    node = orm.load_node(configuration.potential)
    style = node.base.attributes.get("pair_style", None)
    return f"{style or 'a given'} potential <{node.pk}>"


def _model(pk: int, rounds: dict[int, RoundOfRun | None]) -> str:
    where = rounds.get(pk)
    return f"model <{pk}>" + (f" of round {where.index}" if where is not None else "")


def _title(model: Model) -> str:
    """Return what a model is called."""
    where = f", {round_title(model.round)}" if model.round is not None else ""
    return f"model <{model.potential}>{where}"


def _seed(model: Model) -> str:
    return f", seed {orm.load_node(model.seed).value}" if model.seed is not None else ""


def _of_set(name: str, pk: int, configurations: Sequence[Configuration]) -> str:
    return f"{_name(name)} <{pk}>: {counted(len(configurations), 'configuration')}"


def _name(name: str) -> str:
    """Return the name of a set in words."""
    return f"{name.replace('_', ' ')} set"


def _level(pk: int) -> str:
    """Return a level of theory in a few words."""
    return f"{level_in_words(orm.load_node(pk).get_dict())} <{pk}>".lstrip()


def _state(configuration: Configuration) -> str:
    return f"charge {charge_in_words(configuration.charge)}, spin {spin_in_words(configuration.spin)}"


def _codes(pks: Iterable[int | None]) -> str:
    return ", ".join(orm.load_node(pk).full_label for pk in pks)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Return values that are not None once each, in their order."""
    return [value for value in dict.fromkeys(values) if value is not None]


def _pks(pks: Sequence[int]) -> str:
    """Return the PKs of nodes, or the first of many."""
    return ", ".join(f"<{pk}>" for pk in pks[:_MOST]) + (", ..." if len(pks) > _MOST else "")


def _spans(indices: Iterable[int]) -> str:
    """Return ascending numbers as spans: ``0-7, 9``."""
    spans: list[list[int]] = []
    for index in indices:
        if spans and index == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], index]
        else:
            spans.append([index])
    listed = [f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans]
    return ", ".join(listed[:_MOST]) + (", ..." if len(listed) > _MOST else "")


def _drawn(branches: Sequence[Branch], indent: str = "") -> list[str]:
    """Return branches with the lines that join them."""
    lines = []
    for index, (text, below) in enumerate(branches):
        last = index == len(branches) - 1
        lines.append(f"{indent}{'└─' if last else '├─'} {text}")
        lines += _drawn(below, indent + ("   " if last else "│  "))
    return lines
