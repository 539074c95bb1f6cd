"""Which trainings need more steps, and which more labels."""

import pytest

from aiida_sicmlip.science.evaluation.underfit import assess_errors, message_of_fit


@pytest.mark.parametrize(
    ("training", "validation", "underfitted"),
    [
        (0.38, 0.35, True),  # the validation error is even smaller: no label can help
        (0.20, 0.235, True),
        (0.20, 0.30, False),  # the gap is open: labels count
        (0.06, 0.235, False),
        (0.08, 0.08, False),  # what was asked for is met
        (0.10, 0.10, False),
    ],
)
def test_underfitted_is_what_knows_its_own_data_no_better_than_others(training, validation, underfitted):
    fit = assess_errors(training, validation, 0.1)
    assert fit["underfitted"] is underfitted
    assert (fit["training_force_mae"], fit["validation_force_mae"]) == (training, validation)


def test_message_says_what_helps():
    message = message_of_fit(assess_errors(0.2, 0.21, 0.1))
    assert "0.200 eV/A on the training set, where 0.1 is asked, and 0.210" in message and "more steps" in message
