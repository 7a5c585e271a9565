"""Options that commands for data share."""

from __future__ import annotations

from lakefs_client.cli import _parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from lakefs_client.transfer import TransferConfig

_UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def add_transfer(parser: argparse.ArgumentParser) -> None:
    """Add the options of transfers."""
    parser.add_argument(
        "-p", "--parallelism", metavar="N", type=_parser.argument(_parser.positive),
        help="parts or files that are sent at a time (default: 8 parts, 64 files)",
    )  # fmt: skip
    parser.add_argument(
        "--part-size", metavar="SIZE", type=_parser.argument(size),
        help="bytes in a part, such as 64MiB (default: 16MiB)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true",
        help="continue an interrupted transfer, and keep what is done if interrupted",
    )  # fmt: skip


def add_patterns(parser: argparse.ArgumentParser) -> None:
    """Add --include and --exclude."""
    for name, what in (("include", "transfer only"), ("exclude", "leave out")):
        parser.add_argument(
            f"--{name}", metavar="PATTERN", action="append", default=[],
            help=f"{what} files whose path in the folder matches; * matches / too; repeatable",
        )  # fmt: skip


def size(text: str) -> int:
    """Parse a number of bytes, with KiB, MiB or GiB after it."""
    digits = text.rstrip("KkMmGgIiBb ")
    unit = text[len(digits) :].strip().lower()
    if not (digits.isascii() and digits.isdecimal()) or unit not in _UNITS:
        raise ValueError(f"got {text!r}, expected a size such as 64MiB")
    return int(digits) * _UNITS[unit]


def transfer_config(options: argparse.Namespace) -> TransferConfig:
    """Return the settings that the options of a transfer stand for."""
    from lakefs_client.transfer import TransferConfig

    given: dict[str, Any] = {}
    if options.parallelism:
        given["max_concurrency"] = options.parallelism
    if options.part_size:
        given["part_size"] = options.part_size
    return TransferConfig(**given)
