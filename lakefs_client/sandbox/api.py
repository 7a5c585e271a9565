"""The API server: one request to one operation, checked, authenticated, carried out, recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from . import document
from .errors import ApiError
from .identity import unauthenticated
from .operations import STREAMING, UNAUTHENTICATED_TOO, Operations
from .operations.call import reply
from .recorder import Recorder
from .state import Backend
from .wire import Request, Response


class Api:
    """Answers the requests to the API's port."""

    def __init__(self, backend: Backend, recorder: Recorder) -> None:
        self._backend = backend
        self._recorder = recorder
        self._document = document.load()

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        route = self._document.route(request.method, request.path)
        if route is None:
            missing = reply({"message": "invalid API endpoint"}, 404)
            return self._recorder.answer(request, "", lambda: missing, _refuse)
        operation, values = route

        def handle() -> Response:
            # What reads the body itself takes the lock when it needs it.
            lock = nullcontext() if operation.id in STREAMING else self._backend.lock
            try:
                call = self._check(operation, values, request)
                with lock:
                    return _carry_out(operation, call)
            except ApiError as error:
                return reply(error.body, error.status)

        part_number = values.get("partNumber", "")
        return self._recorder.answer(request, operation.id, handle, _refuse, part_number)

    def _check(
        self, operation: document.Operation, values: Mapping[str, str], request: Request
    ) -> Operations:
        """Validate first, then authenticate: the order of real servers."""
        arguments = self._document.arguments(operation, values, request.query, request.headers)
        body = None
        if operation.id not in STREAMING:
            content_type = request.headers.get("content-type", "")
            body = self._document.body(operation, content_type, request.body.read())
        authenticated = False
        if operation.auth:
            authenticated = self._backend.identity.authenticate(request.headers)
            if not authenticated and operation.id not in UNAUTHENTICATED_TOO:
                raise unauthenticated()
        body = {} if body is None else body
        return Operations(self._backend, request, arguments, body, authenticated)


def _carry_out(operation: document.Operation, call: Operations) -> Response:
    method = getattr(call, operation.id, None)
    if method is None:
        # Open-source servers have no more of authentication than the sandbox.
        missing = f"{operation.id} is not implemented by the sandbox"
        raise ApiError(501, "Not Implemented" if operation.path.startswith("/auth/") else missing)
    answer = method()
    if answer is None:
        return Response(204)
    return answer if isinstance(answer, Response) else reply(answer)


def _refuse(status: int, code: str, message: str) -> Response:
    return reply({"message": message}, status)
