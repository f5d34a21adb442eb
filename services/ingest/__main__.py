"""`python -m services.ingest`: the doors as a process."""

import asyncio

from services.common.lifecycle import run
from services.ingest.app import serve
from services.ingest.settings import IngestSettings


def main() -> None:
    """Run the doors until a signal comes."""
    settings = IngestSettings()

    async def service(stop: asyncio.Event) -> None:
        await serve(settings, stop)

    run("ingest", settings, service)


if __name__ == "__main__":
    main()
