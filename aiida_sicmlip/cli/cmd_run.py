"""The command `aiida-sicmlip run`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_sicmlip.cli.cost_lines import cost_lines, short_cost
from aiida_sicmlip.cli.interrupts import EXIT_STATUS, uninterrupted
from aiida_sicmlip.cli.options import PROFILE, load_profile
from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder

    from aiida_sicmlip.workflows.active_learning.workload import Beginning


@click.command("run")
@click.argument("what", metavar="[PROTOCOL|FILE]", required=False)
@click.option(
    "-s",
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one setting, for example `-s exploration.parameters.temperature=1200`. May be repeated.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Check everything, say what would run, and submit nothing.")
@click.option(
    "--continue",
    "parent",
    metavar="PK",
    help="Go on from the run PK, which has ended: with its labels, its last potential and all that it has learned.",
)
@click.option("--show", is_flag=True, help="Print the complete settings as YAML and end.")
@PROFILE
def run(
    *,
    what: str | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    parent: str | None,
    show: bool,
    profile_name: str | None,
) -> None:
    """Start a run from a protocol (`demo`, `fast`, `moderate`, `paper`) or from a YAML file.

    A file holds what differs from a protocol, which it names under `protocol`. All of it is checked before anything is
    submitted, and what the run would do and cost is said. Without PROTOCOL or FILE, the protocols are listed.
    """
    submitted: list[int] = []
    try:
        _run(what, assignments, submitted, dry_run=dry_run, parent=parent, show=show, profile_name=profile_name)
    except KeyboardInterrupt:
        said = f"the run <{submitted[0]}> goes on" if submitted else "nothing was submitted"
        click.echo(f"\nInterrupted: {said}.", err=True)
        raise SystemExit(EXIT_STATUS) from None


def _run(
    what: str | None,
    assignments: tuple[str, ...],
    submitted: list[int],
    *,
    dry_run: bool,
    parent: str | None,
    show: bool,
    profile_name: str | None,
) -> None:
    """Do what the command is for; the PK of the run is put into ``submitted``."""
    if what is None:
        list_protocols()
        return
    settings = read_settings(what, assignments)
    if show:
        import yaml

        click.echo(yaml.safe_dump(settings, sort_keys=False), nl=False)
        return
    from aiida_sicmlip.workflows.active_learning.workload import beginning_of

    load_profile(profile_name)
    builder, taken_over = checked_continuation(settings, parent, store=not dry_run)
    begins = beginning_of(builder)
    for line in (*taken_over, *plan(settings, begins), *cost_lines(settings, begins)):
        click.echo(line)
    if dry_run:
        click.echo("Everything is in order; nothing was submitted.")
        return
    # Between the storing of the run and its task in the daemon's queue lies a run that never begins.
    with uninterrupted():
        pk = submit(builder)
        submitted.append(pk)
        click.echo(f"Submitted ActiveLearningWorkChain <{pk}>. Follow it with `aiida-sicmlip status {pk}`.")


def list_protocols() -> None:
    """Print the protocols, what each is for, and what it costs."""
    from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions

    for name, description in protocol_descriptions().items():
        click.echo(f"{name}: {description}\n  {short_cost(load_protocol(name))}\n")


def read_settings(what: str, assignments: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the complete settings of a protocol or a file, with assignments on top.

    :raises InputError: if the file cannot be read, or a key is unknown.
    """
    import yaml

    from aiida_sicmlip.workflows.protocols.files import merge, read_overrides
    from aiida_sicmlip.workflows.protocols.loop import load_protocol, protocol_descriptions

    overrides: dict[str, Any] = {}
    protocol: str | None = what
    path = Path(what)
    if path.is_file():
        protocol, overrides = read_overrides(path)
    elif path.suffix in (".yaml", ".yml"):
        raise InputError(f"the file `{what}` does not exist. Protocols are: {', '.join(protocol_descriptions())}.")
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign:
            raise InputError(f"`--set {assignment}` has no `=`; write `--set key=value`.")
        try:
            nested: Any = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"`--set {assignment}` is not YAML: {error}") from error
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        overrides = merge(overrides, nested)
    return load_protocol(protocol, overrides)


def checked_builder(settings: dict[str, Any], store: bool = True) -> ProcessBuilder:
    """Return the builder of a run whose inputs have all been checked.

    :param store: whether the start structures are put into the graph, once everything is in order.
    :raises InputError: with a sentence for whatever is wrong; the graph is left as it was.
    """
    return checked_continuation(settings, None, store)[0]


def checked_continuation(
    settings: dict[str, Any], parent: str | None, store: bool = True
) -> tuple[ProcessBuilder, list[str]]:
    """Return the builder of a run that goes on from another one, all checked, and what it takes over from that.

    :param parent: PK or UUID of the other run; without one there is nothing to take over.
    :param store: as in :func:`checked_builder`.
    :raises InputError: likewise.
    """
    from aiida_sicmlip.tools.runs import load_run
    from aiida_sicmlip.workflows.active_learning.continuation import continue_from
    from aiida_sicmlip.workflows.active_learning.loop import ActiveLearningWorkChain

    run = load_run(parent) if parent is not None else None
    if run is not None and settings["initial"]:
        raise InputError("`initial` is set, and `--continue` takes the data sets of a run: give one of the two.")

    def build(store: bool) -> tuple[ProcessBuilder, list[str]]:
        builder = ActiveLearningWorkChain.get_builder_from_settings(settings, store=store)
        return builder, [] if run is None else continue_from(builder, run)

    try:
        builder, lines = build(store=False)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        # AiiDA's own words in front of the sentence of a validator say nothing to who reads it.
        raise InputError(str(error).removeprefix("invalid attribute value ")) from error
    problem = ActiveLearningWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    if problem is not None:
        where = problem.port.replace("inputs", "", 1).strip(".")
        raise InputError(f"{where + ': ' if where else ''}{problem.message}")
    return build(store=True) if store else (builder, lines)


def plan(settings: dict[str, Any], beginning: Beginning | None = None) -> list[str]:
    """Return what a run would do, one line a fact.

    :param settings: complete settings. :param beginning: what it begins with; nothing by default.
    """
    from aiida_sicmlip.science.costs.budgets import UNITS, Budget
    from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
    from aiida_sicmlip.science.selection.settings import SelectionSettings
    from aiida_sicmlip.workflows.protocols.exploration import scouting_parameters, ways_of_structures

    ways = ways_of_structures(settings["exploration"], settings["structures"])
    explored = [ExplorationSettings.from_mapping(way) for given in ways.values() for way in given]
    selection = SelectionSettings.from_mapping(settings["selection"]["parameters"])
    rounds, starts = settings["max_rounds"], len(settings["structures"])
    each = settings["exploration"]["walkers"]
    lengths = _numbers(run.equilibration + run.production for run in explored)
    temperatures = _numbers(run.temperature for run in explored)
    force_mae = settings["convergence"]["force_mae"]
    bias = settings["exploration"]["bias"]
    drive = "free"
    others = [name for name, value in settings["convergence"].items() if name != "force_mae" and value is not None]
    further = f", and {', '.join(f'`{name}`' for name in others)} of `convergence` met" if others else ""
    taken_over = beginning is not None and "fixed_validation_set" in beginning.sizes
    n_fixed = 0 if taken_over else selection.n_fixed_validation
    fixed = f", {n_fixed} fixed ones in the first" if n_fixed else ""
    further_machines = ", ".join(settings["further_compilations"])
    largest = settings["labelling"]["largest_force"]
    bound = f"; those with a force above {largest:g} eV/A are set aside and replaced" if largest is not None else ""
    machines = f", each compiled for this machine's codes and for {further_machines}" if further_machines else ""
    if bias is not None:
        drive = f"driven by OPES-Explore over barriers of {bias['barrier']:g} eV"
    lines = [
        f"Start structures: {', '.join(settings['structures'])}",
        f"Rounds: at most {rounds}, until the force MAE on training and validation set is below {force_mae:g} eV/A"
        f"{further}",
        f"Exploration, each round: {each * len(explored)} walkers of {lengths} ps at {temperatures} K, {drive}, "
        f"{each * sum(run.n_frames for run in explored)} frames",
        f"{label_kind(settings['labelling']['reference'])}: {selection.n_training} for training and "
        f"{selection.n_validation} for validation a round{fixed}, "
        f"{rounds * selection.n_picks + n_fixed} in all, "
        f"{settings['labelling']['max_concurrent']} at a time{bound}",
        f"Trainings: one a round, {rounds} in all{machines}",
    ]
    limits = Budget.from_mapping(settings["budget"]).limits
    if limits:
        lines.append(f"Budget: at most {', '.join(f'{value:g} {UNITS[name]}' for name, value in limits.items())}")
    if bias is not None:
        scouting = ExplorationSettings.from_mapping(scouting_parameters(settings["exploration"]))
        scouts = settings["exploration"]["scouting"]["walkers"] * starts
        first = (
            f"{scouts} free runs of {scouting.equilibration + scouting.production:g} ps, later from the round before"
        )
        if beginning is not None and beginning.has_frames:
            first = "the run that is continued, later from the round before"
        lines.insert(2, f"Collective variables: learned each round, first from {first}")
    return lines


def _numbers(values: Iterable[float]) -> str:
    """Return different numbers, ascending: ``1000, 1500``."""
    return ", ".join(f"{value:g}" for value in sorted(set(values)))


def label_kind(reference: dict[str, Any] | None) -> str:
    """Return in words what labels a configuration."""
    if reference is None:
        return "DFT calculations"
    given = reference.get("node")
    named = f"potential <{given}>" if given is not None else f"{reference['pair_style']} ({reference['file']})"
    return f"Labels by {named} in the place of DFT"


def submit(builder: ProcessBuilder) -> int:
    """Submit the run and return its PK.

    :raises InputError: if the daemon is not running.
    """
    from aiida.engine import submit as submit_process
    from aiida.engine.daemon.client import get_daemon_client

    client = get_daemon_client()
    if not client.is_daemon_running:
        raise InputError(
            f"The daemon is not running; start it with `verdi -p {client.profile.name} daemon start 2` (2: its number "
            "of workers) and run this again."
        )
    return submit_process(builder).pk
