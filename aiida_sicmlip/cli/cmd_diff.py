"""The command `aiida-sicmlip diff`."""

from __future__ import annotations

import click

from aiida_sicmlip.cli.options import PROFILE, load_profile, status_of_errors


@click.command("diff")
@click.argument("first", metavar="MODEL")
@click.argument("second", metavar="MODEL")
@PROFILE
def diff(first: str, second: str, profile_name: str | None) -> None:
    """Compare two models: data, hyperparameters, prior, seeds, versions, weights and errors.

    MODEL is a portable or a compiled model, or a run, of which the last model is used. Errors are those at the end of
    each training, on its own sets and on the configurations that both have. The exit status is 0 if the weights are
    identical to the last bit, 1 if not, and 2 if the models cannot be compared.

    For example: `aiida-sicmlip diff 210 462`.
    """
    from aiida_sicmlip.reports.models import model_comparison_lines
    from aiida_sicmlip.tools.model_comparison import compare_models
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.potentials import MODELS, model_of

    with status_of_errors(2):
        load_profile(profile_name)
        comparison = compare_models(*(model_of(load(name, MODELS, "MODEL")) for name in (first, second)))
        click.echo("\n".join(model_comparison_lines(comparison)))
    raise SystemExit(0 if comparison.weights.identical else 1)
