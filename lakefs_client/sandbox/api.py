"""The API server: it routes, validates, authenticates and executes each request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from lakefs_client.sandbox import openapi
from lakefs_client.sandbox.errors import ApiError, StoreError
from lakefs_client.sandbox.http_server import Request, Response
from lakefs_client.sandbox.identity import unauthenticated
from lakefs_client.sandbox.operations.branches import Branches
from lakefs_client.sandbox.operations.call import reply
from lakefs_client.sandbox.operations.commits import Commits
from lakefs_client.sandbox.operations.maintenance import Maintenance
from lakefs_client.sandbox.operations.objects import Objects
from lakefs_client.sandbox.operations.pulls import Pulls
from lakefs_client.sandbox.operations.repositories import Repositories
from lakefs_client.sandbox.operations.service import Service
from lakefs_client.sandbox.operations.staging import Staging
from lakefs_client.sandbox.request_log import Recorder
from lakefs_client.sandbox.s3_errors import error_response
from lakefs_client.sandbox.state import Backend

# The maximum size of a JSON body, which is read before authentication.
_MAX_JSON = 16 * 1024 * 1024
# Operations that read the body themselves and take the backend's lock when they need it.
_STREAMING = ("upload_object",)
# Operations that require no credentials although the document says so.
_ANONYMOUS = ("get_current_user",)


class _Call(Objects, Staging, Branches, Commits, Pulls, Repositories, Maintenance, Service):
    """A call to any operation."""


class Api:
    """The API's request handler."""

    def __init__(self, backend: Backend, recorder: Recorder) -> None:
        self._backend = backend
        self._recorder = recorder
        self._document = openapi.load()

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        operation, values = self._document.route(request.method, request.path)

        def handle() -> Response:
            try:
                if _is_for_the_gateway(request):
                    message = "The sandbox has no S3 gateway."
                    return error_response(request.path[1:], 501, "NotImplemented", message)
                if operation is None:
                    raise ApiError(404, "invalid API endpoint")
                return self._execute(operation, values, request)
            except ApiError as error:
                return reply(error.body, error.status)
            except StoreError as error:
                return reply({"message": f"operation error S3: {error.code}: {error}"}, 500)

        name = operation.id if operation else ""
        part_number = values.get("partNumber", "")
        response = self._recorder.answer(request, name, handle, _error_response, part_number)
        if operation is not None:
            response.headers.setdefault("X-Request-Id", str(uuid.uuid4()))
        return response

    def _execute(
        self, operation: openapi.Operation, values: Mapping[str, str], request: Request
    ) -> Response:
        # Real servers validate a request before they authenticate it.
        arguments = self._document.arguments(operation, values, request.query, request.headers)
        streaming = operation.id in _STREAMING
        body: Any = {}
        if not streaming:
            content_type = request.headers.get("content-type", "")
            data = request.body.read(_MAX_JSON)
            if data is None:
                raise ApiError(413, f"request body too large: the limit is {_MAX_JSON} bytes")
            body = self._document.body(operation, content_type, data)
        authenticated = False
        if operation.auth:
            now = self._backend.clock()
            authenticated = self._backend.identity.authenticate(request.headers, now)
            if not authenticated and operation.id not in _ANONYMOUS:
                raise unauthenticated()
        call = _Call(self._backend, request, arguments, body, authenticated)
        with nullcontext() if streaming else self._backend.lock:
            method = getattr(call, operation.id, None)
            if method is None:
                # Open-source servers lack these authentication operations, too.
                if operation.path.startswith("/auth/"):
                    raise ApiError(501, "Not Implemented")
                raise ApiError(501, f"{operation.id} is not implemented by the sandbox")
            answer = method()
            if answer is None:
                return Response(204)
            # Encode under the lock: `answer` may be a part of the state.
            return answer if isinstance(answer, Response) else reply(answer, operation.status)


def _is_for_the_gateway(request: Request) -> bool:
    """Return True for a request that S3 clients sign. lakeFS serves them on the same port."""
    authorization = request.headers.get("authorization", "")
    return authorization.startswith(("AWS4-HMAC-SHA256", "AWS "))


def _error_response(status: int, code: str, message: str) -> Response:
    return reply({"message": message}, status)
