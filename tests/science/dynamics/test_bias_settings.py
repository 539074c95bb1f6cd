"""Settings of a bias: alone, against the run, and against the number of variables."""

from __future__ import annotations

import json

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

RUN = ExplorationSettings()
WALL = {"variable": 0, "at": 0.5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"barrier": 0}, "`exploration.bias.barrier` is 0"),
        ({"pace": -1.0}, "`exploration.bias.pace`"),
        ({"barier": 1}, "Did you mean `barrier`"),
        ({"sigma": 0.1}, "list of positive numbers"),
        ({"sigma": []}, "list of positive numbers"),
        ({"sigma": [0.1, 0.0]}, "list of positive numbers"),
        ({"sigma": "0.1"}, "list of positive numbers"),
        ({"sigma": [0.1, 0.1], "sigma_min": [0.01, 0.2]}, "above the `sigma` of 0.1"),
        ({"sigma": [0.1], "adaptive_sigma_interval": 5.0}, "no meaning"),
        ({"adaptive_sigma_interval": 0.1}, "shorter than `pace`"),
        ({"biasfactor": 1.0}, "above 1"),
        ({"biasfactor": float("inf")}, "is inf; give a number above 1"),
        ({"compression_threshold": -0.1}, "at least 0"),
        ({"colvar_interval": 0}, "above zero"),
        ({"upper_walls": WALL}, "list of mappings"),
        ({"upper_walls": [WALL, {"variable": 0}]}, "Entry 2 of `exploration.bias.upper_walls`: `at` is missing"),
        ({"upper_walls": [{**WALL, "kapa": 1}]}, "Entry 1 .*: `kapa` is not .* Did you mean `kappa`"),
        ({"lower_walls": [{**WALL, "kappa": 0}]}, "lower_walls`: `kappa` is 0"),
        ({"lower_walls": [{**WALL, "eps": -1}]}, "lower_walls`: `eps` is -1"),
        ({"lower_walls": [3]}, "Entry 1 of `exploration.bias.lower_walls` is 3"),
        ({"restraints": [WALL]}, "does nothing"),
        ({"restraints": [{"variable": -1, "at": 0.0, "kappa": 1.0}]}, "`variable` is -1"),
    ],
)
def test_settings_that_are_wrong_by_themselves(settings, message):
    with pytest.raises(InputError, match=message):
        BiasSettings.from_mapping(settings)


@pytest.mark.parametrize(
    ("settings", "run", "message"),
    [
        ({"barrier": 0.129}, {}, r"not above kT, 0\.129 eV at 1500 K"),
        ({"pace": 0.0005}, {}, "`exploration.bias.pace` is 0.0005 ps, which is not a whole number"),
        ({"colvar_interval": 0.1234567}, {}, "`exploration.bias.colvar_interval`"),
        ({"adaptive_sigma_interval": 1.0005}, {}, "`exploration.bias.adaptive_sigma_interval`"),
        ({"pace": 0.5}, {"restart_interval": 0.4}, "longer than the 0.4 ps between two saved states"),
        ({"sigma": [0.1, 0.1]}, {}, "`exploration.bias.sigma` gives 2 widths for 3 collective variables"),
        ({"sigma_min": [0.1] * 4}, {}, "`exploration.bias.sigma_min` gives 4 widths"),
        ({"lower_walls": [WALL, {"variable": 3, "at": 0.0}]}, {}, "Entry 2 .* acts on variable 3, but there are 3"),
        ({"restraints": [{"variable": 7, "at": 0.0, "kappa": 1}]}, {}, "restraints` acts on variable 7"),
    ],
)
def test_settings_that_do_not_fit(settings, run, message):
    with pytest.raises(InputError, match=message):
        BiasSettings.from_mapping(settings).check(3, ExplorationSettings.from_mapping(run))


def test_barrier_that_one_temperature_allows_and_another_does_not():
    bias = BiasSettings(barrier=0.1)
    bias.check(3, ExplorationSettings(temperature=1000.0))
    with pytest.raises(InputError, match="1200 K"):
        bias.check(3, ExplorationSettings(temperature=1200.0))


def test_settings_survive_a_node():
    """As JSON, in which a `Dict` node holds them."""
    bias = BiasSettings(
        sigma=[0.1, 0.2],
        upper_walls=[{"variable": 1, "at": 0.5, "kappa": 3.0}],
        restraints=[{"variable": 0, "at": 0.5, "slope": 3.0}],
    )
    bias.check(2, RUN)
    assert BiasSettings.from_mapping(json.loads(json.dumps(bias.to_dict()))) == bias
    assert bias.upper_walls[0].exponent == 2
