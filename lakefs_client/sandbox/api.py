"""The API server: one request to one operation, checked, authenticated, carried out, recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from . import document
from .errors import ApiError
from .faults import Recorder
from .identity import unauthenticated
from .operations.call import reply
from .operations.objects import Objects
from .operations.refs import Refs
from .operations.repositories import Repositories
from .operations.service import Service
from .state import Backend
from .wire import Request, Response

# Operations that read the body themselves, and take the backend's lock when they need it.
_STREAMING = ("upload_object",)
# Operations that answer something for nobody, too.
_UNAUTHENTICATED_TOO = ("get_current_user",)


class _Call(Objects, Refs, Repositories, Service):
    """A call of any operation."""


class Api:
    """Answers the requests to the API's port."""

    def __init__(self, backend: Backend, recorder: Recorder) -> None:
        self._backend = backend
        self._recorder = recorder
        self._document = document.load()

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        operation, values = self._document.route(request.method, request.path)

        def handle() -> Response:
            try:
                if operation is None:
                    raise ApiError(404, "invalid API endpoint")
                return self._carry_out(operation, values, request)
            except ApiError as error:
                return reply(error.body, error.status)

        name = operation.id if operation else ""
        part_number = values.get("partNumber", "")
        return self._recorder.answer(request, name, handle, _refuse, part_number)

    def _carry_out(
        self, operation: document.Operation, values: Mapping[str, str], request: Request
    ) -> Response:
        # Validated first, then authenticated: the order of real servers.
        arguments = self._document.arguments(operation, values, request.query, request.headers)
        streaming = operation.id in _STREAMING
        body: Any = {}
        if not streaming:
            content_type = request.headers.get("content-type", "")
            body = self._document.body(operation, content_type, request.body.read())
        authenticated = False
        if operation.auth:
            now = self._backend.clock()
            authenticated = self._backend.identity.authenticate(request.headers, now)
            if not authenticated and operation.id not in _UNAUTHENTICATED_TOO:
                raise unauthenticated()
        call = _Call(self._backend, request, arguments, body, authenticated)
        with nullcontext() if streaming else self._backend.lock:
            method = getattr(call, operation.id, None)
            if method is None:
                # Open-source servers have no more of authentication than the sandbox.
                refused = operation.path.startswith("/auth/")
                missing = f"{operation.id} is not implemented by the sandbox"
                raise ApiError(501, "Not Implemented" if refused else missing)
            answer = method()
            if answer is None:
                return Response(204)
            # Under the lock, too: what is told may be the state itself.
            return answer if isinstance(answer, Response) else reply(answer, operation.status)


def _refuse(status: int, code: str, message: str) -> Response:
    return reply({"message": message}, status)
