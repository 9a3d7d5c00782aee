"""On the path of a child process: every name look-up and every connection off this machine is noted and refused."""

import os
import socket

_NOTES = os.environ["KINWEAVE_TEST_LOOKUPS"]
_LOCAL = {"localhost", "127.0.0.1", "::1", "", None, socket.gethostname()}


def _refuse(what: object) -> None:
    with open(_NOTES, "a", encoding="utf-8") as notes:
        notes.write(f"{what}\n")
    raise OSError("the network is forbidden here")


def _guarded(name: str) -> None:
    real = getattr(socket, name)

    def lookup(host: object, *args: object, **kwargs: object) -> object:
        if host not in _LOCAL:
            _refuse(host)
        return real(host, *args, **kwargs)

    setattr(socket, name, lookup)


for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
    _guarded(_name)

_connect = socket.socket.connect


def _connect_locally(self: socket.socket, address: object) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _LOCAL:  # type: ignore[index]
        _refuse(address[0])  # type: ignore[index]
    _connect(self, address)


socket.socket.connect = _connect_locally  # type: ignore[method-assign]
