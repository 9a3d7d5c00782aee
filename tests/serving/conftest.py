"""One PostgreSQL for all tests of serving, with a database for each folder of agreements."""

import datetime as dt
import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from pipelines.releases import agreements as rules
from pipelines.releases.serve import load, prepare, throwaway
from pipelines.releases.serve.shares import recipients
from tests.serving.partner_folders import TODAY, ZONE, copy_agreements, public_key, write_release


@dataclass
class Served:
    """A prepared database and the folders it is loaded from."""

    server: throwaway.Server
    database: str
    root: Path
    agreements: Path

    @property
    def owner(self):
        return self.server.uri("kinweave_owner", self.database)

    def book(self):
        return rules.load(self.agreements)

    def load(self, partners, **more):
        settings = {"zone": ZONE, "day": TODAY, "verified_by": public_key(self.root), **more}
        return load(self.owner, partners, self.book(), **settings)

    def prepare(self):
        return prepare(self.server.uri(database=self.database), recipients(self.book()))

    def connect(self, user="postgres", **more):
        return psycopg.connect(self.server.uri(user, self.database), autocommit=True, **more)

    @contextmanager
    def as_partner(self, partner):
        """A connection that could write if it had the rights: read-only is a convenience, not the control."""
        with self.connect(f"partner_{partner}", options="-c default_transaction_read_only=off") as connection:
            yield connection


@pytest.fixture(scope="session")
def server():
    running = throwaway.start(trust=True)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def new_database(server):
    """A function that makes and prepares a database for the demo's agreements, some of them changed."""
    numbers = itertools.count(1)

    def make(root, only=(), **changed):
        name = f"served_{next(numbers)}"
        with psycopg.connect(server.uri(), autocommit=True) as connection:
            connection.execute(f"create database {name} template template0")
        served = Served(server, name, root, copy_agreements(root / "agreements", only, **changed))
        served.prepare()
        return served

    return make


@pytest.fixture
def small(new_database, tmp_path):
    """Two partners with three tables each, in a database of the test's own."""
    return new_database(tmp_path, only=["medicaid_agency", "public"])


#: A number of rows that nothing else in a catalog is.
ROWS = 15_013


@pytest.fixture(scope="session")
def demo(new_database, tmp_path_factory):
    """All partners of the demo. The university's agreement held yesterday, when the release was loaded, and ended."""
    root = tmp_path_factory.mktemp("demo")
    served = new_database(root, state_university={"expires": TODAY})
    partners = write_release(root, served.agreements, rows={"medicaid_agency": ROWS})
    served.load(partners, day=TODAY - dt.timedelta(1))
    return served
