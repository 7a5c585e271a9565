"""Move files of any size between this machine and the object store, over presigned URLs.

`Transfer` asks lakeFS where to put the bytes and tells it when they are there; the bytes
themselves go to the store, in parts and in parallel, without lakeFS's credentials.
"""

from lakefs_client.exceptions import TransferError
from lakefs_client.transfer.compose import ObjectRange
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.many import DirectoryReport
from lakefs_client.transfer.reader import ObjectReader
from lakefs_client.transfer.resume import PendingUpload
from lakefs_client.transfer.transfer import Transfer
from lakefs_client.transfer.writer import ObjectWriter

__all__ = [
    "DirectoryReport",
    "ObjectRange",
    "ObjectReader",
    "ObjectWriter",
    "PendingUpload",
    "Transfer",
    "TransferConfig",
    "TransferError",
]
