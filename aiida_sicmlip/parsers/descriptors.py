"""Parser of descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida.engine import ExitCode

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.exit_status import NOTHING_NEW
from aiida_sicmlip.data.candidates import CandidateFramesData
from aiida_sicmlip.parsers.base import SicmlipParser
from aiida_sicmlip.parsers.retrieved import COMPLETE


class DescriptorsParser(SicmlipParser):
    """Turn the report and the file of candidates into nodes."""

    CACHE_VERSION = 1
    KNOWN_FAILURES: ClassVar = {NOTHING_NEW: "ERROR_NOTHING_NEW"}

    def keep_outputs(self, report: Mapping[str, Any]) -> ExitCode:
        """Keep the candidates."""
        path = self.temporary(filenames.CANDIDATES_FILE)
        if path is None:
            return self.exit_codes.ERROR_CANDIDATES_MISSING.format(error=self.last_line())
        try:
            node = CandidateFramesData.from_file(path)
        except InputError as problem:
            return self.exit_codes.ERROR_CANDIDATES_MISSING.format(error=str(problem).replace("{", "("))
        self.out("candidates", node)
        return COMPLETE
