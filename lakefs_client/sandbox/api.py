"""The API server: one request to one operation, checked, authenticated, carried out, recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import document
from .backend import Backend, Call, reply
from .errors import ApiError
from .identity import unauthenticated
from .operations import HANDLERS, STREAMING, UNAUTHENTICATED_TOO
from .recorder import Recorder
from .validation import Invalid
from .wire import Request, Response


class Api:
    """Answers the requests to the API's port."""

    def __init__(
        self,
        backend: Backend,
        recorder: Recorder,
        store_port: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._recorder = recorder
        self._store_port = store_port
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
            lambda: self._carry_out(operation, values, request),
            _refuse,
            int(part) if part.isdecimal() else None,
        )

    def _carry_out(
        self, operation: document.Operation, values: Mapping[str, str], request: Request
    ) -> Response:
        try:
            call = self._check(operation, values, request)
            handler = HANDLERS.get(operation.id)
            if handler is None:
                raise ApiError(501, f"{operation.id} is not implemented by the sandbox")
            if operation.id in STREAMING:
                response = handler(self._backend, call)
            else:
                with self._backend.lock:
                    response = handler(self._backend, call)
        except ApiError as error:
            return reply(error.body, error.status)
        except Invalid as error:
            return reply({"message": error.message}, 400)
        if request.method not in ("GET", "HEAD"):
            self._changed()
        return response

    def _check(
        self, operation: document.Operation, values: Mapping[str, str], request: Request
    ) -> Call:
        """Validate first, then authenticate: the order of real servers."""
        arguments = self._document.arguments(operation, values, request.query, request.headers)
        body = None
        if operation.id not in STREAMING:
            content_type = request.headers.get("content-type", "")
            body = self._document.body(operation, content_type, request.body.read())
        user = None
        if operation.needs_credentials:
            user = self._backend.identity.authenticate(request.headers)
            if user is None and operation.id not in UNAUTHENTICATED_TOO:
                raise unauthenticated()
        return Call(request, arguments, body, user or "", self._store_port())


def _no_such_route() -> Response:
    return reply({"message": "invalid API endpoint"}, 404)


def _refuse(status: int, code: str, message: str) -> Response:
    return reply({"message": message}, status)
