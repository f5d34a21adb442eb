"""The `clarion` command line.

Exit codes: 0 good, 1 the answer is bad, 2 wrong usage. What a person can act on is one line on stderr, no traceback.
"""

import sys

import typer

from services.control.broker.cli import kafka_app
from services.control.errors import ClarionError
from services.control.topics_cli import topics_app

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Turns business events into the right customer messages.",
)
app.add_typer(kafka_app, name="kafka")
app.add_typer(topics_app, name="topics")


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    except ClarionError as error:
        sys.stderr.write(f"clarion: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
