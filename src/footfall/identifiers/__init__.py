"""Direct identifiers in free text and attributes: found and masked before the first write, at landing and at the HTTP door.

An e-mail becomes `[e-mail]`, a phone number `[phone]`, and so on; what was there is not kept, only how many of which kind.
A regular expression knows forms, not people: a bare name in a sentence ("give it to Anna") is not found. docs/privacy.md says what is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.compute as pc

from footfall.identifiers.forms import SUSPECT, find

Counts = Counter[str]

ATTRIBUTE = "attribute"
"""Kind under which dropped attributes are counted."""

_PERSONAL = re.compile(
    "e?mail|mailbox|(?:tele)?phone|mobile|tel|cell|fax|addr(?:ess)?|street|ip|imei|mac|iban|card|ssn|passport|birth(?:day|date)?|dob"
    "|username|login|nickname|(?:full|first|last|sur|fore)name|wechat|weixin|qq|whatsapp|lat(?:itude)?|lon(?:gitude)?|lng|geo|gps"
)
_SUSPICIOUS = re.compile(SUSPECT)
_OF_A_PERSON = re.compile("first|last|full|user|customer|given|family|middle|maiden|nick|sur|contact|real|legal")
_PERSONAL_CHINESE = re.compile("姓名|名字|昵称|电话|手机|邮箱|邮件|地址|住址|生日|出生|身份证|护照|微信|银行卡|卡号")
_TOKENS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def mask(text: str, counts: Counts | None = None) -> str:
    """`text` with every identifier that can be found replaced by its kind in brackets; masking twice changes nothing more.

    Args:
        text: of any length and script.
        counts: where to count what was masked, by kind.
    """
    if not _SUSPICIOUS.search(text):
        return text
    while True:
        spans = find(text)
        if not spans:
            return text
        parts, at = [], 0
        for start, end, kind in spans:
            parts += [text[at:start], f"[{kind}]"]
            at = end
            if counts is not None:
                counts[kind] += 1
        text = "".join([*parts, text[at:]])


def mask_label(text: str, counts: Counts | None = None) -> str:
    """`text`, or where it holds an identifier the kind of the first alone: for short columns, which must not grow."""
    spans = find(text) if _SUSPICIOUS.search(text) else []
    if not spans:
        return text
    if counts is not None:
        counts.update(kind for _, _, kind in spans)
    return f"[{spans[0][2]}]"


def mask_attributes(text: str, counts: Counts | None = None) -> str:
    """A JSON object without the keys that name or reach a person, its other texts masked. What is no JSON is masked as text.

    An object in which nothing is found stays as it is, letter by letter.
    """
    if text == "{}":
        return text
    found: Counts = Counter()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return mask(text, counts)
    clean = _clean(document, found)
    if not found:
        return text
    if counts is not None:
        counts.update(found)
    return json.dumps(clean, sort_keys=True, ensure_ascii=False)


def mask_table(
    table: pa.Table, *, texts: Collection[str] = (), labels: Collection[str] = (), attributes: Collection[str] = ()
) -> tuple[pa.Table, dict[str, int]]:
    """`table` with these columns masked, and how many identifiers of which kind were; columns that it lacks are passed over.

    Each distinct value is looked at once, and most are let go by one pass of Arrow over the column.
    """
    counts: Counts = Counter()
    for names, change, suspect in ((texts, mask, SUSPECT), (labels, mask_label, SUSPECT), (attributes, mask_attributes, r"[^{}]")):
        for name in names:
            if name in table.column_names and table.column(name).null_count < table.num_rows:
                column = _mask_column(table.column(name), change, suspect, counts)
                table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
    return table, dict(sorted(counts.items()))


def _mask_column(column: pa.ChunkedArray, change: Callable[[str, Counts], str], suspect: str, counts: Counts) -> pa.ChunkedArray:
    suspicious = pc.fill_null(pc.match_substring_regex(column, suspect), False)
    if not pc.any(suspicious).as_py():
        return column
    changed = []
    encoded = column.filter(suspicious).combine_chunks().dictionary_encode()
    times = Counter(encoded.indices.to_pylist())
    for position, text in enumerate(encoded.dictionary.to_pylist()):
        found: Counts = Counter()
        changed.append(change(text, found))
        counts.update({kind: number * times[position] for kind, number in found.items()})
    replacements = pa.array(changed, pa.string()).take(encoded.indices)
    return pc.replace_with_mask(column.combine_chunks(), suspicious.combine_chunks(), replacements) if counts else column


def _is_personal(key: str) -> bool:
    tokens = [token.lower() for token in _TOKENS.findall(key)]
    named = "name" in tokens and (tokens == ["name"] or any(map(_OF_A_PERSON.fullmatch, tokens)))
    return named or any(map(_PERSONAL.fullmatch, [*tokens, "".join(tokens)])) or _PERSONAL_CHINESE.search(key) is not None


def _clean(value: object, counts: Counts) -> object:
    if isinstance(value, dict):
        kept = {}
        for key, inner in value.items():
            if _is_personal(key):
                counts[ATTRIBUTE] += 1
            else:
                kept[mask(key, counts)] = _clean(inner, counts)
        return kept
    if isinstance(value, list):
        return [_clean(inner, counts) for inner in value]
    if isinstance(value, str):
        return mask(value, counts)
    if isinstance(value, int | float) and not isinstance(value, bool):
        masked = mask(str(value), counts)
        return value if masked == str(value) else masked
    return value
