"""The level of theory of a labelling, from its inputs."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.level_of_theory import functional_of_pseudopotential, pw_level_of_theory

CACHE_VERSION = 1
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


def level_from_nodes(
    parameters: orm.Dict, kpoints: orm.KpointsData, code: orm.AbstractCode, pseudos: dict[str, orm.Data]
) -> dict:
    """Return the level of theory of a ``PwCalculation`` with these inputs, as a plain mapping."""
    try:
        mesh, offset = kpoints.get_kpoints_mesh()
        points: dict | list = {"mesh": list(mesh), "offset": list(offset)}
    except AttributeError:
        points = kpoints.get_kpoints().tolist()
    described = {
        kind: {
            "element": pseudo.element,
            "md5": pseudo.md5,
            "functional": functional_of_pseudopotential(pseudo.get_content()),
        }
        for kind, pseudo in pseudos.items()
    }
    return pw_level_of_theory(parameters.get_dict(), described, points, code.default_calc_job_plugin)


@calcfunction
def derive_level_of_theory(
    parameters: orm.Dict, kpoints: orm.KpointsData, code: orm.AbstractCode, **pseudos: orm.Data
) -> LevelOfTheoryData:
    """Return the settings of a labelling that change its energies and forces.

    :param parameters: namelists of ``pw.x``.
    :param pseudos: pseudopotential of each kind of atom.
    """
    return LevelOfTheoryData(level_from_nodes(parameters, kpoints, code, pseudos))
