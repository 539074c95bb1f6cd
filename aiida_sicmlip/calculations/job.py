"""Bases of the calculations: one program on one process, with its output in files named after the calculation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_sicmlip.calculations.validation import SICMLIP, Program, validate_code


class ProgramCalculation(CalcJob):
    """Base of calculations that run one program.

    PROGRAM: what the port `code` takes.
    STEM: names the parser (`sicmlip.<stem>`) and the files of standard output and error.
    WALLTIME: default in s.
    INPUT_FILE: what `verdi calcjob inputcat` shows; none where the command line says it all.
    """

    PROGRAM: ClassVar[Program]
    STEM: ClassVar[str]
    WALLTIME: ClassVar[int]
    INPUT_FILE: ClassVar[str | None] = None

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the code, the validator of all inputs and the defaults of the options."""
        super().define(spec)
        spec.input(
            "code",
            valid_type=orm.AbstractCode,
            validator=validate_code(cls.PROGRAM),
            help=f"{cls.PROGRAM.name} on the machine that computes.",
        )
        spec.inputs.validator = cls.validate_inputs
        options = spec.inputs["metadata"]["options"]
        options["parser_name"].default = f"sicmlip.{cls.STEM}"
        options["output_filename"].default = f"{cls.STEM}.out"
        options["resources"].default = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        options["withmpi"].default = False
        options["max_wallclock_seconds"].default = cls.WALLTIME
        if cls.INPUT_FILE is not None:
            options["input_filename"].default = cls.INPUT_FILE

    @classmethod
    def validate_inputs(cls, inputs: dict[str, Any], _: Any) -> str | None:
        """Check inputs against each other; return what is wrong, or ``None``."""
        return None

    @classmethod
    def stderr_name(cls) -> str:
        """Return the name of the file of standard error."""
        return f"{cls.STEM}.err"

    def job(
        self,
        arguments: Sequence[str],
        *,
        copies: Sequence[tuple[str, str, str]],
        retrieve: Sequence[str] = (),
        retrieve_temporarily: Sequence[str | tuple[str, str, int]],
    ) -> CalcInfo:
        """Return the job that runs the code with ``arguments``.

        :param copies: files of nodes as AiiDA's ``local_copy_list`` takes them: UUID, name in the node, name in the
            folder.
        :param retrieve: files to keep with the calculation, besides standard output and error.
        :param retrieve_temporarily: files that the parser makes nodes of, or patterns as AiiDA's ``retrieve_list``
            takes them; they are not kept a second time.
        """
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = list(arguments)
        code.stdout_name = self.inputs.metadata.options.output_filename
        code.stderr_name = self.stderr_name()
        job = CalcInfo()
        job.codes_info = [code]
        job.local_copy_list = list(copies)
        job.retrieve_list = [code.stdout_name, code.stderr_name, *retrieve]
        job.retrieve_temporary_list = list(retrieve_temporarily)
        return job


class SicmlipCalculation(ProgramCalculation):
    """Base of calculations that run a subcommand of `sicmlip`, which leaves a report however it ends.

    SUBCOMMAND: the first argument.
    REPORT_FILE: the report, kept with the calculation.
    WORK: what the program does, as messages call it.
    FAILED: label of the exit code of a program that stopped with an error.
    """

    PROGRAM = SICMLIP
    SUBCOMMAND: ClassVar[str]
    REPORT_FILE: ClassVar[str]
    WORK: ClassVar[str]
    FAILED: ClassVar[str]

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define how a program ends that stopped with an error."""
        super().define(spec)
        spec.exit_code(420, cls.FAILED, message=f"{cls.WORK} stopped with an error: {{error}}")

    @classmethod
    def define_missing_report(cls, spec: CalcJobProcessSpec) -> None:
        """Define an exit code of its own for a program that left no report."""
        spec.exit_code(
            301,
            "ERROR_REPORT_MISSING",
            message=f"{cls.WORK} left no report: {{error}} (all of its output: `verdi calcjob outputcat PK`)",
        )

    def job(self, arguments: Sequence[str], *, retrieve: Sequence[str] = (), **files: Any) -> CalcInfo:
        """Return the job that runs the subcommand; see :meth:`ProgramCalculation.job`."""
        return super().job([self.SUBCOMMAND, *arguments], retrieve=[self.REPORT_FILE, *retrieve], **files)
