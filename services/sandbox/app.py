"""The sandbox's only loop: an SMTP server, and an HTTP server for the API, the page and the process's health."""

import asyncio
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from services.common import health
from services.common.clock import WallClock
from services.sandbox import pages
from services.sandbox.api import Api
from services.sandbox.faults import Faults
from services.sandbox.metrics import KEPT
from services.sandbox.problem import BadInputError, on_bad_input, on_http_error
from services.sandbox.settings import SandboxSettings
from services.sandbox.smtp import SmtpServer
from services.sandbox.store import Store

_ASK_AGAIN = 0.01


async def serve(settings: SandboxSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; raise OSError when a port is taken or messages can't be written."""
    store = Store(settings.sandbox_data)
    faults = Faults()
    smtp = SmtpServer(store, faults, WallClock())
    KEPT.set_function(lambda: store.counts().kept)
    http = health.HttpServer(_web(store, faults, smtp), settings.bind, settings.sandbox_http_port)
    try:
        async with asyncio.TaskGroup() as tasks:
            smtp_host, smtp_port = await smtp.start(settings.bind, settings.sandbox_smtp_port)
            watching = tasks.create_task(smtp.broken())
            serving = tasks.create_task(http.serve_until(stop))
            http_host, http_port = await _address(http, stop)
            if settings.ready_file and http_port:
                addresses = {"smtp": f"{smtp_host}:{smtp_port}", "http": f"http://{http_host}:{http_port}"}
                _write(settings.ready_file, addresses)
            await serving
            watching.cancel()
    finally:
        await smtp.drain()
        store.close()


def _web(store: Store, faults: Faults, smtp: SmtpServer) -> Starlette:
    def missing() -> list[str]:
        return [] if smtp.listening else ["smtp"]

    return Starlette(
        routes=[*Api(store, faults).routes(), *health.routes(missing), *pages.routes()],
        exception_handlers={BadInputError: on_bad_input, HTTPException: on_http_error},
    )


async def _address(http: health.HttpServer, stop: asyncio.Event) -> tuple[str, int]:
    while not (http.started or stop.is_set()):  # noqa: ASYNC110  # uvicorn has a flag, no event
        await asyncio.sleep(_ASK_AGAIN)
    for server in http.servers:
        for sock in server.sockets:
            address: tuple[str, int] = sock.getsockname()[:2]
            return address
    return "", 0


def _write(path: Path, addresses: dict[str, str]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(msgspec.json.encode(addresses) + b"\n")
    part.replace(path)
