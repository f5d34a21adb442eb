"""The HTML of a mail, made of finished parts.

Plain on purpose: one column, system fonts, dark and light, nothing loaded from outside, readable without styles.
Every part is escaped here, once: parts are text, whatever they contain.
"""

from collections.abc import Mapping
from html import escape
from typing import Final

_PARAGRAPHS: Final = ("what", "why", "impact", "next", "apology")
_PAGE: Final = """<!DOCTYPE html>
<html lang="{locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{headline}</title>
</head>
<body style="margin:0;padding:24px 16px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
<main style="max-width:560px;margin:0 auto">
<h1 style="font-size:22px;line-height:1.3;margin:0 0 16px">{headline}</h1>
{body}
</main>
</body>
</html>
"""


def page(locale: str, parts: Mapping[str, str], override: str | None) -> str:
    """Return a mail's HTML of its parts, or of the wording that replaces them."""
    if override is not None:
        blocks = [_paragraph(block) for block in override.split("\n\n") if block.strip()]
    else:
        blocks = [_paragraph(parts[part]) for part in _PARAGRAPHS if part in parts]
        if "action.url" in parts:
            blocks.append(_button(parts["action.label"], parts["action.url"]))
        if "closing" in parts:
            blocks.append(_paragraph(parts["closing"]))
    return _PAGE.format(locale=escape(locale), headline=escape(parts["headline"]), body="\n".join(blocks))


def _paragraph(text: str) -> str:
    return f'<p style="margin:0 0 16px;white-space:pre-line">{escape(text)}</p>'


def _button(label: str, url: str) -> str:
    style = (
        "display:inline-block;padding:12px 20px;border-radius:6px;background:#0b5cad;color:#ffffff;text-decoration:none"
    )
    return f'<p style="margin:0 0 16px"><a href="{escape(url)}" style="{style}">{escape(label)}</a></p>'
