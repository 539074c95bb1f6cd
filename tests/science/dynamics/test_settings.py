"""Settings of an exploration, and the steps that follow from them."""

from __future__ import annotations

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings


def test_frames_of_a_run_and_of_its_segments():
    settings = ExplorationSettings(timestep=0.002, production=0.05, frame_interval=0.01, equilibration=0.006)
    assert settings.frame_steps().tolist() == [0, 5, 10, 15, 20, 25]
    assert settings.n_frames == 6
    assert settings.frame_steps(10).tolist() == [15, 20, 25]
    assert settings.frame_steps(11).tolist() == [15, 20, 25]
    assert settings.frame_steps(25).tolist() == []


@pytest.mark.parametrize("first", range(0, 31))
def test_segments_share_no_frame_and_lack_none(first):
    settings = ExplorationSettings(production=0.03, frame_interval=0.007)
    whole = settings.frame_steps().tolist()
    if first:
        assert settings.frame_steps(first).tolist() == [step for step in whole if step > first]
    else:
        assert whole == [0, 7, 14, 21, 28]


@pytest.mark.parametrize(
    ("production", "frame_interval", "steps"),
    [(1000.0, 0.1, 20000), (1.0, 0.1, 100), (26.0, 0.1, 500), (28.0, 0.1, 600), (10000.0, 0.1, 20000)],
)
def test_states_are_saved_about_fifty_times(production, frame_interval, steps):
    settings = ExplorationSettings(production=production, frame_interval=frame_interval)
    assert settings.restart_steps() == steps
    assert settings.restart_steps() % settings.steps(frame_interval) == 0


def test_states_are_saved_when_asked():
    assert ExplorationSettings(restart_interval=2.5).restart_steps() == 2500


def test_states_are_no_closer_than_kernels_of_the_bias():
    """Unless it was asked for, which the settings of the bias refuse."""
    short = ExplorationSettings(production=5.0, frame_interval=0.2)
    assert [short.restart_steps(pace) for pace in (0.0, 0.1, 0.4, 0.5)] == [200, 200, 400, 600]
    BiasSettings().check(2, short)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"restart_interval": 0.15}, "no multiple of `frame_interval`"),
        ({"restart_interval": 0.10004}, "whole number of time steps"),
        ({"restart_interval": 0.0}, "above zero"),
        ({"restrained_shell": 0}, "`exploration.parameters.restrained_shell` is 0"),
        ({"restrained_shell": 1.5}, "whole number"),
        ({"held_around": "defects"}, "give `defect` or `sites`"),
        ({"spring_constant": 0}, "`exploration.parameters.spring_constant`"),
        ({"retrieve_trajectory": "no"}, "true or false"),
        ({"frame_interval": 2000.0}, "no frame would be kept"),
        ({"held_shel": 3}, "Did you mean `restrained_shell`"),
    ],
)
def test_errors(change, message):
    with pytest.raises(InputError, match=message):
        ExplorationSettings.from_mapping(change)


def test_settings_read_back():
    settings = ExplorationSettings(restrained_shell=3, restart_interval=1.0)
    assert ExplorationSettings.from_mapping(settings.to_dict()) == settings
