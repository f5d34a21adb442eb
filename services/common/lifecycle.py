"""How a process starts, drains and ends.

SIGTERM and SIGINT set an event; the service finishes what is under way and returns. Exit 0 only when nothing was
left half done; what nobody caught is logged once, here, and ends the process: Kafka gives the work to the next.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from services.common import logs
from services.common.settings import CommonSettings


class CannotListenError(OSError):
    """A server cannot listen where its settings say, as when another program does: for a person to mend."""

    def __init__(self, address: str) -> None:
        super().__init__(f"can't listen on {address}: does another program?")


Service = Callable[[asyncio.Event], Awaitable[None]]


def run(name: str, settings: CommonSettings, service: Service) -> None:
    """Run a service until it ends or a signal comes, then exit the process with 0 (drained) or 1 (failed)."""
    logs.configure(name, settings.log_level, settings.log_format)
    log = structlog.get_logger()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        log.info("started")
        await service(stop)
        log.info("stopped")

    try:
        uvloop.run(main())
    except Exception as error:  # whatever it is, it is told here, once
        cause = _first_cause(error)
        if isinstance(cause, CannotListenError):
            log.error("failed", reason=str(cause))  # noqa: TRY400  # a traceback says nothing about a taken port
        else:
            log.exception("failed", reason=f"{type(cause).__name__}: {cause}")
        sys.exit(1)
    sys.exit(0)


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
