"""Waits for a condition with a deadline; the only place where tests may sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_LOOK_AGAIN_S = 0.02


def wait_until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Return once the condition holds; fail when the deadline is over."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"still not so after {deadline_s} s: {inspect.getsource(condition).strip()}"
        time.sleep(_LOOK_AGAIN_S)


async def wait_until_async(condition: Callable[[], object | Awaitable[object]], deadline_s: float = 10.0) -> None:
    """Return once the condition, a plain or an async one, holds; fail when the deadline is over."""
    end = time.monotonic() + deadline_s
    while not await _holds(condition):
        assert time.monotonic() < end, f"still not so after {deadline_s} s: {inspect.getsource(condition).strip()}"
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _holds(condition: Callable[[], object | Awaitable[object]]) -> bool:
    answer = condition()
    return bool(await answer if isinstance(answer, Awaitable) else answer)
