"""The page for people: three files of this package, nothing from outside, no build step."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    """Return the routes of the page and its files."""
    paths = {("/" if name == "index.html" else f"/{name}"): name for name in _TYPES}
    return [Route(path, _file(name)) for path, name in paths.items()]


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    body = files("services.sandbox").joinpath("page", name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(body, media_type=_TYPES[name], headers=_HEADERS)

    return answer
