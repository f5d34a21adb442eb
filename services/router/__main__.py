"""Starts the router: `python -m services.router`."""

import asyncio

from services.common import lifecycle
from services.router.app import serve
from services.router.settings import RouterSettings


def main() -> None:
    """Run until SIGTERM."""
    settings = RouterSettings()

    async def service(stop: asyncio.Event) -> None:
        await serve(settings, stop)

    lifecycle.run("router", settings, service)


if __name__ == "__main__":
    main()
