"""A verdict as one page for people: what was judged, every rule with what was expected and found, and what the batch holds.

One file that needs no network, no script and no font of its own. It is a pure function of the receipt, so that it can be made again at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from expectations.bars import Bar, bars
from footfall.documents import Verdict

_ABOUT = "A broken rule about rows sets them aside; one about the batch holds all of it"
_STYLE = """
:root{color-scheme:light dark;--ink:#1c1f23;--soft:#57606a;--paper:#fff;--line:#d0d7de;--good:#116329;--bad:#b3261e;--bar:#2f6fb0;--usual:#1c1f23}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a3adb8;--paper:#15181c;--line:#3a424c;--good:#6fcf87;--bad:#ff9089;--bar:#6aa9e6;--usual:#e6e8eb}}
body{margin:0 auto;max-width:72rem;padding:1.5rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}p,li{max-width:44rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}caption{text-align:left;color:var(--soft)}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}.soft{color:var(--soft)}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
svg{width:100%;height:auto;max-height:16rem}svg .bar{fill:var(--bar)}svg .off{fill:var(--bad)}
svg .usual{stroke:var(--usual);stroke-width:2}svg text{fill:var(--soft);font-size:11px}@media print{body{max-width:none}}
""".strip()


def render(verdict: Verdict) -> str:
    """The page of one verdict, as HTML. Everything that comes from data is escaped."""
    title = f"{verdict.subject} ({verdict.contract})"
    parts = [_head(verdict), _rules(verdict.checks), _samples(verdict.checks)]
    if verdict.profile is not None:
        parts += [_days(verdict.profile, verdict.measures or []), _hours(verdict.profile), _groups(verdict.profile), _prices(verdict.profile)]
        parts.append(_measures(verdict.measures or []))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}: {escape(verdict.outcome)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(verdict: Verdict) -> str:
    good = verdict.outcome == "pass"
    word = "passed" if good else "held"
    lines = [f"<h1>{escape(verdict.subject)}</h1>"]
    lines.append(f'<p><span class="{"good" if good else "bad"}">{word}</span>, {verdict.rows:,} rows of {escape(verdict.contract)}.</p>')
    if verdict.released:
        said = (escape(verdict.released[key]) for key in ("by", "at", "note"))
        lines.append("<p>Held by its rules, and let in by {} at {}: {}</p>".format(*said))
    if verdict.quarantined:
        rows = [(reason, f"{count:,}") for reason, count in verdict.quarantined.items()]
        lines.append(_table("Rows in quarantine", ["reason", "rows"], rows, numbers=(1,)))
    if verdict.next_step:
        lines.append(f"<p>Next: <code>{escape(verdict.next_step)}</code></p>")
    return "\n".join(lines)


def _rules(checks: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for check in sorted(checks, key=lambda check: bool(check["ok"])):
        state = "error in the check" if check["error"] else "ok" if check["ok"] else "broken"
        observed = f"{check['observed'] if check['observed'] is not None else ''} {check['error'] or ''}".strip()
        rows.append((state, check["rule"], check["severity"], check["expected"], observed))
    return "<h2>Rules</h2>\n" + _table(_ABOUT, ["", "rule", "about", "expected", "observed"], rows)


def _samples(checks: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for check in checks:
        samples = check.get("samples") or []
        if samples:
            names = list(dict.fromkeys(name for sample in samples for name in sample))
            rows = [[sample.get(name) for name in names] for sample in samples]
            parts.append(_table(f"{check['rule']}: {check['expected']}", names, rows))
    return "<h2>Samples</h2>\n<p class='soft'>Up to five of each. No user and no free text is shown.</p>\n" + "\n".join(parts) if parts else ""


def _days(profile: Mapping[str, Any], measures: Sequence[Mapping[str, Any]]) -> str:
    if not profile.get("days"):
        return ""
    known = {measure["of"]: measure for measure in measures if measure["kind"] == "rows_per_day"}
    drawn = [Bar(day, rows, known.get(day, {}).get("usual"), _off(known.get(day))) for day, rows in profile["days"].items()]
    if len(drawn) > 400:
        return "<h2>Rows by day</h2>\n<p>More than 400 days; they stand in the receipt.</p>"
    return "<h2>Rows by day</h2>\n<p class='soft'>A line across a bar is what that weekday usually has.</p>\n" + bars(drawn, "Rows by day")


def _hours(profile: Mapping[str, Any]) -> str:
    if not profile.get("hours"):
        return ""
    return "<h2>Rows by hour (UTC)</h2>\n" + bars([Bar(f"{hour:02d}", rows) for hour, rows in enumerate(profile["hours"])], "Rows by hour of the day")


def _groups(profile: Mapping[str, Any]) -> str:
    rows = []
    for name, group in profile["groups"].items():
        missing = ", ".join(f"{column} {100 * count / group['rows']:.1f}%" for column, count in group["nulls"].items()) if group["rows"] else ""
        rows.append((name, f"{group['rows']:,}", missing or "none"))
    return "<h2>Rows and missing values</h2>\n" + _table("", ["of", "rows", "missing"], rows, numbers=(1,))


def _prices(profile: Mapping[str, Any]) -> str:
    if not profile.get("prices"):
        return ""
    rows = [(name, *(f"{prices[key]:,}" for key in ("rows", "p10", "median", "p90"))) for name, prices in profile["prices"].items()]
    return "<h2>Prices</h2>\n" + _table("In minor units", ["of", "rows", "10%", "median", "90%"], rows, numbers=(1, 2, 3, 4))


def _measures(measures: Sequence[Mapping[str, Any]]) -> str:
    shown = [measure for measure in measures if measure["value"] or measure["usual"]]
    if not shown:
        return ""
    rows = [
        ("off" if _off(measure) else "", measure["kind"], measure["of"], *(_number(measure[key]) for key in ("value", "usual", "low", "high")))
        for measure in sorted(shown, key=lambda measure: not _off(measure))
    ]
    names = ["", "what", "of", "here", "usually", "at least", "at most"]
    return "<h2>Against the batches before</h2>\n" + _table("", names, rows, numbers=(3, 4, 5, 6))


def _off(measure: Mapping[str, Any] | None) -> bool:
    if measure is None:
        return False
    low, high = measure["low"], measure["high"]
    return (low is not None and measure["value"] < low) or (high is not None and measure["value"] > high)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _table(caption: str, names: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[int] = ()) -> str:
    shape = ['class="n"' if place in numbers else "" for place in range(len(names))]
    head = "".join(f'<th scope="col" {shape[place]}>{escape(name) or "state"}</th>' for place, name in enumerate(names))
    body = "\n".join("<tr>" + "".join(_cell(value, shape[place]) for place, value in enumerate(row)) + "</tr>" for row in rows)
    shown = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{shown}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cell(value: object, shape: str) -> str:
    text = "" if value is None else escape(str(value))
    if text in ("broken", "off", "error in the check"):
        text = f'<span class="bad">{text}</span>'
    elif text == "ok":
        text = f'<span class="good">{text}</span>'
    return f"<td {shape}>{text}</td>" if shape else f"<td>{text}</td>"
