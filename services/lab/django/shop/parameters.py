"""Query parameters with bounds. The Node service has the same rules and the same messages."""

import re
from collections.abc import Mapping

INTEGER = re.compile(r"-?[0-9]{1,9}", re.ASCII)
SHOWN_CHARACTERS = 40


class BadParameter(Exception):
    """A query or body value is outside its bounds: the client gets a 400 with the message."""


def bounded_integer(
    query: Mapping[str, str], name: str, default: int, lowest: int, highest: int
) -> int:
    """
    Return the parameter *name* as an integer; *default* when it is absent.

    Raises:
        BadParameter: The value is not a decimal integer from *lowest* to *highest*.
    """
    text = query.get(name)
    if text is None:
        return default
    if not INTEGER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise BadParameter(
            f"{name} must be an integer from {lowest} to {highest}, got '{shown(text)}'"
        )
    return int(text)


def shown(text: str) -> str:
    """
    Return *text* as an error message may repeat it: short and printable.

    >>> shown("abc\\x00")
    'abc?'
    """
    return "".join(c if " " <= c <= "~" else "?" for c in text[:SHOWN_CHARACTERS])
