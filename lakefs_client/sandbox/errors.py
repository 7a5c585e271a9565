"""The errors that API operations end with."""

from __future__ import annotations


class ApiError(Exception):
    """An error answer: its status and message, or another body in the place of the message."""

    def __init__(self, status: int, message: str, body: object | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body = {"message": message} if body is None else body


def not_found(what: str = "") -> ApiError:
    return ApiError(404, f"{what} not found".lstrip())


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def conflict(message: str) -> ApiError:
    return ApiError(409, message)


def no_changes(doing: str) -> ApiError:
    return ApiError(400, f"{doing}: no changes")
