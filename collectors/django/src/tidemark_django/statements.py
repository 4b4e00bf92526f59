import re
from dataclasses import dataclass
from typing import Final

MAX_TEXT: Final = 1024
MAX_STATEMENTS: Final = 500
MAX_RAW: Final = 2000
OTHER: Final = "_other"

LITERALS: Final = r"""
    (?P<comment>/\*.*?(?:\*/|\Z)|--[^\n]*)
  | (?P<string>\b[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)|(?:\b[xXbBnN])?'(?:[^']|'')*(?:'|\Z)
      |\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
  | (?P<name>"(?:[^"]|"")*"|`[^`]*`)
  | (?P<number>(?<![\w$%])-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\b)
"""
STANDARD: Final = re.compile(LITERALS, re.VERBOSE | re.DOTALL)
# MySQL: strings also in double quotes, backslash escapes everywhere.
MYSQL: Final = re.compile(
    LITERALS.replace("(?P<string>", r"""(?P<string>'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|""|\\.)*(?:"|\Z)|"""),
    re.VERBOSE | re.DOTALL,
)
SPACE: Final = re.compile(r"\s+")
PLACEHOLDER: Final = r"(?:%s|\?|%\(\w+\)s|:\w+|\$\d+|NULL|DEFAULT)"
IN_LIST: Final = re.compile(rf"\bIN \(\s*{PLACEHOLDER}(?:\s*,\s*{PLACEHOLDER})+\s*\)", re.IGNORECASE)
ROW: Final = rf"\({PLACEHOLDER}(?:\s*,\s*{PLACEHOLDER})*\)"
VALUES: Final = re.compile(rf"\bVALUES {ROW}(?:\s*,\s*{ROW})*", re.IGNORECASE)
SAVEPOINT: Final = re.compile(r"^((?:ROLLBACK TO |RELEASE )?SAVEPOINT) .*$", re.IGNORECASE)
NAME: Final = r"((?:[`\"\[]?[\w$]+[`\"\]]?\.)?[`\"\[]?[\w$]+[`\"\]]?)"
TABLE: Final = re.compile(rf"\b(?:FROM|INTO|UPDATE|TABLE(?: IF (?:NOT )?EXISTS)?|JOIN)\s+{NAME}", re.IGNORECASE)
MAX_SUMMARY_TABLES: Final = 4


@dataclass(frozen=True, eq=False)
class Statement:
    """
    A statement without its literals: what the timings of all its runs are collected under.

    Compared by identity: the cache hands out one object per text, and hashing long texts per query is not free.
    """

    text: str
    summary: str
    operation: str


def normalise(sql: str, *, mysql: bool = False) -> Statement:
    """
    Takes literals out and folds lists, so that runs that differ only in values are one statement.

    >>> normalise('SELECT "a" FROM "book" WHERE "id" IN (%s, %s, %s) LIMIT 21').text
    'SELECT "a" FROM "book" WHERE "id" IN (%s) LIMIT ?'
    >>> normalise("select 1 from t where name = 'O''Neill'").summary
    'SELECT t'
    """
    text = (MYSQL if mysql else STANDARD).sub(_without_literal, sql[: MAX_TEXT * 8])
    text = SPACE.sub(" ", text).strip().rstrip("; ")
    text = SAVEPOINT.sub(r"\1", text)
    text = IN_LIST.sub("IN (%s)", text)
    text = VALUES.sub("VALUES (%s)", text)
    words = text.split(" ", 1)[0].lstrip("(").upper()
    operation = words if words.isalpha() else "OTHER"
    tables: list[str] = []
    for match in TABLE.finditer(text):
        name = re.sub(r"[`\"\[\]]", "", match.group(1))
        if name.upper() not in {"SELECT", "SET", "ONLY"} and name not in tables:
            tables.append(name)
    summary = " ".join([operation, *tables[:MAX_SUMMARY_TABLES]])
    return Statement(text[:MAX_TEXT], summary, operation)


def _without_literal(match: re.Match[str]) -> str:
    if match.group("comment") is not None:
        return " "
    return match.group() if match.group("name") is not None else "?"


class StatementCache:
    """
    Statements by their raw SQL, bounded twice: what is past 500 different statements becomes ``_other``.

    Raw SQL with literals inside never repeats, so the raw index is emptied when it is full.
    """

    def __init__(self) -> None:
        self._raw: dict[str, Statement] = {}
        self._known: dict[str, Statement] = {}
        self._other: dict[str, Statement] = {}

    def get(self, sql: str, *, mysql: bool = False) -> Statement:
        found = self._raw.get(sql)
        if found is None:
            parsed = normalise(sql, mysql=mysql)
            if parsed.text in self._known:
                found = self._known[parsed.text]
            elif len(self._known) < MAX_STATEMENTS:
                found = self._known.setdefault(parsed.text, parsed)
            else:
                found = self._other.setdefault(parsed.operation, Statement(OTHER, OTHER, parsed.operation))
            if len(self._raw) >= MAX_RAW:
                self._raw = {}
            self._raw[sql] = found
        return found
