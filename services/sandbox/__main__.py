"""Starts the sandbox: `python -m services.sandbox` or `clarion sandbox`."""

import asyncio

from services.common import lifecycle
from services.sandbox import app
from services.sandbox.settings import SandboxSettings


def main() -> None:
    """Run the sandbox until a signal comes."""
    settings = SandboxSettings()

    async def service(stop: asyncio.Event) -> None:
        await app.serve(settings, stop)

    lifecycle.run("sandbox", settings, service)


if __name__ == "__main__":
    main()
