"""Log lines of transfers."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from lakefs_client.transfer.errors import CallbackError, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

logger = logging.getLogger("lakefs_client.transfer")


def logged(description: str, work: Callable[[], T]) -> T:
    """Run a transfer, and log its start and its end."""
    started = time.monotonic()
    logger.info("%s", description)
    try:
        result = work()
        logger.info("%s: done in %.1f s", description, time.monotonic() - started)
        return result
    except CallbackError as error:
        raised = unwrap(error)
    except BaseException as error:
        logger.info("%s: failed, %s", description, getattr(error, "outcome", type(error).__name__))
        raise
    logger.info("%s: stopped by its progress callback", description)
    raise raised  # outside of the handler, so that it keeps its own context
