"""Commands `aiida-sicmlip dataset subset` and `merge`, which create a new data set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from aiida_sicmlip.data.dataset import LabelledDataSetData

LARGEST_CHOICE = 1_000_000
"""Numbers that an option may name in all: more than a data set holds."""


@click.command("subset")
@click.argument("identifier", metavar="PK")
@click.option("--rounds", metavar="N,N-N", help="Configurations added in these rounds, for example `0,2-4`.")
@click.option(
    "--structures", metavar="NAME,...", help="Configurations from walkers that started from these structures."
)
@click.option("--labels", metavar="PK,...", help="Configurations with these labels, by PK or UUID.")
@click.option("--indices", metavar="N,N-N", help="Configurations with these indices in the data set, from 0.")
@click.option("--charges", metavar="N,...", help="Configurations with these total charges (e); `none`: without one.")
@click.option(
    "--spins", metavar="N,...", help="Configurations with these numbers of unpaired electrons; `none`: without one."
)
@click.option(
    "--levels", metavar="N,N-N", help="Configurations at these levels of theory, numbered as in `dataset show`."
)
@click.option(
    "--without", is_flag=True, help="Remove the configurations that the other options select, instead of keeping them."
)
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
    """Create a data set of the configurations of data set PK that all given options select.

    PK is not changed.
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
            "no configurations are selected; give `--rounds`, `--structures`, `--labels`, `--indices`, `--charges`, "
            "`--spins` or `--levels`."
        )
    load_profile(profile_name)
    from aiida import orm

    from aiida_sicmlip.calculations.functions.subset_dataset import subset_dataset
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.tools.datasets import select_indices
    from aiida_sicmlip.tools.nodes import load

    node = load(identifier, [LabelledDataSetData], "PK")
    selected = select_indices(node, **conditions)
    kept = sorted(set(range(node.n_frames)) - set(selected)) if without else selected
    if len(kept) in (0, node.n_frames):
        what = "all" if kept else "none"
        raise InputError(
            f"{what} of the {node.n_frames} configurations of data set <{node.pk}> would be kept; change the options."
        )
    subset_node = subset_dataset(node, orm.List(kept))
    click.echo(
        f"Made data set <{subset_node.pk}> of {subset_node.n_frames} of {node.n_frames} configurations. "
        f"{next_step(subset_node)}"
    )


@click.command("merge")
@click.argument("identifiers", metavar="PK PK...", nargs=-1, required=True)
@PROFILE
def merge(identifiers: tuple[str, ...], profile_name: str | None) -> None:
    """Create a data set of the configurations of several data sets, in the given order."""
    if len(identifiers) < 2:
        raise InputError("`merge` needs at least two data sets; give the PK of each.")
    load_profile(profile_name)
    from aiida_sicmlip.calculations.functions.merge_datasets import merge_datasets, merged_frames
    from aiida_sicmlip.common.labels import dataset_label
    from aiida_sicmlip.data.dataset import LabelledDataSetData
    from aiida_sicmlip.tools.nodes import load

    nodes = {
        dataset_label(index): load(identifier, [LabelledDataSetData], "PK")
        for index, identifier in enumerate(identifiers)
    }
    # The inputs are checked first, so that no failed call is stored.
    merged_frames(nodes)
    merged = merge_datasets(**nodes)
    click.echo(f"Made data set <{merged.pk}> of {merged.n_frames} configurations. {next_step(merged)}")


def next_step(dataset: LabelledDataSetData) -> str:
    """Return a hint on how to inspect a new data set."""
    return f"See it with `aiida-sicmlip dataset show {dataset.pk}`."


def words(text: str | None, option: str) -> list[str] | None:
    """Return the words in ``text``, separated by commas; None if the option was not given.

    :raises InputError: if there are none.
    """
    if text is None:
        return None
    stripped = [word.strip() for word in text.split(",") if word.strip()]
    if not stripped:
        raise InputError(f"`{option}` is {text!r}; give at least one word.")
    return stripped


def numbers_or_none(text: str | None, option: str) -> list[int | None] | None:
    """Return the numbers in ``text``, such as `-1,0,none`; None if the option was not given.

    :raises InputError: if a word is neither a whole number nor `none`.
    """
    parts = words(text, option)
    if parts is None:
        return None
    for part in parts:
        if part != "none" and re.fullmatch(r"[+-]?\d+", part) is None:
            raise InputError(f"`{option}` contains `{part}`; give whole numbers such as `-1,0`, or `none`.")
    return [None if part == "none" else int(part) for part in parts]


def whole_numbers(text: str | None, option: str) -> list[int] | None:
    """Return the numbers in ``text``, such as `0,2-4`; None if the option was not given.

    :raises InputError: if a word is neither a number nor a range.
    """
    parts = words(text, option)
    if parts is None:
        return None
    numbers: list[int] = []
    for part in parts:
        match = re.fullmatch(r"(\d{1,15})(?:-(\d{1,15}))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"`{option}` contains `{part}`; give numbers and ranges such as `0,2-4`.")
        added = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(numbers) + len(added) > LARGEST_CHOICE:
            raise InputError(
                f"`{option}` names more than {LARGEST_CHOICE:,} numbers, the last with `{part}`: give fewer."
            )
        numbers += added
    return numbers
