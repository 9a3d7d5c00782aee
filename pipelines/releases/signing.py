"""Signatures and envelopes: a partner can prove that a folder is ours and unchanged, and only it can open it.

Ed25519 through ``cryptography``; age through ``pyrage``, because an age envelope is one small file that a recipient
opens with one free tool on any system, and needs no certificate authority and no DuckDB extension.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyrage
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pipelines.releases.manifest import MANIFEST, ReleaseError, read_manifest, sha256_file
from pipelines.storage import write_atomic

SIGNATURE = f"{MANIFEST}.sig"


def signing_key(vault: Path) -> Ed25519PrivateKey:
    """The deployment's signing key, made on first use and kept in the vault beside its secret."""
    path = vault / "signing.key"
    if not path.exists():
        write_atomic(path, Ed25519PrivateKey.generate().private_bytes_raw().hex(), mode=0o600)
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))


def public_key(vault: Path) -> str:
    """The public half, hexadecimal. Partners get it by another way than the files."""
    return signing_key(vault).public_key().public_bytes_raw().hex()


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write the signature of the folder's manifest beside it."""
    write_atomic(folder / SIGNATURE, key.sign((folder / MANIFEST).read_bytes()).hex() + "\n")


def verify_folder(folder: Path, public: str) -> list[str]:
    """What is wrong with a partner's folder: signature, files missing, changed or added. Empty means nothing is.

    ``public`` is the deployment's public key, hexadecimal. Reads nothing outside the folder; links are refused.
    """
    try:
        manifest = read_manifest(folder)
        signature = bytes.fromhex((folder / SIGNATURE).read_text(encoding="ascii").strip())
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, (folder / MANIFEST).read_bytes())
    except ReleaseError as error:
        return [str(error)]
    except (OSError, ValueError, InvalidSignature):
        return [f"{SIGNATURE}: is missing or was not made by this key"]
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    listed = manifest["files"]
    problems = [
        f"{n}: in the folder but not in its manifest" for n in sorted(set(found) - {*listed, MANIFEST, SIGNATURE})
    ]
    problems += [f"{n}: is a link" for n, p in sorted(found.items()) if p.is_symlink()]
    for name, facts in sorted(listed.items()):
        if name not in found:
            problems.append(f"{name}: missing")
        elif not found[name].is_symlink() and sha256_file(found[name]) != facts["sha256"]:
            problems.append(f"{name}: its bytes are not the published ones")
    return problems


def seal(folder: Path, recipient: str, target: Path) -> None:
    """Write ``folder`` as one age file that only the holder of ``recipient``'s key can open (a tar within)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            tar.add(path, arcname=f"{folder.name}/{path.relative_to(folder).as_posix()}")
    target.write_bytes(pyrage.encrypt(buffer.getvalue(), [pyrage.x25519.Recipient.from_str(recipient)]))
