"""What the agreements allow, read from the YAML a second time, with none of the code that grants."""

import datetime as dt
from pathlib import Path

from tests.serving.partner_folders import DICTIONARY, read_agreements

#: What every served partner sees besides its agreement's tables.
ABOUT = {
    "release_id", "cut_off", "agreement", "purposes", "legal_basis", "holds_until", "redisclosure", "retention_days",
    "tables", "notice",
}  # fmt: skip


def allowed(folder: Path, day: dt.date) -> dict[str, dict[str, set[str]]]:
    """Role -> table -> columns that may be selected on ``day``. A role that may see nothing is not there."""
    found: dict[str, dict[str, set[str]]] = {}
    agreements = read_agreements(folder)
    for agreement in agreements.values():
        begun = [a for a in agreements.values() if a["effective"] <= day]
        holds = (
            agreement in begun
            and agreement["expires"] > day
            and not ("withdrawn" in agreement and agreement["withdrawn"] <= day)
            and not any(a.get("supersedes") == agreement["agreement"] for a in begun)
        )
        if holds and "postgres" in agreement.get("delivery", {}).get("modes", ["files"]):
            tables = found.setdefault("partner_" + agreement["parties"]["recipient"], {})
            for table, dataset in agreement["datasets"].items():
                tables[table] = set(dataset["columns"])
            tables |= {"about": ABOUT, "data_dictionary": set(DICTIONARY)}
    return found
