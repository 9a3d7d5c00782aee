"""A PostgreSQL of one's own that leaves nothing behind: for the demo and for the tests.

Uses the binaries Debian's ``postgresql`` package installs. Started by root it runs as ``postgres`` or ``nobody``,
because the server refuses to run as root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.releases.serve.shares import ServeError

#: Who may do everything; reached only through the socket, whose folder is closed to others.
SUPERUSER = "postgres"
DATABASE = "kinweave"
MISSING = "PostgreSQL's programs are not on this machine: apt-get install postgresql"


@dataclass(frozen=True)
class Server:
    """A running server. ``folder`` holds its data, its log and its socket."""

    folder: Path
    port: int = 5432

    def uri(self, user: str = SUPERUSER, database: str = DATABASE) -> str:
        """What libpq takes to connect as ``user`` through the socket."""
        return f"host={self.folder} port={self.port} user={user} dbname={database}"

    def stop(self) -> None:
        """End the server at once and remove its folder. One that has ended already is only removed."""
        with suppress(ServeError):
            _run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


def start(*, port: int | None = None, trust: bool = False, settings: Mapping[str, str] | None = None) -> Server:
    """Start a new server with the database ``kinweave``.

    Without ``port`` it is reached through the socket alone; with it also from this machine over TCP, by password. With
    ``trust`` the socket asks nobody for a password, else only :data:`SUPERUSER` and the owner pass without. Data that a
    power cut would lose does not matter here. Raises :class:`ServeError`.
    """
    _binary("postgres")
    if port and _is_taken(port):
        raise ServeError(f"port {port} of this machine is taken: name another one with --port")
    folder = Path(tempfile.mkdtemp(prefix="kinweave-pg-"))
    if (user := _server_user()) is not None:
        shutil.chown(folder, user)
    server = Server(folder, port or 5432)
    try:
        data = folder / "data"
        _run("initdb", "-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        if not trust:
            (data / "pg_hba.conf").write_text(
                f"local all {SUPERUSER},kinweave_owner trust\nlocal all all scram-sha-256\n"
                "host all all 127.0.0.1/32 scram-sha-256\n"
            )
        lines = {
            "listen_addresses": "127.0.0.1" if port else "",
            "port": str(server.port),
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
            "password_encryption": "scram-sha-256",
            "log_connections": "on",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            **(settings or {}),
        }
        if has_pgaudit():
            lines.setdefault("shared_preload_libraries", "pgaudit")
        with (data / "postgresql.conf").open("a") as handle:
            handle.writelines(f"{k} = '{v}'\n" for k, v in lines.items())
        _run("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-w", "start")
        _run("createdb", "-h", str(folder), "-p", str(server.port), "-U", SUPERUSER, DATABASE)
    except ServeError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return server


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port whose last connection has just ended is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def has_pgaudit() -> bool:
    """Whether Debian's pgaudit package for this server is installed."""
    return (_binary("postgres").parent.parent / "lib" / "pgaudit.so").exists()


def _binary(name: str) -> Path:
    """A program of the newest server installed. Raises :class:`ServeError` telling how to install one."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3].split(".")[0]))
    if found:
        return found[-1]
    if other := shutil.which(name):
        return Path(other)
    raise ServeError(MISSING)


def _server_user() -> str | None:
    """Whom the server runs as when root starts it; None when it runs as whoever starts it."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ServeError("root cannot run PostgreSQL, and there is no user postgres or nobody to run it")


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(_binary(name)), *arguments],
        user=_server_user(),
        cwd="/",
        # pg_ctl leaves a server behind that would hold a pipe open for ever.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if name == "pg_ctl" else subprocess.PIPE,
        stderr=subprocess.DEVNULL if name == "pg_ctl" else subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        said = (done.stdout or "").strip().splitlines()
        raise ServeError(f"{name} failed: {said[-1] if said else 'see the log of the server'}")
