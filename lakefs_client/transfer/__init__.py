"""Transfers of files of any size, straight to and from the object store over presigned URLs.

`Transfer` asks lakeFS for presigned URLs. The bytes travel between this machine and the store, in
parallel parts, and without lakeFS's credentials.
"""

from lakefs_client.exceptions import ObjectExistsError, TransferError
from lakefs_client.transfer.compose import ObjectRange
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.directory.report import DirectoryEntry, DirectoryReport
from lakefs_client.transfer.download.reader import ObjectReader
from lakefs_client.transfer.transfer import Transfer
from lakefs_client.transfer.upload.resume import PendingUpload
from lakefs_client.transfer.upload.writer import ObjectWriter

__all__ = [
    "DirectoryEntry",
    "DirectoryReport",
    "ObjectExistsError",
    "ObjectRange",
    "ObjectReader",
    "ObjectWriter",
    "PendingUpload",
    "Transfer",
    "TransferConfig",
    "TransferError",
]
