"""A process that uploads a file with a journal, and that may kill itself.

A fork server starts the process, because starting Python takes longer than the uploads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from lakefs_client import ApiClient, Configuration, RetryPolicy
from lakefs_client.transfer import Transfer
from lakefs_client.transfer import journal as journal_module
from lakefs_client.transfer.plan import StoreLimits
from support.bench import make_transfer

PART = 64 << 10
LIMITS = StoreLimits(min_part=PART, window=16 << 10)
PATH = "some/where/data.bin"


class Job(NamedTuple):
    """An upload, and the journal write at which its process is killed.

    Attributes:
        endpoint: Address of the server.
        keys: Access key and secret.
        source: The file.
        journals: Folder of the journals.
        fatal_write: Number of the journal write that kills the process, from 1; 0 for none.
        written: Share of the fatal write that reaches the file: 0, 0.5 or 1.
    """

    endpoint: str
    keys: tuple[str, str]
    source: Path
    journals: Path
    fatal_write: int = 0
    written: float = 0


def make_job_transfer(job: Job, client: ApiClient, **settings: Any) -> Transfer:
    """Return the transfer of a job."""
    client.configuration.verify_ssl = False
    defaults = {
        "part_size": PART, "multipart_threshold": 0, "max_concurrency": 2,
        "retry": RetryPolicy(attempts=2, min_wait=0, max_wait=0), "journal_dir": job.journals,
    }  # fmt: skip
    return make_transfer(client, LIMITS, **{**defaults, **settings})


def upload(job: Job, transfer: Transfer, **options: Any) -> Any:
    """Run the upload of a job."""
    return transfer.upload_file(job.source, "repo", "main", PATH, resume=True, **options)


def start(job: Job) -> BaseProcess:
    """Start a process that runs a job."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.uploader"])
    process = context.Process(target=_run, args=(job,))
    process.start()
    return process


def _run(job: Job) -> None:
    if job.fatal_write:
        _die_at(job.fatal_write, job.written)
    configuration = Configuration(job.endpoint, username=job.keys[0], password=job.keys[1])
    with ApiClient(configuration) as client:
        upload(job, make_job_transfer(job, client))


def _die_at(number: int, share: float) -> None:
    """Kill the process at a write of the journal."""
    fsync, count = os.fsync, 0
    write = journal_module.Journal._write

    def write_or_die(journal: Any, record: Any) -> None:
        nonlocal count
        count += 1
        if count != number:
            write(journal, record)
            return
        if share:
            before = journal._file.tell()
            write(journal, record)
            after = journal._file.tell()
            journal._file.truncate(before + int((after - before) * share))
            fsync(journal._file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)

    journal_module.Journal._write = write_or_die  # type: ignore[method-assign]
