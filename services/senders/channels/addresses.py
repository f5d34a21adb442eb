"""Email addresses as they stand in an envelope and a header.

Only one plain address is taken, in ASCII: domains of other scripts in their ASCII form. Anything that could end a
command or a header, or name a second recipient, is not an address.
"""

import re

# RFC 5321 dot-string @ domain; quoted local parts and address literals are legal and in practice an attack.
_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9.-]+")
_LONGEST = 254


def on_the_wire(address: str) -> str | None:
    """Return the ASCII form of an address, or None when it has none or is not a single plain address."""
    local, at, domain = address.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii") if not domain.isascii() else domain
    except UnicodeError:
        return None
    wired = f"{local}{at}{ascii_domain}"
    return wired if len(wired) <= _LONGEST and _PLAIN.fullmatch(wired) else None
