"""Errors of the HTTP API as RFC 9457 problems that name the field at fault."""

import re

from msgspec import DecodeError, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

_PLACE = re.compile(r"^(?P<detail>.*?)(?: - at `\$?\.?(?P<field>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"field `(?P<field>[^`]+)`")


class ProblemResponse(JSONResponse):
    """An error as a client gets it."""

    media_type = "application/problem+json"


class BadInputError(Exception):
    """A request can't be understood; `field` names the part at fault."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


def bad_input(error: ValidationError | DecodeError) -> BadInputError:
    """Make an error of msgspec one that names its field."""
    found = _PLACE.match(str(error))
    field = (found and found["field"]) or ""
    detail = found["detail"] if found else str(error)
    if named := _NAMED.search(detail):
        field = f"{field}.{named['field']}".lstrip(".")
    return BadInputError(field or "body", detail)


async def on_bad_input(_: Request, error: Exception) -> Response:
    """Answer 400 to what can't be understood."""
    assert isinstance(error, BadInputError)  # noqa: S101  # registered for it only
    errors = [{"field": error.field, "detail": error.detail}]
    return problem(400, "Bad request", f"{error.field}: {error.detail}", errors=errors)


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer what the router of paths refuses, or what is not there."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for it only
    response = problem(error.status_code, "Error", error.detail)
    response.headers.update(error.headers or {})
    return response


def problem(status: int, title: str, detail: str, **more: object) -> Response:
    """Build a problem."""
    return ProblemResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}, status_code=status
    )
