"""`python -m services.senders CHANNEL`: the sender of one channel as a process."""

import asyncio
import sys

from services.common import lifecycle
from services.senders.app import CHANNEL, NAME, serve
from services.senders.settings import EmailSettings


def main() -> None:
    """Run until SIGTERM; exit 2 when the channel is not one of ours."""
    if sys.argv[1:] != [CHANNEL]:
        sys.stderr.write(f"usage: python -m services.senders {CHANNEL}\n")
        sys.exit(2)
    settings = EmailSettings()

    async def service(stop: asyncio.Event) -> None:
        await serve(settings, stop)

    lifecycle.run(NAME, settings, service)


if __name__ == "__main__":
    main()
