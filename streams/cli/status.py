"""`baton status`: how workers and sinks stand, asked of their /status."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_TIMEOUT = 5.0


def register(app: typer.Typer) -> None:
    @app.command()
    def status(
        processes: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[URL]...",
                help="Addresses of workers and sinks, such as http://127.0.0.1:9464; default: BATON_METRICS_PORT here.",
            ),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="What each answered, as one JSON array.")] = False,
    ) -> None:
        """Shows lanes (how far restored, clock, lag) and partitions of the sink. Ends with 1 where something is not ready."""
        import json

        from rich.console import Console

        from streams.config import load
        from streams.errors import ConfigurationError

        settings = load()
        if not processes and not settings.metrics_port:
            raise ConfigurationError(
                "no address: give the one that a worker or sink tells in its log, such as http://127.0.0.1:9464"
            )
        answers = [_ask(url) for url in processes or [f"http://{settings.bind}:{settings.metrics_port}"]]
        if as_json:
            typer.echo(json.dumps(answers))
        else:
            for answer in answers:
                _show(answer, Console(highlight=False, soft_wrap=True, markup=False))
        if not all(answer.get("ready") for answer in answers):
            raise typer.Exit(1)


def _ask(url: str) -> dict[str, Any]:
    import httpx2 as httpx

    if "://" not in url:
        url = f"http://{url}"
    try:
        reply = httpx.get(f"{url.rstrip('/')}/status", timeout=_TIMEOUT, trust_env=False)
        answer = reply.json() if reply.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return {"url": url, "ready": False, "problem": f"no answer ({type(error).__name__}): is it running there?"}
    if not isinstance(answer, dict) or "role" not in answer:
        return {"url": url, "ready": False, "problem": "something else answers there: expected a worker or a sink"}
    return {"url": url, **answer}


def _show(answer: dict[str, Any], console: Any) -> None:
    from rich.table import Table

    if "problem" in answer:
        console.print(f"{answer['url']}: {answer['problem']}")
        return
    ready = "ready" if answer["ready"] else "not ready"
    console.print(f"{answer['url']}: {answer['role']}, {ready}")
    if answer["role"] == "worker":
        table = Table("lane", "state", "clock", "lag", "queued", "events")
        for number, lane in sorted(answer["lanes"].items(), key=lambda item: int(item[0])):
            table.add_row(number, *_lane(lane))
        console.print(table)
    elif answer["role"] == "sink":
        partitions = answer["partitions"].values()
        at_end = sum(partition["at_end"] for partition in partitions)
        console.print(
            f"{at_end} of {len(partitions)} partitions read to their end, {answer['refused']} records refused"
        )
        if answer["waits_for"]:
            console.print(f"waits: {answer['waits_for']}")


def _lane(lane: dict[str, Any]) -> tuple[str, ...]:
    from datetime import UTC, datetime

    if lane["state"] == "halted":
        return f"halted: {lane['cause']}", "", "", "", ""
    if lane["state"] != "ready":
        return f"{lane['state']} {lane['restored']:.0%}", "", "", "", ""
    clock = datetime.fromtimestamp(lane["clock"] / 1000, UTC).isoformat(timespec="seconds") if lane["clock"] else "-"
    return (
        "ready",
        clock,
        f"{sum(lane['lag'].values()):,}",
        f"{lane['queued']:,}",
        f"{lane['counters'].get('events', 0):,}",
    )
