"""Upload files of any size straight to the object store, over presigned URLs.

`Transfer` asks lakeFS where to put the bytes and tells it when they are there; the bytes
themselves go to the store, in parts and in parallel, without lakeFS's credentials.
"""

from lakefs_client.exceptions import TransferError
from lakefs_client.transfer.config import TransferConfig
from lakefs_client.transfer.resume import PendingUpload
from lakefs_client.transfer.transfer import Transfer

__all__ = ["PendingUpload", "Transfer", "TransferConfig", "TransferError"]
