"""The API server: one request to one operation, checked, authenticated, carried out, recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import document
from .errors import ApiError
from .identity import unauthenticated
from .operations import STREAMING, UNAUTHENTICATED_TOO, Operations
from .operations.call import reply
from .recorder import Recorder
from .state import Backend
from .validation import Invalid
from .wire import Request, Response


class Api:
    """Answers the requests to the API's port."""

    def __init__(self, backend: Backend, recorder: Recorder, changed: Callable[[], None]) -> None:
        self._backend = backend
        self._recorder = recorder
        self._changed = changed
        self._document = document.load()

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        route = None
        if request.path.startswith(document.BASE + "/"):
            path = request.path[len(document.BASE) :]
            route = self._document.route(request.method, path)
        if route is None:
            return self._recorder.answer(request, "", _no_such_route, _refuse)
        operation, values = route
        part = values.get("partNumber", "")
        return self._recorder.answer(
            request,
            operation.id,
            lambda: self._answer(operation, values, request),
            _refuse,
            int(part) if part.isdecimal() else None,
        )

    def _answer(
        self, operation: document.Operation, values: Mapping[str, str], request: Request
    ) -> Response:
        try:
            call = self._check(operation, values, request)
            if operation.id in STREAMING:
                response = _carry_out(operation, call)
            else:
                with self._backend.lock:
                    response = _carry_out(operation, call)
        except ApiError as error:
            return reply(error.body, error.status)
        except Invalid as error:
            return reply({"message": error.message}, 400)
        if request.method not in ("GET", "HEAD"):
            self._changed()
        return response

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


def _no_such_route() -> Response:
    return reply({"message": "invalid API endpoint"}, 404)


def _refuse(status: int, code: str, message: str) -> Response:
    return reply({"message": message}, status)
