"""A Lennard-Jones prior for the labels of a data set."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_sicmlip.data.dataset import LabelledDataSetData
from aiida_sicmlip.data.lennard_jones_prior import LennardJonesPriorData
from aiida_sicmlip.science.training.lennard_jones_fit import LennardJonesSettings, fit_prior

CACHE_VERSION = 2
"""Raised when the meaning of the result changes; it is part of this file, which is part of the hash of each call."""


@calcfunction
def fit_lennard_jones_prior(dataset: LabelledDataSetData, settings: orm.Dict) -> LennardJonesPriorData:
    """Return the Lennard-Jones prior that fits ``dataset`` best, with its residuals.

    :param settings: fields of :class:`aiida_sicmlip.science.training.lennard_jones_fit.LennardJonesSettings`, and
        `species`: the elements of the prior in their order, by default those of the data set, sorted.
    :raises InputError: where :func:`aiida_sicmlip.science.training.lennard_jones_fit.fit_prior` does.
    """
    given = settings.get_dict()
    species = given.pop("species", None)
    return LennardJonesPriorData.from_fit(
        fit_prior(dataset.frames(), LennardJonesSettings.from_mapping(given), species=species)
    )
