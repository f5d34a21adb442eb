"""Writes the JSON Schemas of a policy's files for editors.

Run: `python -m services.control.editor_schemas deploy/schemas`, or `make schemas`.
"""

import sys
from pathlib import Path

from services.policy.json_schemas import json_schemas

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in json_schemas().items():
        (folder / name).write_text(text)
