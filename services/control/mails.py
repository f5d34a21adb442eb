"""What the sandbox took: the messages that customers would have got."""

import httpx2

from services.control.errors import ClarionError
from services.control.records import Mail

_PAGE = 5_000


async def taken(sandbox: str) -> list[Mail]:
    """Return all messages that the sandbox at this address keeps, the oldest first."""
    found: list[Mail] = []
    before: int | None = None
    async with httpx2.AsyncClient(base_url=sandbox, timeout=10) as client:
        while True:
            asked = {"limit": _PAGE} if before is None else {"limit": _PAGE, "before": before}
            try:
                answer = await client.get("/v1/messages", params=asked)
            except httpx2.TransportError as error:
                raise ClarionError(f"the sandbox does not answer at {sandbox}") from error
            page = answer.raise_for_status().json()
            found += [
                Mail(each["idempotency_key"], each["accepted"], tuple(each["to"]), each["subject"])
                for each in page["messages"]
            ]
            before = page["before"]
            if before is None:
                return found[::-1]
