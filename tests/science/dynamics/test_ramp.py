"""Temperature and barrier of the first rounds."""

from __future__ import annotations

import itertools

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.ramp import RampSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings


@pytest.mark.parametrize(("first", "rounds"), [(0.6, 3), (0.25, 2), (0.1, 7), (1.0, 4)])
def test_the_ramp_rises_evenly_between_its_ends(first: float, rounds: int) -> None:
    ramp = RampSettings(first, rounds)
    shares = [ramp.share(number) for number in range(rounds + 3)]
    assert shares[0] == first
    assert shares[rounds - 1 :] == [1.0] * 4
    steps = [after - before for before, after in itertools.pairwise(shares[:rounds])]
    assert steps == pytest.approx([(1.0 - first) / (rounds - 1)] * (rounds - 1))


def test_temperature_and_barrier_rise_and_nothing_else() -> None:
    ramp, run, bias = RampSettings(), ExplorationSettings(), BiasSettings()
    scaled = [ExplorationSettings.from_mapping(ramp.scale(run.to_dict(), number)) for number in range(4)]
    assert [settings.temperature for settings in scaled] == [900.0, 1200.0, 1500.0, 1500.0]
    barriers = [BiasSettings.from_mapping(ramp.scale(bias.to_dict(), number)).barrier for number in range(4)]
    assert barriers == pytest.approx([1.8, 2.4, 3.0, 3.0])
    for number, settings in enumerate(scaled):
        changed = {name for name, value in settings.to_dict().items() if value != run.to_dict()[name]}
        assert changed == ({"temperature"} if number < 2 else set())
        # The bias factor, barrier / kT, is the same in all rounds.
        assert barriers[number] / settings.temperature == pytest.approx(bias.barrier / run.temperature)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"first": 0}, "ramp.first` is 0; give"), ({"first": 1.1}, "ramp.first` is 1.1"), ({"rounds": 1}, "at least 2")],
)
def test_ramps_that_make_no_sense(given: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RampSettings.from_mapping(given)
