"""The command line `aiida-sicmlip`."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import click

from aiida_sicmlip.cli.interrupts import EXIT_STATUS, RUNS_GO_ON
from aiida_sicmlip.common.failures import internal_error_message, known_message

INTERNAL_ERROR = 70
"""Exit status of an internal error, which no result of a command has (EX_SOFTWARE of sysexits.h)."""
OUTSIDE_CAUSES = {
    "aiida.common.exceptions": ("ConfigurationError", "StorageMigrationError", "LockedProfileError"),
    # A disk that is full, or a database that another program has locked.
    "sqlalchemy.exc": ("OperationalError",),
}
"""Errors of libraries that say what is wrong with the profile or the machine, by module."""


class LazyCommand(NamedTuple):
    """Module and name of a command, and its line in the help of the group, which does not import it."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "setup": LazyCommand(
        "aiida_sicmlip.cli.cmd_setup", "setup", "Set up what a run needs: profile, computer, codes, pseudopotentials."
    ),
    "run": LazyCommand("aiida_sicmlip.cli.cmd_run", "run", "Start a run from a protocol or an input file."),
    "status": LazyCommand("aiida_sicmlip.cli.cmd_status", "status", "Show the progress of a run."),
    "results": LazyCommand(
        "aiida_sicmlip.cli.cmd_results",
        "results",
        "Print errors and times by round, and the provenance of the potential.",
    ),
    "report": LazyCommand("aiida_sicmlip.cli.cmd_report", "report", "Write an HTML report on a run."),
    "selection": LazyCommand(
        "aiida_sicmlip.cli.cmd_selection",
        "selection",
        "Print the selection of each round, and the novelty of the picked frames.",
    ),
    "potential": LazyCommand(
        "aiida_sicmlip.cli.cmd_potential",
        "potential",
        "Print training, errors and compilations of a potential, and plot them.",
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
        "aiida_sicmlip.cli.cmd_lineage", "lineage", "Print the training data of a model, and their provenance."
    ),
    "affected-by": LazyCommand(
        "aiida_sicmlip.cli.cmd_affected_by",
        "affected_by",
        "Print all data sets and models that depend on a label, a frame, a code or another node.",
    ),
    "diff": LazyCommand("aiida_sicmlip.cli.cmd_diff", "diff", "Compare two models: data, settings, errors."),
    "reproduce": LazyCommand(
        "aiida_sicmlip.cli.cmd_reproduce", "reproduce", "Repeat the calculation of a node, and compare the results."
    ),
    "retrain": LazyCommand(
        "aiida_sicmlip.cli.cmd_retrain", "retrain", "Train a model again without some of its data, and compare."
    ),
    "verify": LazyCommand("aiida_sicmlip.cli.cmd_verify", "verify", "Check the provenance of a run or a model."),
    "export": LazyCommand(
        "aiida_sicmlip.cli.cmd_export", "export", "Export a model with its provenance and a model card."
    ),
    "import": LazyCommand(
        "aiida_sicmlip.cli.cmd_import", "import_", "Import an exported model with its provenance into a profile."
    ),
    "free-energy": LazyCommand(
        "aiida_sicmlip.cli.cmd_free_energy",
        "free_energy",
        "Estimate free energies along collective variables from biased walkers.",
    ),
    "demo": LazyCommand("aiida_sicmlip.cli.cmd_demo", "demo", "Run a small example from start to end."),
}


class LazyGroup(click.Group):
    """Group whose commands are imported only when they are called."""

    def __init__(self, *args: Any, lazy_commands: dict[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of a typical workflow."""
        return [*self.lazy_commands, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command ``cmd_name``, or return ``None`` if there is no such command."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"`{lazy.module}:{lazy.attribute}` is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them, as click would."""
        rows = [(name, lazy.help) for name, lazy in self.lazy_commands.items()]
        rows += [
            (name, command.get_short_help_str(80)) for name, command in self.commands.items() if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print errors and Ctrl-C as a message without a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(f"\n{RUNS_GO_ON}", err=True)
            ctx.exit(EXIT_STATUS)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            # Click prints these, and ends quietly where the reader of the output has closed it.
            raise
        except Exception as error:
            known = _known_message(error)
            failure = click.ClickException(known or internal_error_message(error, "aiida-sicmlip"))
            if known is None:
                failure.exit_code = INTERNAL_ERROR
            raise failure from error


def _known_message(error: Exception) -> str | None:
    """Return what to tell the user of an error with a cause outside of the package; None for an internal error."""
    # A library was imported if it raised the error; importing AiiDA for any other takes a second.
    for library, names in OUTSIDE_CAUSES.items():
        module = sys.modules.get(library)
        if module is not None and isinstance(error, tuple(getattr(module, name) for name in names)):
            return str(error).splitlines()[0]
    return known_message(error)


@click.group(
    "aiida-sicmlip",
    cls=LazyGroup,
    lazy_commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="aiida-sicmlip")
def main() -> None:
    """Train interatomic potentials for point defects in silicon carbide by active learning."""
    # AiiDA creates its folder on the first import, with a warning.
    warnings.filterwarnings("ignore", message="Creating AiiDA configuration folder")
    # AiiDA searches PATH for `verdi`, which starts the daemon, on import; the environment may not be activated.
    folder = str(Path(sys.executable).parent)
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if folder not in folders:
        os.environ["PATH"] = os.pathsep.join([folder, *folders])
