"""Event types: the schema of the data becomes a check and the types that expressions and templates see."""

from msgspec import Struct, field

from services.policy.compiling.notes import Notes
from services.policy.draft import Draft, PlacedEvent
from services.policy.schemas import Field, Schema, SchemaError
from services.router.decision.model import EventType


class Types(Struct):
    """The declared event types by name: of their data for the languages, and as the core has them."""

    data: dict[str, Field] = field(default_factory=dict)
    events: dict[str, EventType] = field(default_factory=dict)


def types(found: Draft, notes: Notes) -> Types:
    """Compile the event types of a policy."""
    known = Types()
    for placed in found.events:
        _add(known, placed, found, notes)
    return known


def _add(known: Types, placed: PlacedEvent, found: Draft, notes: Notes) -> None:
    name = placed.event.type
    try:
        schema = Schema(placed.event.data)
    except SchemaError as error:
        notes.note(placed.document.mistake(["data", *error.keys], str(error), error.suggestion))
        found.lost.add("events")
        return
    if name in known.data:
        notes.note(placed.document.mistake(["type"], f"the type {name!r} is declared twice"))
        return
    known.data[name] = schema.type
    known.events[name] = EventType(name, placed.event.lifecycle, schema.check)
