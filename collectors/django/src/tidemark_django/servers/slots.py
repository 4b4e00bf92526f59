from collections.abc import Callable

from tidemark_django.agent import Agent
from tidemark_django.saturation import Reading, Resource
from tidemark_django.servers import listeners


def watch(
    agent: Agent,
    kind: str,
    name: str,
    capacity: int | None,
    busy: Callable[[], int],
    queues: list[listeners.ListenerWatch],
) -> Resource:
    """
    Workers that take a connection from the listening socket when they are free: what waits for them stands there.

    Their queue is that socket's, so it is not counted again here; their wait is the age of a request's last bytes,
    recorded where the request enters Django.

    Args:
        capacity: None where each connection gets a thread of its own.
    """

    def read() -> Reading:
        return Reading(capacity, busy(), contended=listeners.contended(queues))

    resource = agent.add(Resource(agent.registry, kind, name, read))
    agent.request_resource = agent.socket_resource = resource
    agent.connections.http = busy
    return resource
