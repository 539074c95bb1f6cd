"""What the parsers of `sicmlip`'s calculations have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.calculations.job import SicmlipCalculation
from aiida_sicmlip.parsers.retrieved import last_line, last_words, read_report, temporary_file


class SicmlipParser(Parser):
    """Base of parsers of a :class:`~aiida_sicmlip.calculations.job.SicmlipCalculation`, by the report that it left.

    KNOWN_FAILURES: exit statuses of the program that have an exit code of their own, with its label.
    """

    KNOWN_FAILURES: ClassVar[Mapping[int, str]] = {}

    folder: str
    calculation: type[SicmlipCalculation]

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode | None:
        """Keep the report and what else the program left, and say how it ended."""
        self.folder = retrieved_temporary_folder
        self.calculation = self.node.process_class
        report = read_report(self.retrieved, self.calculation.REPORT_FILE)
        if report is None:
            return self.without_report()
        error = report.get("error")
        results = self.calculation.spec().outputs.get("results")
        # Where results are a required output, they are numbers that a program which failed has not.
        if results is not None and not (error and results.required):
            self.out("results", orm.Dict({**report, **self.remarks(report)}))
        return self.failed(error) if error else self.keep_outputs(report)

    def remarks(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is to be added to the report in the output `results`."""
        return {}

    def without_report(self) -> ExitCode | None:
        """Return the exit code of a program that left no report: it was killed, or could not be started."""
        code = self.exit_codes.get("ERROR_REPORT_MISSING", self.exit_codes[self.calculation.FAILED])
        return code.format(error=last_words(self.retrieved, self.calculation.stderr_name()))

    def failed(self, error: Mapping[str, Any]) -> ExitCode:
        """Return the exit code of a program that says itself what was wrong.

        :param error: `status` and `message` of its report.
        """
        label = self.KNOWN_FAILURES.get(error["status"], self.calculation.FAILED)
        return self.exit_codes[label].format(error=error["message"])

    @abstractmethod
    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Make nodes of the files of a program that ended by itself, and return how it ended."""

    def temporary(self, name: str) -> Path | None:
        """Return the path of a temporarily retrieved file, or ``None`` where it is missing or empty."""
        return temporary_file(self.folder, name)

    def last_line(self) -> str:
        """Return the last line that the program wrote to its standard error."""
        return last_line(self.retrieved, self.calculation.stderr_name())
