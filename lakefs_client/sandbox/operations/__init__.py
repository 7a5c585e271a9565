"""The API's operations, a class a group."""

from __future__ import annotations

from .auth import Auth
from .branches import Branches
from .commits import Commits
from .objects import Objects
from .pulls import Pulls
from .repositories import Repositories
from .service import Service
from .staging import Staging
from .tasks import Tasks

# Operations that read the body themselves, and hold the backend's lock only now and then.
STREAMING = frozenset({"upload_object"})

# Operations that answer something for nobody, too.
UNAUTHENTICATED_TOO = frozenset({"get_current_user"})


class Operations(Auth, Branches, Commits, Objects, Pulls, Repositories, Service, Staging, Tasks):
    """A call, with a method for each operation that the sandbox carries out."""
