"""The complete set-up: profile, computer, codes, LAMMPS plugin, pseudopotentials and daemon."""

from __future__ import annotations

from aiida_sicmlip.cli.options import load_profile
from aiida_sicmlip.cli.setup import codes, computer, programs, pseudopotentials
from aiida_sicmlip.cli.setup import profile as profiles
from aiida_sicmlip.cli.setup.items import SetupItem, SetupRequest, State


def set_up(request: SetupRequest) -> list[SetupItem]:
    """Find or create everything that a run needs, and return the state of each item; existing items are not changed.

    :raises InputError: if something that the user gave does not exist or is unsuitable.
    :raises ProgramError: if AiiDA fails to create the profile.
    """
    required_codes = codes.required_codes(request)
    # What the user gave is checked before anything is created.
    paths = {required.label: codes.find_program(required) for required in required_codes}
    pseudopotentials.choose_files(request.species, request.pseudo_folder, request.pseudo_files)

    profile, items = profiles.set_up_profile(request.profile_name, request.check, request.database, request.broker)
    localhost = None
    if profile is None:
        items.append(SetupItem(f"computer `{computer.LABEL}`", State.MISSING, "waits for the profile"))
    else:
        load_profile(profile.name)
        localhost, made = computer.set_up_computer(profile.name, request.work_folder, request.check, request.replace)
        items += made
    items += [codes.set_up_code(required, localhost, request.check, request.replace) for required in required_codes]
    items += programs.set_up_lammps_plugin(paths["sicmlip-lmp"], request.check)
    if profile is None:
        label = request.pseudo_family or request.pseudo_label
        items.append(SetupItem(f"pseudopotentials `{label}`", State.MISSING, "wait for the profile"))
        return items
    items.append(pseudopotentials.set_up_pseudopotentials(request, profile.name))
    if request.start_daemon or request.workers is not None:
        items.append(programs.set_up_daemon(profile.name, request.workers, request.check))
    return items
