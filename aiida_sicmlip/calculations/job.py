"""What the calculations have in common: one program on one process, with its output in files named after it."""

from __future__ import annotations

from collections.abc import Sequence

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.engine import CalcJob, CalcJobProcessSpec


def set_option_defaults(spec: CalcJobProcessSpec, stem: str, walltime: int, input_file: str | None = None) -> None:
    """Set the defaults of ``metadata.options``.

    :param stem: names the parser (``sicmlip.<stem>``) and the files of standard output and error.
    :param walltime: in s.
    :param input_file: what `verdi calcjob inputcat` shows; nothing where the command line says it all.
    """
    options = spec.inputs["metadata"]["options"]
    options["parser_name"].default = f"sicmlip.{stem}"
    options["output_filename"].default = f"{stem}.out"
    options["resources"].default = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
    options["withmpi"].default = False
    options["max_wallclock_seconds"].default = walltime
    if input_file is not None:
        options["input_filename"].default = input_file


def job_of_one_program(
    calculation: CalcJob,
    stem: str,
    arguments: Sequence[str],
    *,
    copies: Sequence[tuple[str, str, str]],
    retrieve: Sequence[str],
    retrieve_temporarily: Sequence[str | tuple[str, str, int]],
) -> CalcInfo:
    """Return the job that runs the code of ``calculation`` with ``arguments``.

    :param stem: as in :func:`set_option_defaults`.
    :param copies: files of nodes as AiiDA's ``local_copy_list`` takes them: UUID, name in the node, name in the folder.
    :param retrieve: files to keep with the calculation, besides standard output and error.
    :param retrieve_temporarily: files that the parser makes nodes of, or patterns as AiiDA's ``retrieve_list`` takes
        them; they are not kept a second time.
    """
    code = CodeInfo()
    code.code_uuid = calculation.inputs.code.uuid
    code.cmdline_params = list(arguments)
    code.stdout_name = calculation.inputs.metadata.options.output_filename
    code.stderr_name = f"{stem}.err"
    job = CalcInfo()
    job.codes_info = [code]
    job.local_copy_list = list(copies)
    job.retrieve_list = [code.stdout_name, code.stderr_name, *retrieve]
    job.retrieve_temporary_list = list(retrieve_temporarily)
    return job
