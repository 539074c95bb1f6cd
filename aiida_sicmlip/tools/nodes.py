"""Nodes by what a user calls them."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.exceptions import MultipleObjectsError, NotExistent

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.potential import PotentialData
from aiida_sicmlip.tools.lineage import load_potential
from aiida_sicmlip.tools.runs import PROCESS_TYPE, last_potential, read_run


def load_any(identifier: Any) -> orm.Node:
    """Return the node with a PK or UUID.

    :raises InputError: if there is none.
    """
    try:
        return orm.load_node(identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise InputError(f"no node is called `{identifier}`; `verdi process list -a` shows what there is.") from error


def load_model(identifier: Any) -> PotentialData:
    """Return a model: the portable one itself, the one that a compiled one was made from, or the last one of a run.

    :raises InputError: if there is no such node, or it leads to no model.
    """
    node = load_any(identifier)
    if getattr(node, "process_type", None) != PROCESS_TYPE:
        return load_potential(node)
    found = last_potential(read_run(node))
    if not isinstance(found, PotentialData):
        raise InputError(f"run <{node.pk}> has made no model; `aiida-sicmlip status {node.pk}` says where it is.")
    return found


def training_of(model: PotentialData) -> orm.CalcJobNode:
    """Return the calculation that trained a model.

    :raises InputError: if it was not trained in this profile.
    """
    training = model.creator
    if training is None or "training_set" not in training.inputs:
        raise InputError(f"model <{model.pk}> was not trained in this profile, so that its inputs are not known here.")
    return training
