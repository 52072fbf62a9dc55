"""A batch on one page for people: how far it is, how fast, and what went wrong.

One HTML file without scripts or anything from elsewhere; while the batch runs, a browser loads it again every
few seconds. And the same in a few lines for a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape

from segtalker.batch.outcome import CSV_NAME, JSON_NAME, Outcome, count_states
from segtalker.batch.standing import Standing, in_words

PAGE_NAME = "summary.html"
_RELOAD_S = 5
_MOST_ROWS = 500
_SHOWN = 5

_STYLE = """
:root { color-scheme: light dark; --ground: #f4f6f9; --card: #fff; --line: #d9dee6; --text: #171b21;
  --muted: #545d6a; --good: #1c7a4a; --known: #2f57c4; --bad: #b3261e; --rest: #dfe4ec; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1216; --card: #181c22; --line: #2c333d;
  --text: #e9ecf1; --muted: #a3adba; --good: #6fd09b; --known: #8fb0ff; --bad: #ff9a91; --rest: #2c333d; } }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; } h2 { font-size: 1.0625rem; margin: 1.75rem 0 .5rem; }
p { margin: .25rem 0; } .muted { color: var(--muted); } a { color: var(--known); }
.bar { display: flex; height: 1rem; margin: 1rem 0 .5rem; border-radius: .5rem; overflow: hidden;
  background: var(--rest); }
.done { background: var(--good); } .found { background: var(--known); } .failed { background: var(--bad); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(13rem, 45%), 1fr)); gap: .5rem;
  margin: 1rem 0; }
dl div { padding: .625rem .875rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--card); }
dt { color: var(--muted); font-size: .8125rem; } dd { margin: 0; font-size: 1.25rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .875rem;
  background: var(--card); }
th, td { padding: .375rem .625rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; } th { color: var(--muted); font-weight: 500; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.why, td:first-child { overflow-wrap: anywhere; } td:first-child { min-width: 6rem; }
"""


def render_page(standing: Standing) -> str:
    """The whole page."""
    states = count_states(standing.outcomes)
    reload = "" if standing.is_over else f'<meta http-equiv="refresh" content="{_RELOAD_S}">'
    failures = [outcome for outcome in standing.outcomes if outcome.state == "failed"]
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    parts = [
        f"<h1>{_headline(standing)}</h1>",
        f'<p class="muted">Written {written}. All rows: {_link(CSV_NAME)}, {_link(JSON_NAME)}.</p>',
        _bar(states, standing.total),
        _figures(standing, states),
        *([_reasons(failures)] if failures else []),
        _stages(standing.outcomes),
        _made(standing.outcomes),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{reload}<title>{_headline(standing)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def progress_line(standing: Standing) -> str:
    """How far a batch is, for a log."""
    failed, remaining = count_states(standing.outcomes)["failed"], standing.remaining_s
    left = "time left not known yet" if remaining is None else f"about {in_words(remaining)} left"
    ended = f"{len(standing.outcomes)} of {standing.total} rows ended, {failed} failed"
    return f"{ended}; {standing.rows_per_hour:.0f} rows/h, {left}"


def summary_lines(standing: Standing) -> str:
    """The end of a batch for a terminal: counts, pace, and the first reasons."""
    states = count_states(standing.outcomes)
    counts = ", ".join(f"{states[state]} {state}" for state in ("done", "found", "failed"))
    lines = [f"{standing.total} rows: {counts}" + (f", {standing.left} open" if standing.left else "")]
    if states["done"]:
        pace = f"{standing.rows_per_hour:.0f} rows/h, {standing.video_speed:.2f} s of video per second"
        lines.append(f"time: {in_words(standing.elapsed_s)}, {pace}")
    failures = [outcome for outcome in standing.outcomes if outcome.state == "failed"]
    lines += [f"failed: {outcome.id}: {outcome.reason}" for outcome in failures[:_SHOWN]]
    if len(failures) > _SHOWN:
        lines.append(f"failed: {len(failures) - _SHOWN} more, see {CSV_NAME}")
    return "\n".join(lines)


def _headline(standing: Standing) -> str:
    ended = f"{len(standing.outcomes)} of {standing.total} rows"
    if not standing.left:
        return f"Batch finished: {ended}"
    return f"Batch stopped: {ended}" if standing.is_over else f"Batch running: {ended}"


def _bar(states: Counter[str], total: int) -> str:
    shares = [
        f'<div class="{state}" style="width:{100 * states[state] / total:.3f}%"></div>'
        for state in ("done", "found", "failed")
    ]
    label = ", ".join(f"{states[state]} {state}" for state in ("done", "found", "failed"))
    return f'<div class="bar" role="img" aria-label="{label}">{"".join(shares)}</div>'


def _figures(standing: Standing, states: Counter[str]) -> str:
    remaining = standing.remaining_s
    left = "not known yet" if remaining is None else in_words(remaining)
    figures = {
        "done": states["done"],
        "found finished": states["found"],
        "failed": states["failed"],
        "open": standing.left,
        "time": in_words(standing.elapsed_s),
        **({} if standing.is_over else {"about left": left}),
        "rows per hour": f"{standing.rows_per_hour:.0f}",
        "video per second": f"{standing.video_speed:.2f} s",
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items())
    return f"<dl>{cells}</dl>"


def _reasons(failures: Sequence[Outcome]) -> str:
    rows = [
        f'<tr><td>{escape(outcome.id)}</td><td class="why">{escape(outcome.reason)}</td>'
        f'<td class="number">{outcome.attempts}</td></tr>'
        for outcome in failures[:_MOST_ROWS]
    ]
    more = _more(len(failures))
    head = '<tr><th>row</th><th>reason</th><th class="number">attempts</th></tr>'
    return f"<h2>Failed</h2>{_table(head, rows)}{more}"


def _stages(outcomes: Sequence[Outcome]) -> str:
    """Where the workers' time went in this run."""
    seconds: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.state != "found":
            seconds.update(outcome.timings_s)
    total = sum(seconds.values())
    if not total:
        return ""
    rows = [
        f'<tr><td>{escape(stage)}</td><td class="number">{in_words(value)}</td>'
        f'<td class="number">{value / total:.1%}</td></tr>'
        for stage, value in seconds.most_common()
    ]
    head = '<tr><th>stage</th><th class="number">work</th><th class="number">share</th></tr>'
    return f"<h2>Where the time goes</h2>{_table(head, rows)}"


def _made(outcomes: Sequence[Outcome]) -> str:
    made = [outcome for outcome in outcomes if outcome.state != "failed"]
    if not made:
        return ""
    rows = [
        f"<tr><td>{escape(outcome.id)}</td><td>{outcome.state}</td>"
        f'<td class="number">{outcome.num_frames}</td>'
        f'<td class="number">{outcome.frames.get("synthesized", 0)}</td>'
        f'<td class="number">{outcome.duration_s:.2f}</td><td class="number">{outcome.wall_s:.1f}</td>'
        f'<td class="number">{outcome.chunks}</td>'
        f'<td class="why">{escape("; ".join(outcome.warnings))}</td></tr>'
        for outcome in made[:_MOST_ROWS]
    ]
    names = ("frames", "dubbed", "seconds", "work s", "ranges")
    numbers = "".join(f'<th class="number">{name}</th>' for name in names)
    head = f"<tr><th>row</th><th>state</th>{numbers}<th>notes</th></tr>"
    return f"<h2>Made</h2>{_table(head, rows)}{_more(len(made))}"


def _link(name: str) -> str:
    """To a file that lies beside the page."""
    return f'<a href="{name}">{name}</a>'


def _table(head: str, rows: Sequence[str]) -> str:
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _more(count: int) -> str:
    left = count - _MOST_ROWS
    return f'<p class="muted">{left} more in {_link(CSV_NAME)}.</p>' if left > 0 else ""
