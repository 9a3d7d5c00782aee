"""Who is who, and who is family: this room turns staged person records into people and families with stable IDs.

It knows no scheduler and reads no environment; every path is given. Names and numbers stay inside the folders it is
told to write to.

A night: :func:`build_records`, :func:`score`, :func:`check_drift`, :func:`resolve`, :func:`build_families`,
:func:`build_households`, :func:`link_families`, then :func:`write_alternates`, :func:`build_queue` and
:func:`report_quality`. Outside the night: :func:`train` for the first model, :func:`train_beside` for a later one,
:func:`write_charts`. Any other files: :func:`link_files`. Against a known truth (demo and tests): :func:`evaluate`.
"""

from linkage.compare import train_beside
from linkage.drift import check_drift
from linkage.evaluate import Evaluation, evaluate
from linkage.family.families import build_families, link_families
from linkage.family.households import build_households
from linkage.files import link_files
from linkage.model import ModelCard, ModelError, load
from linkage.person.resolve import resolve, score
from linkage.quality import report as report_quality
from linkage.quality import write_alternates, write_charts
from linkage.records import DATE_FORMS, build_records
from linkage.registry import LedgerError, Registry
from linkage.review.decisions import ReviewError
from linkage.review.queue import build_queue
from linkage.train import train

__all__ = [
    "DATE_FORMS",
    "Evaluation",
    "LedgerError",
    "ModelCard",
    "ModelError",
    "Registry",
    "ReviewError",
    "build_families",
    "build_households",
    "build_queue",
    "build_records",
    "check_drift",
    "evaluate",
    "link_families",
    "link_files",
    "load",
    "report_quality",
    "resolve",
    "score",
    "train",
    "train_beside",
    "write_alternates",
    "write_charts",
]
