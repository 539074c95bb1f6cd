"""Which codes a calculation takes: those of its program, as far as a code tells what it is."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm

from aiida_sicmlip.calculations.validation import LAMMPS, PW, SICMLIP, Program, validate_code


@pytest.mark.parametrize("plugin", SICMLIP.plugins)
def test_a_code_for_one_calculation_of_a_program_is_good_for_all(aiida_localhost: Any, plugin: str) -> None:
    code = orm.InstalledCode(aiida_localhost, "/opt/bin/start.sh", label="own", default_calc_job_plugin=plugin)
    assert validate_code(SICMLIP)(code, None) is None
    for program in (LAMMPS, PW):
        assert f"code `own@localhost` is set up for `{plugin}`" in str(validate_code(program)(code, None))


@pytest.mark.parametrize(
    ("path", "program"),
    [("/opt/bin/sicmlip", SICMLIP), ("/opt/bin/sicmlip-lmp", LAMMPS), ("/opt/bin/lmp", LAMMPS), ("/usr/bin/pw.x", PW)],
)
def test_a_code_without_a_plugin_is_known_by_its_file(aiida_localhost: Any, path: str, program: Program) -> None:
    code = orm.InstalledCode(aiida_localhost, path, label="any")
    for asked in (SICMLIP, LAMMPS, PW):
        message = validate_code(asked)(code, None)
        if asked == program:
            assert message is None
        else:
            assert f"code `any@localhost` runs `{path.rsplit('/', 1)[-1]}`, which is the wrong kind here" in message
            assert f"give a code of {asked.name}" in message


def test_scripts_and_images(aiida_localhost: Any) -> None:
    script = orm.InstalledCode(aiida_localhost, "/opt/bin/start.sh", label="script")
    image = orm.ContainerizedCode(
        computer=aiida_localhost,
        filepath_executable="sicmlip",
        label="image",
        image_name="a.sif",
        engine_command="apptainer exec {image_name}",
    )
    for program in (SICMLIP, LAMMPS, PW):
        assert validate_code(program)(script, None) is None
    assert validate_code(SICMLIP)(image, None) is None
    assert "runs `sicmlip`" in str(validate_code(PW)(image, None))
