"""Structured logs: one JSON object a line on stderr, or plain text for people.

Events are past-tense words with fields; values that could name a customer never become fields.
A message that repeats is logged at most once in ten seconds with the number of those left out.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from services.common.clock import WallClock

_REPEAT_EVERY = 10_000_000


class _Repeats(logging.Filter):
    """Lets one record of the same place in the code through every ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = WallClock()
        self._seen: dict[tuple[str, int], list[int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock.now()
        last = self._seen.setdefault((record.pathname, record.lineno), [0, 0])
        if now - last[0] < _REPEAT_EVERY:
            last[1] += 1
            return False
        if last[1]:
            record.msg = f"{record.getMessage()} (and {last[1]} more like it)"
            record.args = None
        last[0], last[1] = now, 0
        return True


class _Known(logging.Filter):
    """Shows what aiokafka says while it looks for a group's coordinator only where someone debugs.

    Kafka makes the coordinators when the first group asks for one, and moves them when a broker ends: until then it
    answers "ask again", which aiokafka logs as an error and then does. Who reads it at a healthy start looks for a
    fault that is not there; a Kafka that stays away is told by what waits for it, and by /ready.
    """

    _SAYS = ("Group Coordinator Request failed", "Marking the coordinator dead")

    def __init__(self, *, shown: bool) -> None:
        super().__init__()
        self._shown = shown

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(self._SAYS) or not self._passes(record):
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return self._shown

    @staticmethod
    def _passes(record: logging.LogRecord) -> bool:
        """Say whether the library tries again; what it gives up on is an error."""
        args = record.args if isinstance(record.args, tuple) else ()
        return all(getattr(each, "retriable", True) for each in args)


def configure(service: str, level: str, form: str) -> None:
    """Send the log of this process to stderr; `form` is json or plain."""

    def name_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    renderer: Any = structlog.processors.JSONRenderer()
    if form == "plain":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    shared: list[Any] = [
        name_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries (aiokafka logs hundreds of lines when a broker dies) go through the same form, rate-limited.
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Repeats())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    coordinators = logging.getLogger("aiokafka.consumer.group_coordinator")
    coordinators.filters[:] = [_Known(shown=level.lower() == "debug")]
