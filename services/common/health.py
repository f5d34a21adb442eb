"""`/live`, `/ready` and `/metrics` of a process, and the HTTP server that carries them.

Live: the process answers. Ready: it owns what it should and has loaded what it needs; the body says what is missing.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.common.lifecycle import CannotListenError


def routes(missing: Callable[[], list[str]]) -> list[Route]:
    """Return the three routes; `missing` names what the process still waits for (empty: ready)."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        waits = missing()
        return JSONResponse({"ready": not waits, "waits_for": waits}, status_code=503 if waits else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return [Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)]


class HttpServer(uvicorn.Server):
    """An HTTP server inside a process whose signals belong to `lifecycle`."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=3,
            ),
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `lifecycle`."""
        yield

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then finish what is under way; raise CannotListenError when the port is taken."""
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._serve_or_raise())
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self.should_exit = True
            stopping.cancel()

    async def _serve_or_raise(self) -> None:
        try:
            await self.serve()
        except SystemExit as error:  # uvicorn's way to say that it could not bind
            raise CannotListenError(f"{self.config.host}:{self.config.port}") from error


async def serve_health(host: str, port: int, missing: Callable[[], list[str]], stop: asyncio.Event) -> None:
    """Serve the three routes until `stop` is set."""
    await HttpServer(Starlette(routes=routes(missing)), host, port).serve_until(stop)
