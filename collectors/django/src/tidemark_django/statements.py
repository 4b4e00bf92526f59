import re
from dataclasses import dataclass
from typing import Final

from tidemark_django import native

MAX_TEXT: Final = 1024
MAX_STATEMENTS: Final = 500
MAX_RAW: Final = 2000
OTHER: Final = "_other"

# What starts first wins. A literal that does not end runs to the end of the text; comments may nest, see below.
STRINGS: Final = r"""\b[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)|(?:\b[xXbBnN])?'(?:[^']|'')*(?:'|\Z)
      |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"""
# MySQL: strings also in double quotes, backslash escapes everywhere.
MYSQL_STRINGS: Final = r"""(?:\b[xXbBnN])?'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|""|\\.)*(?:"|\Z)"""
ORACLE_STRINGS: Final = r"""\b[nN]?[qQ]'(?:\[.*?(?:\]'|\Z)|\{.*?(?:\}'|\Z)|\(.*?(?:\)'|\Z)|<.*?(?:>'|\Z)
      |(?P<quote>[^\s]).*?(?:(?P=quote)'|\Z))|"""


def _tokens(strings: str, line_comment: str = "--", name: str = "") -> re.Pattern[str]:
    return re.compile(
        rf"""
    (?P<line>(?:{line_comment})[^\n]*)
  | (?P<open>/\*)
  | (?P<literal>{strings})
  | (?P<name>{name}"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z))
  | (?P<word>\$\d+|[?:]\d+|[^\W\d][\w$]*)
  | (?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*)
""",
        re.VERBOSE | re.DOTALL,
    )


STANDARD: Final = _tokens(STRINGS)
BY_SYSTEM: Final = {
    # In MySQL two dashes without a space after them are two signs.
    "mysql": _tokens(MYSQL_STRINGS, r"\#|--(?=\s|\Z)"),
    "oracle.db": _tokens(ORACLE_STRINGS + STRINGS),
    "sqlite": _tokens(STRINGS, name=r"\[[^\]]*(?:\]|\Z)|"),
}
COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
FLAT_COMMENTS: Final = frozenset({"mysql", "oracle.db", "sqlite"})
SPACE: Final = re.compile(r"\s+")
VALUE: Final = r"-?(?:%s|\?|%\(\w+\)s|:\w+|\$\d+)"
LIST: Final = re.compile(rf"\(\s*{VALUE}(?:\s*,\s*{VALUE})+\s*\)|(?<=\bIN )\(\s*{VALUE}\s*\)", re.IGNORECASE)
ROW: Final = rf"\(\s*(?:{VALUE}|NULL|DEFAULT)(?:\s*,\s*(?:{VALUE}|NULL|DEFAULT))*\s*\)"
VALUES: Final = re.compile(rf"\b(VALUES) ?{ROW}(?:\s*,\s*{ROW})*", re.IGNORECASE)
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


def normalise(sql: str, system: str = "postgresql") -> Statement:
    """
    Takes literals and comments out and folds lists, so that runs that differ only in values are one statement.

    The text has the shape the Node agent gives it. *system* is OpenTelemetry's name of the database: they differ in
    what a string, a comment and a quoted name is.

    >>> normalise('SELECT "a" FROM "book" WHERE "id" IN (%s, %s, %s) LIMIT 21').text
    'SELECT "a" FROM "book" WHERE "id" IN (?) LIMIT ?'
    >>> normalise("select 1 from t where name = 'O''Neill'").summary
    'SELECT t'
    """
    text = _without_literals(sql[: MAX_TEXT * 8], BY_SYSTEM.get(system, STANDARD), nested=system not in FLAT_COMMENTS)
    text = SPACE.sub(" ", text).strip().rstrip("; ")
    text = SAVEPOINT.sub(r"\1", text)
    text = VALUES.sub(r"\1 (?)", text)
    text = LIST.sub("(?)", text)
    words = text.split(" ", 1)[0].lstrip("(").upper()
    operation = words if words.isalpha() else "OTHER"
    tables: list[str] = []
    for match in TABLE.finditer(text):
        name = re.sub(r"[`\"\[\]]", "", match.group(1))
        if name.upper() not in {"SELECT", "SET", "ONLY"} and name not in tables:
            tables.append(name)
    summary = " ".join([operation, *tables[:MAX_SUMMARY_TABLES]])
    return Statement(text[:MAX_TEXT], summary, operation)


def _without_literals(sql: str, tokens: re.Pattern[str], *, nested: bool) -> str:
    parts: list[str] = []
    position = 0
    while (match := tokens.search(sql, position)) is not None:
        parts.append(sql[position : match.start()])
        position = match.end()
        kind = match.lastgroup
        if kind == "open":
            position = _comment_end(sql, position, nested)
        parts.append(" " if kind in {"open", "line"} else match.group() if kind in {"name", "word"} else "?")
    return "".join([*parts, sql[position:]])


def _comment_end(sql: str, position: int, nested: bool) -> int:
    depth = 1
    for edge in COMMENT_EDGE.finditer(sql, position):
        depth += (1 if nested else 0) if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


class StatementCache:
    """
    Statements by their raw SQL, bounded twice: what is past 500 different statements becomes ``_other``.

    Raw SQL with literals inside never repeats, so the raw index is emptied when it is full.
    """

    def __init__(self) -> None:
        self._raw: dict[str, Statement] = {}
        self._known: dict[str, Statement] = {}
        self._other: dict[str, Statement] = {}
        self._lock = native.lock()

    def get(self, sql: str, system: str = "postgresql") -> Statement:
        found = self._raw.get(sql)
        if found is None:
            parsed = normalise(sql, system)
            with self._lock:
                if parsed.text in self._known or len(self._known) < MAX_STATEMENTS:
                    found = self._known.setdefault(parsed.text, parsed)
                else:
                    found = self._other.setdefault(parsed.operation, Statement(OTHER, OTHER, parsed.operation))
                if len(self._raw) >= MAX_RAW:
                    self._raw = {}
                self._raw[sql] = found
        return found
