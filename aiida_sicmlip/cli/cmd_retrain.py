"""The command `aiida-sicmlip retrain`."""

from __future__ import annotations

import click

from aiida_sicmlip.cli.options import PROFILE, TRUST, load_profile, say_where_it_runs


@click.command("retrain")
@click.argument("identifier", metavar="MODEL")
@click.option(
    "--without",
    metavar="NODE,...",
    multiple=True,
    required=True,
    help="Nodes that the new model must not depend on: labels, DFT calculations, structures, selections, trajectories, "
    "their explorations and potentials, imported files. May be repeated.",
)
@click.option("--plan", is_flag=True, help="Show what would be removed, and run nothing.")
@click.option("--code", metavar="LABEL", help="Code for the training, if MODEL was trained without a work chain.")
@TRUST
@PROFILE
def retrain(
    *,
    identifier: str,
    without: tuple[str, ...],
    plan: bool,
    code: str | None,
    trust_shell: bool,
    profile_name: str | None,
) -> None:
    """Train MODEL again without some of its data, and compare the two models.

    The data sets are created again, round by round, from the remaining labels, so that the provenance of the new model
    does not contain what is removed; settings and seeds are those of MODEL. Configurations from trajectories of models
    that were trained on it remain, and their number is shown.

    For example: `aiida-sicmlip retrain 462 --without 139,345`.
    """
    from aiida_sicmlip.cli.dataset.change import words
    from aiida_sicmlip.common.exceptions import SicmlipError
    from aiida_sicmlip.reports.models import model_comparison_lines
    from aiida_sicmlip.reports.reproduction import removal_lines
    from aiida_sicmlip.tools.model_comparison import compare_models
    from aiida_sicmlip.tools.nodes import load
    from aiida_sicmlip.tools.potentials import MODELS, model_of
    from aiida_sicmlip.workflows.rerun.reproduction import complete, start
    from aiida_sicmlip.workflows.rerun.retraining import plan_removal, retrained_model, retraining_builder

    load_profile(profile_name)
    model = model_of(load(identifier, MODELS, "MODEL"))
    identifiers = [word for text in without for word in words(text, "--without") or []]
    removal = plan_removal(model, [load(word, [], "--without") for word in identifiers])
    click.echo("\n".join(removal_lines(removal.removed, removal.remaining, removal.indirect)))
    if plan:
        click.echo("Nothing was run.")
        return
    say_where_it_runs()
    process = complete(start(retraining_builder(removal, code, trusted=trust_shell)), click.echo)
    if not process.is_finished_ok:
        reason = process.exit_message or process.process_state.value
        raise SicmlipError(f"{process.process_label} <{process.pk}> failed: {reason}")
    retrained = retrained_model(process, model)
    click.echo(f"\nMade model <{retrained.pk}> without them.\n")
    click.echo("\n".join(model_comparison_lines(compare_models(model, retrained))))
