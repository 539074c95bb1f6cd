"""The command line `aiida-sicmlip`."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import click

from aiida_sicmlip.common.exceptions import SicmlipError


class LazyCommand(NamedTuple):
    """Where a command lives, and the line that the group's help shows without importing it."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "setup": LazyCommand(
        "aiida_sicmlip.cli.cmd_setup", "setup", "Make what a run needs: profile, computer, codes, pseudopotentials."
    ),
    "run": LazyCommand("aiida_sicmlip.cli.cmd_run", "run", "Start a run from a protocol or an input file."),
    "status": LazyCommand("aiida_sicmlip.cli.cmd_status", "status", "Say how far a run has come."),
    "results": LazyCommand(
        "aiida_sicmlip.cli.cmd_results",
        "results",
        "Print errors and times by round, and where the potential comes from.",
    ),
    "report": LazyCommand(
        "aiida_sicmlip.cli.cmd_report", "report", "Write one HTML page on a run, from its question to its lineage."
    ),
    "selection": LazyCommand(
        "aiida_sicmlip.cli.cmd_selection",
        "selection",
        "Print what was picked for labels in each round, and how novel it was.",
    ),
    "potential": LazyCommand(
        "aiida_sicmlip.cli.cmd_potential",
        "potential",
        "Print how a potential was trained, its errors, and where it is compiled; draw pictures of it.",
    ),
    "dataset": LazyCommand(
        "aiida_sicmlip.cli.cmd_dataset", "dataset", "Look at data sets, export, import, part and merge them."
    ),
    "evaluation": LazyCommand(
        "aiida_sicmlip.cli.cmd_evaluation",
        "evaluation",
        "Print errors of a potential on a data set, by round, defect, element and region.",
    ),
    "lineage": LazyCommand(
        "aiida_sicmlip.cli.cmd_lineage", "lineage", "Print what a model was trained on, and where all of it is from."
    ),
    "affected-by": LazyCommand(
        "aiida_sicmlip.cli.cmd_affected_by",
        "affected_by",
        "Print every data set and model that depends on a label, a frame, a code and so on.",
    ),
    "diff": LazyCommand("aiida_sicmlip.cli.cmd_diff", "diff", "Say how two models differ: data, settings, errors."),
    "reproduce": LazyCommand(
        "aiida_sicmlip.cli.cmd_reproduce", "reproduce", "Make a node again from its inputs, and compare."
    ),
    "retrain": LazyCommand(
        "aiida_sicmlip.cli.cmd_retrain", "retrain", "Train a model again without some of its data, and compare."
    ),
    "verify": LazyCommand("aiida_sicmlip.cli.cmd_verify", "verify", "Check the provenance of a run or a model."),
    "export": LazyCommand(
        "aiida_sicmlip.cli.cmd_export", "export", "Write a model with its history, its model card and its file."
    ),
    "import": LazyCommand(
        "aiida_sicmlip.cli.cmd_import", "import_", "Bring an exported model with its history into a profile."
    ),
    "free-energy": LazyCommand(
        "aiida_sicmlip.cli.cmd_free_energy",
        "free_energy",
        "Estimate free energies along collective variables from biased walkers.",
    ),
    "demo": LazyCommand("aiida_sicmlip.cli.cmd_demo", "demo", "Run a small example from start to end."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when the group's help is shown."""

    def __init__(self, *args: Any, lazy_commands: dict[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which a user meets them."""
        return [*self.lazy_commands, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command ``cmd_name``, or ``None`` where there is no such command."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"`{lazy.module}:{lazy.attribute}` is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the lines kept here; click's own way imports every command."""
        rows = [(name, lazy.help) for name, lazy in self.lazy_commands.items()]
        rows += [
            (name, command.get_short_help_str(80)) for name, command in self.commands.items() if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that the package raises on purpose becomes one sentence, not a traceback."""
        try:
            return super().invoke(ctx)
        except SicmlipError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    "aiida-sicmlip",
    cls=LazyGroup,
    lazy_commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="aiida-sicmlip")
def main() -> None:
    """Train interatomic potentials for point defects in silicon carbide by active learning."""
    # AiiDA makes its folder when it is imported first, and warns that it does.
    warnings.filterwarnings("ignore", message="Creating AiiDA configuration folder")
    # AiiDA looks for `verdi`, which starts its daemon, when it is imported; it is here even where the environment is
    # not activated.
    folder = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in folders:
        os.environ["PATH"] = os.pathsep.join([folder, *folders])
