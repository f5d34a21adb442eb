"""The `clarion` command line.

Exit codes: 0 good, 1 the answer is bad, 2 wrong usage. What a person can act on is one line on stderr, no traceback.
The list below is all that `clarion --help` needs; a command's module is imported when the command is used.
"""

import importlib
import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from services.control.errors import ClarionError

# Name: where it is, and what it does.
COMMANDS = {
    "demo": ("commands:demo", "A day at a power company on a real Kafka: what was decided, and why."),
    "up": ("commands:up", "Run all of Clarion on this machine until Ctrl-C."),
    "publish": ("commands_ingest:publish", "Publish events, one CloudEvent in JSON a line."),
    "customer": ("commands_ingest:customer_app", "What is known about customers."),
    "explain": ("commands:explain", "Say what happened to a customer's events, and why."),
    "fanout": ("fan_outs_cli:fanout_app", "Events for many: how far they are, what became of them."),
    "policy": ("commands_policy:policy_app", "Check, test, read and compare policies, and put one in force."),
    "control": ("commands_control:control_app", "Stop and pause messages at once, and let them go again."),
    "kafka": ("broker.cli:kafka_app", "A real Kafka on this machine, from packages."),
    "topics": ("topics_cli:topics_app", "The topics of a Kafka against the one list."),
    "settings": ("commands:settings", "Every setting with its meaning and its value now."),
    "ingest": ("commands:ingest", "Run the doors for events and customers."),
    "router": ("commands:router", "Run the router: it decides."),
    "sender": ("commands:sender", "Run the sender of one channel."),
    "sandbox": ("commands:sandbox", "Run the pretend providers and their page."),
}

# What pydantic calls a mistake, and how a person is told.
_PLAIN = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "literal_error": "must be one of {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "path_type": "must be a path",
}
_SERVICES = frozenset({"ingest", "router", "sender", "sandbox"})


class Commands(TyperGroup):
    """Knows the commands by name and imports the one that is used."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the real command in place of its entry in the list."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, _load(str(name)), rest


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Turns business events into the right customer messages.\n\nExample: clarion demo",
)


@app.callback()
def _everything() -> None:
    pass


def _entry() -> None:
    """Stand for a command until it is used."""


for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_entry)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    except ClarionError as error:
        _fail(str(error), 1)
    except ValueError as error:
        # A pydantic mistake in a setting; anything else that is a ValueError is a mistake of ours and stays whole.
        if type(error).__name__ != "ValidationError":
            raise
        _fail(f"a setting is wrong: {_mistakes(error)}", 2)


def _load(name: str) -> Any:
    """Return the command of that name, ready to be called."""
    if name not in _SERVICES:
        # A client library's log is for services; a person gets our one line.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    place, _ = COMMANDS[name]
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(f"services.control.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(name)(found)
        found = alone
    return typer.main.get_command(found)


def _mistakes(error: Any) -> str:
    """Say each mistake with the name of its setting, in words of ours: pydantic's are for programmers."""
    return "; ".join(_mistake(each) for each in error.errors())


def _mistake(mistake: Any) -> str:
    limits = mistake.get("ctx", {})
    if not mistake["loc"]:  # a rule about several settings, which names them
        return str(limits.get("error", mistake["msg"]))
    name = str(mistake["loc"][0])
    says = _PLAIN.get(mistake["type"])
    return f"{_variable(name)} {says.format(**limits) if says else mistake['msg']}"


def _variable(name: str) -> str:
    return name if name.isupper() else f"CLARION_{name.upper()}"


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"clarion: {text}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
