"""``python -m pipelines.measures generate [--check]``: the registry's pages and reference table."""

from __future__ import annotations

import sys

from pipelines.measures.registry import RegistryError, generate
from pipelines.settings import REPOSITORY


def main(arguments: list[str]) -> int:
    """Exit code 0 when all is written or current, 1 when something is not, 2 for an unknown verb."""
    if arguments not in (["generate"], ["generate", "--check"]):
        print("usage: python -m pipelines.measures generate [--check]", file=sys.stderr)
        return 2
    check = "--check" in arguments
    try:
        differing = generate(check=check)
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 1
    for path in differing:
        print(f"{'not current' if check else 'written'}: {path.relative_to(REPOSITORY).as_posix()}")
    return 1 if check and differing else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
