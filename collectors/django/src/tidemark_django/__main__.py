import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """``python -m tidemark_django doctor``: the exit code, 0 when everything was measured right."""
    parser = argparse.ArgumentParser(prog="python -m tidemark_django", description="Tidemark's agent for Django.")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor",
        help="serve a known load with a throw-away gunicorn, compare what the agent measures, reach the ingest",
        description="Serves a known load with a throw-away gunicorn on this machine, compares what the agent measures "
        "with what was injected, and sends an empty export to the ingest. Exit code 1 when a check fails, 2 when "
        "gunicorn is not installed.",
    )
    doctor.add_argument("--no-endpoint", action="store_true", help="do not contact the ingest")
    found = parser.parse_args(arguments)
    from tidemark_django.doctor import run

    return run.main(endpoint=not found.no_endpoint)


if __name__ == "__main__":
    sys.exit(main())
