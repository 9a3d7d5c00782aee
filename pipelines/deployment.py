"""A deployment folder: what a jurisdiction starts with. Its files are its own, never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

from expectations.contract import load_contracts
from pipelines.night import Night, prepare_dagster_home
from pipelines.settings import SettingsError, load_jurisdiction
from pipelines.storage import Home, write_atomic

TEMPLATES = Path(__file__).parent / "templates"


def create(folder: Path, example: Path | None = None) -> Home:
    """Make ``folder`` a deployment and return it.

    With ``example``, the files of that example deployment are copied; else a commented ``jurisdiction.yml``. Raises
    :class:`SettingsError` when the folder holds something else already.
    """
    folder = folder.expanduser().resolve()
    if (folder / "jurisdiction.yml").exists():
        raise SettingsError(f"{folder} is a deployment already: run `kinweave status --home {folder}`")
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    # Names will lie here: nobody but the owner and the group looks in.
    folder.chmod(0o750)
    home = Home(folder)
    for made in (home.agreements_dir, home.projects_dir, home.reviews_dir, home.log_dir, home.releases_dir):
        made.mkdir(exist_ok=True)
    for system in load_contracts():
        home.inbox(system).mkdir(parents=True)
    for private in ("raw", "vault", "quarantine"):
        (folder / private).mkdir(mode=0o700)
    prepare_dagster_home(home)
    Night(home).secret()
    if example is not None:
        shutil.copytree(example, folder, dirs_exist_ok=True)
    else:
        # Last: a folder is a deployment from the moment it has a jurisdiction.yml.
        write_atomic(home.jurisdiction, (TEMPLATES / "jurisdiction.yml").read_text(encoding="utf-8"))
    load_jurisdiction(folder)
    return home
