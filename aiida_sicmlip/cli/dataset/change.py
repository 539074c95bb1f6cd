"""The commands `aiida-sicmlip dataset subset` and `merge`: each makes a new data set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from aiida_sicmlip.data.dataset import LabelledDataSetData


@click.command("subset")
@click.argument("identifier", metavar="PK")
@click.option("--rounds", metavar="N,N-N", help="Configurations that these rounds added, for example `0,2-4`.")
@click.option("--structures", metavar="NAME,...", help="Those picked from walkers that started from these structures.")
@click.option("--labels", metavar="PK,...", help="Those with these labels, by PK or UUID.")
@click.option("--indices", metavar="N,N-N", help="Those with these indices in the data set, from 0.")
@click.option("--charges", metavar="N,...", help="Those of these total charges (e); `none` for those without one.")
@click.option("--spins", metavar="N,...", help="Those with so many unpaired electrons; `none` for those without one.")
@click.option("--levels", metavar="N,N-N", help="Those at these levels of theory, as `dataset show` counts them.")
@click.option("--without", is_flag=True, help="Leave out what the other options name, instead of keeping it.")
@PROFILE
def subset(
    *,
    identifier: str,
    rounds: str | None,
    structures: str | None,
    labels: str | None,
    indices: str | None,
    charges: str | None,
    spins: str | None,
    levels: str | None,
    without: bool,
    profile_name: str | None,
) -> None:
    """Make a data set of those configurations of data set PK that all given options name.

    PK stays as it is.
    """
    conditions: dict[str, Any] = {
        "rounds": whole_numbers(rounds, "--rounds"),
        "structures": words(structures, "--structures"),
        "labels": words(labels, "--labels"),
        "indices": whole_numbers(indices, "--indices"),
        "charges": numbers_or_none(charges, "--charges"),
        "spins": numbers_or_none(spins, "--spins"),
        "levels": whole_numbers(levels, "--levels"),
    }
    if all(value is None for value in conditions.values()):
        raise InputError(
            "nothing says what to take; give `--rounds`, `--structures`, `--labels`, `--indices`, `--charges`, "
            "`--spins` or `--levels`."
        )
    load_profile(profile_name)
    from aiida import orm

    from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.tools.datasets import select_indices
    from aiida_sicmlip.tools.nodes import load

    node = load(identifier, [LabelledDataSetData], "PK")
    named = select_indices(node, **conditions)
    kept = sorted(set(range(node.n_frames)) - set(named)) if without else named
    if len(kept) in (0, node.n_frames):
        what = "all" if kept else "none"
        raise InputError(
            f"{what} of the {node.n_frames} configurations of data set <{node.pk}> would be kept; change the options."
        )
    made = subset_dataset(node, orm.List(kept))
    click.echo(f"Made data set <{made.pk}> of {made.n_frames} of {node.n_frames} configurations. {next_step(made)}")


@click.command("merge")
@click.argument("identifiers", metavar="PK PK...", nargs=-1, required=True)
@PROFILE
def merge(identifiers: tuple[str, ...], profile_name: str | None) -> None:
    """Make one data set of several, one after the other."""
    if len(identifiers) < 2:
        raise InputError("`merge` joins at least two data sets; give the PK of each.")
    load_profile(profile_name)
    from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets, merged_frames
    from aiida_sicmlip.common.labels import dataset_label
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.tools.nodes import load

    nodes = {
        dataset_label(index): load(identifier, [LabelledDataSetData], "PK")
        for index, identifier in enumerate(identifiers)
    }
    # Whatever is wrong is said before the graph holds a call that failed.
    merged_frames(nodes)
    made = merge_datasets(**nodes)
    click.echo(f"Made data set <{made.pk}> of {made.n_frames} configurations. {next_step(made)}")


def next_step(made: LabelledDataSetData) -> str:
    """Return a hint on how to inspect a new data set."""
    return f"See it with `aiida-sicmlip dataset show {made.pk}`."


def words(text: str | None, option: str) -> list[str] | None:
    """Return the words in ``text``, divided by commas; None where the option was not given.

    :raises InputError: if there is none.
    """
    if text is None:
        return None
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise InputError(f"`{option}` is {text!r}, which names nothing.")
    return found


def numbers_or_none(text: str | None, option: str) -> list[int | None] | None:
    """Return the numbers that ``text`` lists, such as `-1,0,none`; None where the option was not given.

    :raises InputError: if a part is neither a whole number nor `none`.
    """
    parts = words(text, option)
    if parts is None:
        return None
    for part in parts:
        if part != "none" and re.fullmatch(r"[+-]?\d+", part) is None:
            raise InputError(f"`{option}` holds `{part}`; give whole numbers such as `-1,0`, or `none`.")
    return [None if part == "none" else int(part) for part in parts]


def whole_numbers(text: str | None, option: str) -> list[int] | None:
    """Return the numbers that ``text`` lists, such as `0,2-4`; None where the option was not given.

    :raises InputError: if a part is neither a number nor a range.
    """
    parts = words(text, option)
    if parts is None:
        return None
    found: list[int] = []
    for part in parts:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"`{option}` holds `{part}`; give numbers and ranges such as `0,2-4`.")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found
