"""The sandbox over HTTP: what came, and the faults in force.

Lists are newest first. `after` asks for messages that came after the one of that number, `before` for older ones;
`before` in an answer is what to ask for to get the next page, null at the end. `total` counts all that match,
whatever the page. An unknown parameter or field is an error, so that a typing mistake does not find everything.
The HTML of a mail is served so that it can run nothing, load nothing and is of no origin.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.sandbox import mail
from services.sandbox.faults import Channel, FaultList, Faults
from services.sandbox.mail import Attachment
from services.sandbox.message import Message
from services.sandbox.problem import BadInputError, bad_input
from services.sandbox.store import Filter, Store

DEFAULT_LIMIT = 100
MOST_AT_ONCE = 10_000
_MAX_BODY_BYTES = 65_536
_INERT = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FRESH = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class ListQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """What `GET /v1/messages` may be asked."""

    to: str = ""
    subject: str = ""
    search: str = ""
    channel: Channel | None = None
    customer: str = ""
    accepted: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] = DEFAULT_LIMIT
    after: Annotated[int, Meta(ge=0)] = 0
    before: Annotated[int, Meta(ge=1)] | None = None


class MessageList(Struct, frozen=True):
    """A page of messages, newest first."""

    messages: list[Message]
    total: int
    before: int | None


class WholeMessage(Struct, frozen=True):
    """One message with all that it says."""

    message: Message
    raw_kept: bool
    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    attachments: tuple[Attachment, ...]


class Api:
    """Answers for a store of messages and the faults in force."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the routes below /v1."""
        return [
            Route("/v1/messages", self._list, methods=["GET"]),
            Route("/v1/messages", self._clear, methods=["DELETE"]),
            Route("/v1/messages/{number:int}", self._whole, methods=["GET"]),
            Route("/v1/messages/{number:int}/raw", self._raw, methods=["GET"]),
            Route("/v1/messages/{number:int}/html", self._html, methods=["GET"]),
            Route("/v1/counts", self._counts, methods=["GET"]),
            Route("/v1/faults", self._get_faults, methods=["GET"]),
            Route("/v1/faults", self._put_faults, methods=["PUT"]),
            Route("/v1/faults", self._clear_faults, methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        query = _query(request)
        wanted = Filter(
            to=query.to,
            subject=query.subject,
            search=query.search,
            channel=query.channel or "",
            customer=query.customer,
            accepted=query.accepted,
            after=query.after,
        )
        matching = self._store.newest_first(wanted)
        page: list[Message] = []
        total = 0
        for message in matching:
            total += 1
            if len(page) <= query.limit and (query.before is None or message.number < query.before):
                page.append(message)  # one more than asked for: it says whether there is a next page
        more = len(page) > query.limit
        page = page[: query.limit]
        return _json(MessageList(page, total, page[-1].number if more else None))

    async def _clear(self, _: Request) -> Response:
        self._store.clear()
        return Response(status_code=204)

    async def _whole(self, request: Request) -> Response:
        message = self._found(request)
        raw = self._store.raw(message.number)
        content = mail.read(raw or b"")
        whole = WholeMessage(message, raw is not None, content.headers, content.text, content.html, content.attachments)
        fields: dict[str, Any] = msgspec.to_builtins(whole)
        return _json({**fields.pop("message"), **fields})

    async def _raw(self, request: Request) -> Response:
        return Response(self._kept_bytes(request), media_type="text/plain", headers=_INERT)

    async def _html(self, request: Request) -> Response:
        markup = mail.read(self._kept_bytes(request)).html
        if markup is None:
            raise HTTPException(404, "this message has no HTML")
        return Response(markup, media_type="text/html", headers=_INERT)

    async def _counts(self, _: Request) -> Response:
        return _json(self._store.counts())

    async def _get_faults(self, _: Request) -> Response:
        return _json(self._faults.in_force)

    async def _put_faults(self, request: Request) -> Response:
        body = await _body(request)
        try:
            self._faults.in_force = msgspec.json.decode(body, type=FaultList)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise bad_input(error) from error
        return _json(self._faults.in_force)

    async def _clear_faults(self, _: Request) -> Response:
        self._faults.in_force = []
        return Response(status_code=204)

    def _found(self, request: Request) -> Message:
        message = self._store.message(request.path_params["number"])
        if message is None:
            raise HTTPException(404, "there is no message of this number, or it is no longer kept")
        return message

    def _kept_bytes(self, request: Request) -> bytes:
        raw = self._store.raw(self._found(request).number)
        if raw is None:
            raise HTTPException(404, "the bytes of this message are no longer kept")
        return raw


def _query(request: Request) -> ListQuery:
    try:
        return msgspec.convert(dict(request.query_params), ListQuery, strict=False)
    except msgspec.ValidationError as error:
        raise bad_input(error) from error


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise BadInputError("body", f"larger than {_MAX_BODY_BYTES} bytes")
    return body


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers=_FRESH)
