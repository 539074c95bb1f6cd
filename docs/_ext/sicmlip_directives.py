"""Directives that write the reference from the code at each build, so that it cannot drift from it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, ClassVar

import click
import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from spec_tables import load_object, process_tables, protocol_table, settings_table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class MarkdownDirective(SphinxDirective):
    """Base of directives that give Markdown, which is then read as if it stood in the page."""

    def markdown(self) -> str:
        """Return the Markdown."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Read the Markdown where the directive stands."""
        container = nodes.container()
        lines = StringList(self.markdown().splitlines(), source=self.env.docname)
        self.state.nested_parse(lines, self.content_offset, container)
        return [container]


class SettingsTable(MarkdownDirective):
    """The fields of a settings class: ``{settings-table} module:Class``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"protocol-path": directives.unchanged}

    def markdown(self) -> str:
        """Return the table."""
        return settings_table(self.arguments[0], self.options.get("protocol-path"))


class ProtocolTable(MarkdownDirective):
    """The settings under a key of the protocols: ``{protocol-table} labelling``."""

    optional_arguments = 1

    def markdown(self) -> str:
        """Return the table."""
        return protocol_table(self.arguments[0] if self.arguments else "")


class ProtocolYaml(SphinxDirective):
    """Part of a protocol as it is: ``{protocol-yaml} moderate labelling.parameters``."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the YAML as a block of code."""
        from aiida_sicmlip.workflows.protocols.loop import load_protocol

        protocol, path = self.arguments
        value: Any = load_protocol(protocol)
        for part in path.split("."):
            value = value[part]
        for part in reversed(path.split(".")):
            value = {part: value}
        text = yaml.safe_dump(value, sort_keys=False)
        return [nodes.literal_block(text, text, language="yaml")]


class ProcessTables(MarkdownDirective):
    """Inputs, outputs and exit codes of a process: ``{process-tables} module:Class``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"closed": directives.unchanged}

    def markdown(self) -> str:
        """Return the tables."""
        return process_tables(self.arguments[0], self.options.get("closed", "").split())


class CommandHelp(SphinxDirective):
    """What a click command says with ``--help``: ``{command-help} module:attribute name of the command``."""

    required_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the help as a block of text."""
        command, name = load_object(self.arguments[0]), self.arguments[1]
        parent = None
        for group, part in pairwise(name.split()):
            parent = click.Context(command, info_name=group, parent=parent)
            command = command.get_command(parent, part)
        context = click.Context(command, info_name=name.split()[-1], parent=parent, terminal_width=92)
        context.help_option_names = ["-h", "--help"]
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="text")]


class ProgramHelp(SphinxDirective):
    """What an argparse program says with ``--help``: ``{program-help} module:function arguments``."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the help as a block of text."""
        text = load_object(self.arguments[0])(*self.arguments[1:]).format_help()
        return [nodes.literal_block(text, text, language="text")]


def tidy_docstring(_: Sphinx, what: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """Make docstrings reStructuredText: ``|d|`` is no substitution, ``name: text`` is an item of a list."""
    lines[:] = [line if "``" in line else line.replace("|", "\\|") for line in lines]
    in_item = False
    for number, line in enumerate(lines):
        item = re.match(r"(\w+): (.+)", line) if what == "class" else None
        if item:
            lines[number] = f"- ``{item[1]}``: {item[2]}"
        elif in_item and line.startswith("    "):
            lines[number] = f"  {line.strip()}"
        in_item = bool(item) or (in_item and bool(line.strip()))


def skip_models(_: Sphinx, __: str, name: str, ___: Any, skip: bool, ____: Any) -> bool | None:
    """Leave out the pydantic models that AiiDA makes inside every data class."""
    return True if name.endswith("Model") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("protocol-table", ProtocolTable)
    app.add_directive("protocol-yaml", ProtocolYaml)
    app.add_directive("process-tables", ProcessTables)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("program-help", ProgramHelp)
    app.connect("autodoc-skip-member", skip_models)
    app.connect("autodoc-process-docstring", tidy_docstring)
    return {"parallel_read_safe": True}
