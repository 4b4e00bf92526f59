"""
Which access of Django's ORM led to a query, and what would have fetched it beforehand.

The only place that looks into a frame's variables: at ``self`` of Django's own frames, and of that only at model
classes and at names of fields, never at values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from tidemark_django.frames import MAX_DEPTH, is_application


@dataclass(frozen=True)
class Access:
    """What was accessed, ``Model.field`` (empty: no relation), and the call that saves the repeats."""

    relation: str
    fix: str


def access(frame: FrameType | None) -> Access | None:
    """
    The access between a query and the application's line that caused it; None if none is known.

    A descriptor says more than the query set that it made, so it wins although it stands further out.
    """
    of_query_set: Access | None = None
    depth = 0
    while frame is not None and depth < MAX_DEPTH and not is_application(frame.f_code.co_filename):
        name, path = frame.f_code.co_name, frame.f_code.co_filename
        if name == "__get__":
            describe = next((find for ending, find in DESCRIPTORS.items() if path.endswith(ending)), None)
            if describe is not None:
                return describe(frame.f_locals.get("self"))
        elif of_query_set is None and name in QUERY_SETS and path.endswith("query.py"):
            of_query_set = QUERY_SETS[name](frame.f_locals.get("self"))
        frame = frame.f_back
        depth += 1
    return of_query_set


def _single(descriptor: Any) -> Access:
    """Foreign keys and one-to-one relations, from both sides."""
    related = getattr(descriptor, "related", None)
    if related is not None:
        model, accessor = related.model.__name__, related.get_accessor_name()
    else:
        model, accessor = descriptor.field.model.__name__, descriptor.field.name
    return Access(f"{model}.{accessor}", f'select_related("{accessor}") fetches it in the first query')


def _deferred(attribute: Any) -> Access:
    field = attribute.field
    return Access(
        f"{field.model.__name__}.{field.name}",
        f'defer() or only() left "{field.name}" out: fetch it in the first query',
    )


def _generic(descriptor: Any) -> Access:
    field = getattr(descriptor, "field", descriptor)
    return Access(
        f"{field.model.__name__}.{field.name}", f'prefetch_related("{field.name}") fetches it in one query per model'
    )


DESCRIPTORS: Final[dict[str, Callable[[Any], Access]]] = {
    "related_descriptors.py": _single,
    "query_utils.py": _deferred,
    "contenttypes/fields.py": _generic,
}


def _many(query_set: Any) -> Access | None:
    """What a related manager gave: foreign keys from their other side, many-to-many."""
    found = _manager_of(query_set)
    if found is None:
        return None
    model, accessor, _ = found
    query = query_set.query
    if query.is_sliced or len(query.where.children) > 1:
        fix = f'prefetch_related(Prefetch("{accessor}", queryset=...)) fetches all in one more query'
    else:
        fix = f'prefetch_related("{accessor}") fetches all in one more query'
    return Access(f"{model}.{accessor}", fix)


def _aggregated(function: str) -> Callable[[Any], Access | None]:
    def describe(query_set: Any) -> Access | None:
        found = _manager_of(query_set)
        if found is None:
            return None
        model, accessor, query_name = found
        return Access(f"{model}.{accessor}", f"annotate({function.format(query_name)}) asks in the first query")

    return describe


def _one(query_set: Any) -> Access | None:
    if query_set._hints.get("instance") is not None:
        return None
    model = query_set.model.__name__
    return Access("", f"{model}.objects.in_bulk(keys) or filter(pk__in=keys) fetches all in one query")


QUERY_SETS: Final[dict[str, Callable[[Any], Access | None]]] = {
    "_fetch_all": _many,
    "count": _aggregated('Count("{}")'),
    "exists": _aggregated("Exists(...)"),
    "get": _one,
}


def _manager_of(query_set: Any) -> tuple[str, str, str] | None:
    """Model, accessor and name in queries of the related manager that a query set came from."""
    for field in query_set._known_related_objects:
        relation = field.remote_field
        return relation.model.__name__, relation.get_accessor_name(), field.related_query_name()
    instance = query_set._hints.get("instance")
    if instance is None:
        return None
    options, wanted = type(instance)._meta, query_set.model
    tables = {join.table_name for join in query_set.query.alias_map.values()}
    owner = type(instance).__name__
    for field in options.many_to_many:
        if field.related_model is wanted and field.remote_field.through._meta.db_table in tables:
            return owner, field.name, field.name
    for relation in options.related_objects:
        if relation.many_to_many and relation.related_model is wanted and relation.through._meta.db_table in tables:
            return owner, relation.get_accessor_name(), relation.field.related_query_name()
    return None
