"""A process that uploads a file with a journal, and may be killed, or kill itself.

It is forked from a server that has imported everything: to start Python takes longer than the
uploads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from lakefs_client import ApiClient, Configuration, RetryPolicy
from lakefs_client.transfer import Transfer, TransferConfig, config, plan
from lakefs_client.transfer import journal as journal_module
from lakefs_client.transfer.upload import part

PART = 64 << 10
PATH = "some/where/data.bin"


class Job(NamedTuple):
    """What to upload, and where to die.

    Attributes:
        endpoint: The server.
        keys: Its credentials.
        source: The file.
        journals: The folder of journals.
        dies: Which write of the journal it does not survive, from 1; 0 for none.
        written: How much of that write is done: none, half or all of it.
    """

    endpoint: str
    keys: tuple[str, str]
    source: Path
    journals: Path
    dies: int = 0
    written: float = 0


def transfer(job: Job, client: ApiClient) -> Transfer:
    """What a job is done with."""
    client.configuration.verify_ssl = False
    retry = RetryPolicy(attempts=2, min_wait=0, max_wait=0)
    settings = TransferConfig(
        part_size=PART, multipart_threshold=0, max_concurrency=2, retry=retry,
        journal_dir=job.journals,
    )  # fmt: skip
    return Transfer(client, settings)


def upload(job: Job, client: ApiClient, **options: Any) -> Any:
    """Do a job."""
    target = ("repo", "main", PATH)
    return transfer(job, client).upload_file(job.source, *target, resume=True, **options)


def start(job: Job) -> BaseProcess:
    """Have a process of its own do a job."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.uploader"])
    process = context.Process(target=_run, args=(job,))
    process.start()
    return process


def _run(job: Job) -> None:
    plan.MIN_PART_SIZE = config.MIN_PART_SIZE = PART
    part.WINDOW = 16 << 10
    if job.dies:
        _die_at(job.dies, job.written)
    configuration = Configuration(job.endpoint, username=job.keys[0], password=job.keys[1])
    with ApiClient(configuration) as client:
        upload(job, client)


def _die_at(number: int, share: float) -> None:
    """Have the process killed at a write of the journal."""
    fsync, count = os.fsync, 0
    write = journal_module.Journal._write

    def mortal(journal: Any, record: Any) -> None:
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

    journal_module.Journal._write = mortal  # type: ignore[method-assign]
