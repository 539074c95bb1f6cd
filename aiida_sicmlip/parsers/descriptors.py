"""Parser of descriptions."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import NOTHING_NEW
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.parsers.retrieved import COMPLETE, last_line, last_words, read_report, temporary_file


class DescriptorsParser(Parser):
    """Turn the report and the file of candidates into nodes."""

    CACHE_VERSION = 1

    def parse(self, *, retrieved_temporary_folder: str, **kwargs: Any) -> ExitCode:
        """Keep what the program left, then say how it ended."""
        report = read_report(self.retrieved, filenames.DESCRIPTORS_REPORT_FILE)
        if report is None:
            return self.exit_codes.ERROR_REPORT_MISSING.format(error=last_words(self.retrieved, "descriptors.err"))
        self.out("results", orm.Dict(report))
        error = report.get("error")
        if error:
            known = error.get("status") == NOTHING_NEW
            code = self.exit_codes.ERROR_NOTHING_NEW if known else self.exit_codes.ERROR_DESCRIPTION_FAILED
            return code.format(error=error["message"])
        path = temporary_file(retrieved_temporary_folder, filenames.CANDIDATES_FILE)
        if path is None:
            return self.exit_codes.ERROR_CANDIDATES_MISSING.format(error=last_line(self.retrieved, "descriptors.err"))
        try:
            node = CandidateFramesData.from_file(path)
        except InputError as problem:
            return self.exit_codes.ERROR_CANDIDATES_MISSING.format(error=str(problem).replace("{", "("))
        self.out("candidates", node)
        return COMPLETE
