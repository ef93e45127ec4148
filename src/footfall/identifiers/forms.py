"""The forms of direct identifiers: regular expressions for what people write, in English and Chinese, and where they match.

Python's own engine reads a text with them only when `SUSPECT` says so. Every expression takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

Finder = Callable[[str], Iterator[tuple[int, int]]]

_FOLD = str.maketrans("０１２３４５６７８９＠＋－．：（）", "0123456789@+-.:()")
_TAKEN = "\uffff"  # stands in for characters that one kind has taken, so that the next does not take them again

SUSPECT = (
    r"[@＠]|(?:[0-9０-９][ ./()（）－-]{0,2}){7}|[0-9０-９]{1,3}(?:[.．][0-9０-９]{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:"
    r"|(?i:my name|name\s?[:：]|i am|i['’]m|call me|regards|sincerely|yours|wechat|weixin|\bvx|\bwx|qq[号码]{0,2}\s?[:：]|live at|living at|address"
    r"|deliver to|ship to|send (?:it )?to|street|avenue|road|lane|boulevard|blvd|\bst\b|\bave\b|\brd\b|\bln\b|\bp\.? ?o\.? ?box)"
    r"|我叫|名字|姓名|联系人|收件人|收货人|地址|住址|微信|扣扣|(?:路|街|道|巷|弄|胡同)[0-9０-９一二三四五六七八九十百]{1,5}[号號弄]|[0-9０-９](?:号楼|栋|幢)"
)
"""What every text with an identifier matches and hardly any other does; in the letters that RE2 (Arrow) and Python share."""

_EDGE, _END = r"(?<![0-9A-Za-z_.+-])", r"(?![0-9A-Za-z_]|[.-][0-9])"
_EMAIL = re.compile(r"[A-Za-z0-9À-ɏ._%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![0-9A-Za-z])")
_CARD = re.compile(r"(?<![0-9A-Za-z])[3-6][0-9]{3}([ -]?)[0-9]{4,6}\1[0-9]{4,5}(?:\1[0-9]{1,4}){0,2}(?![0-9A-Za-z])")
_CHINESE_ID = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx](?![0-9A-Za-z])")
_US_ID = re.compile(_EDGE + r"(?!000|666|9)[0-9]{3}-[0-9]{2}-[0-9]{4}" + _END)
_PHONES = (
    re.compile(r"(?<![0-9A-Za-z+])\+[1-9](?:[ .()-]{0,2}[0-9]){7,14}(?![0-9A-Za-z])"),
    re.compile(r"(?<![0-9A-Za-z.-])(?:86[- ]?)?1[3-9][0-9]([- ]?)[0-9]{4}\1[0-9]{4}" + _END),
    re.compile(_EDGE + r"\(?0(?:10|2[0-9]|[3-9][0-9]{2})\)?[ -][0-9]{7,8}" + _END),
    re.compile(_EDGE + r"(?:1[-. ])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.])[0-9]{3}[-.][0-9]{4}" + _END),
    re.compile(_EDGE + r"\(?0[0-9]{2,4}\)?[ /-][0-9]{3,4}[ -]?[0-9]{3,5}" + _END),
    re.compile(_EDGE + r"0[0-9](?:[ .][0-9]{2}){4}" + _END),
)
_SAID_PHONE = re.compile(
    r"(?i:\b(?:tel|phone|mobile|cell|whatsapp|fax)(?:\s?(?:no|number))?\.?\s?(?::|is|#)\s?|\bcall me (?:at|on)\s)"
    r"([0-9](?:[ .()-]{0,2}[0-9]){6,14})(?![0-9A-Za-z])"
)
_SAID_PHONE_CHINESE = re.compile(
    r"(?:电话|手机号码?|联系方式|座机)[是为]?[: ]?"
    r"([0-9](?:[ .()-]{0,2}[0-9]){6,14})(?![0-9A-Za-z])"
)
_IPV4 = re.compile(
    r"(?<![0-9A-Za-z_.])(?<![0-9A-Za-z]/)(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(?![0-9A-Za-z_]|\.[0-9])"
)
_VERSION = re.compile(r"(?i)(?:\b(?:v|ver|version|firmware|fw|build|release|driver|bios|chrome|android|ios)|版本|固件|驱动)\.?[ :]?$")
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z:.])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}"
    r"|(?:[0-9A-Fa-f]{1,4}:){2,6}(?::[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{3,4}::?(?:[0-9A-Fa-f]{1,4}:){1,5}[0-9A-Fa-f]{1,4}"
    r"|fe80::[0-9A-Fa-f]{1,4})(?![0-9A-Za-z:])"
)
_ACCOUNT = re.compile(r"(?i:qq|扣扣)(?:号码?)?\s?:\s?([0-9]{5,11})|(?i:微信|wechat|weixin|vx|wx)(?i:号|id)?\s?:\s?([A-Za-z][0-9A-Za-z_-]{5,19})")
_ADDRESSES = (
    re.compile(
        r"(?<![0-9A-Za-z.])[0-9]{1,5}[A-Za-z]?,? (?:[A-Z][a-z']{1,20}\.? ){1,3}"
        r"(?:Street|St\.|Avenue|Ave\.?|Road|Rd\.?|Lane|Ln\.?|Boulevard|Blvd\.?)(?![A-Za-z])"
        r"(?! (?i:bike|tyre|tire|shoe|map|trip|runner|racer|race|wear|light))"
    ),
    re.compile(r"\b[Pp]\.? ?[Oo]\.? ?[Bb][Oo][Xx] [0-9]{1,6}(?![0-9A-Za-z])"),
    re.compile(r"[0-9]{1,3}(?:号楼|栋|幢)(?:[0-9一二三四五六七八九十]{1,3}单元)?[0-9]{2,5}(?:室|房)?"),
)
_STREET_NUMBER = re.compile(
    r"(?:路|街|大道|巷|弄|胡同)[0-9一二三四五六七八九十百]{1,5}[号號弄](?![线電电色码])"
    r"(?:[0-9一二三四五六七八九十A-Za-z-]{0,4}(?:院|号楼|栋|幢|座|单元|层|楼|室|房)){0,5}(?:[0-9]{1,4}(?:-[0-9]{1,4}){0,2})?"
)
_BEFORE_STREET = re.compile(r"(?:.*[在到至往寄送是])?([\u4e00-\u9fff]{1,24})$")
_SAID_ADDRESSES = (
    re.compile(r"(?i:\b(?:live at|living at|address is|deliver to|ship to|send (?:it )?to)) ([0-9]{1,5}[A-Za-z]? [A-Za-z' ]{3,40}?)(?=[,.;!?\n]|$)"),
    re.compile(r"(?i:\baddress\s?:\s?)([^\s\[\]\uffff][^\n;\[\]\uffff]{5,80})"),
    re.compile(r"(?:地址|住址)[是为]?\s?:\s?([^\s,，。;；\[\]\uffff]{4,60})"),
)
_WORD = r"[A-Z][A-Za-zÀ-ɏ'’-]{1,20}"
_NOT_NAMES = "The|This|That|Not|In|On|At|So|Very|Just|Looking|Happy|Sorry|Glad|Sure|From|American|British|Chinese|German|French|Italian|Spanish"
_SURNAMES = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏窦章苏潘葛奚范彭郎鲁韦昌马苗凤方俞任袁柳鲍史唐费廉薛雷贺倪汤滕殷罗毕郝安常"
    "傅齐康伍余顾孟黄穆萧尹姚邵汪毛戴宋庞熊纪舒屈项祝董梁杜阮蓝席季贾江童颜郭梅盛林钟徐邱高夏蔡田胡凌霍万柯卢莫房丁邓洪包左石崔龚程邢裴陆荣翁段侯全班仇刘叶白赖乔温庄瞿阎龙关欧阳司马上官诸葛"
)
_NAMES = (
    re.compile(r"(?i:\bmy name(?:'s| is)|\bmy name:) ((?!(?i:on|in|not|and|printed)\b)[A-Za-zÀ-ɏ'’-]{2,20}(?: [A-Z][A-Za-zÀ-ɏ'’.-]{0,20}){0,2})"),
    re.compile(rf"(?:\b[Ii] am|\b[Ii]['’]m|\b[Cc]all me) ((?!(?:{_NOT_NAMES})\b){_WORD}(?: {_WORD}){{0,2}})(?=[\s]*(?:[,.;!?\n]|$|and\b|from\b))"),
    re.compile(rf"(?i:\bname\s?:\s?)({_WORD}(?: {_WORD}){{0,3}})"),
    re.compile(rf"(?i:\b(?:regards|sincerely|yours truly|yours faithfully))[,.]?\s{{1,3}}({_WORD}(?: {_WORD}){{0,2}})"),
    re.compile(rf"(?:我叫|我的名字[是叫]|名字叫)([{_SURNAMES}][\u4e00-\u9fff]{{1,2}})"),
    re.compile(r"(?:姓名|联系人|收件人|收货人)\s?:\s?([\u4e00-\u9fff·]{2,10}|[A-Za-z][A-Za-z' -]{1,40})"),
)


def find(text: str) -> list[tuple[int, int, str]]:
    """Where identifiers stand, and of which kind; they do not overlap, and are in the order of the text."""
    folded, found = text.translate(_FOLD), []
    for kind, finder in _FINDERS:
        for start, end in finder(folded):
            if _TAKEN not in folded[start:end]:
                found.append((start, end, kind))
                folded = folded[:start] + _TAKEN * (end - start) + folded[end:]
    return sorted(found)


def _patterns(*patterns: re.Pattern[str], check: Callable[[re.Match[str]], bool] = lambda _: True, group: bool = False) -> Finder:
    """A finder of what matches one of `patterns` and passes `check`: the whole match, or the group that took part."""

    def find(text: str) -> Iterator[tuple[int, int]]:
        for pattern in patterns:
            for match in pattern.finditer(text):
                if check(match):
                    yield match.span(match.lastindex or 0) if group else match.span()

    return find


def _streets(text: str) -> Iterator[tuple[int, int]]:
    """Chinese street numbers, each with the street, district and town before it."""
    for match in _STREET_NUMBER.finditer(text):
        town = _BEFORE_STREET.search(text[max(0, match.start() - 24) : match.start()])
        if town:
            yield match.start() - len(town[1]), match.end()


def _is_card(match: re.Match[str]) -> bool:
    digits = [int(digit) for digit in match[0] if digit.isdigit()]
    doubled = [digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(reversed(digits))]
    return 15 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def _is_iban(match: re.Match[str]) -> bool:
    compact = match[0].replace(" ", "")
    return 15 <= len(compact) <= 34 and int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def _is_no_version(match: re.Match[str]) -> bool:
    return not _VERSION.search(match.string[max(0, match.start() - 12) : match.start()])


_FINDERS: tuple[tuple[str, Finder], ...] = (
    ("e-mail", _patterns(_EMAIL)),
    ("iban", _patterns(_IBAN, check=_is_iban)),
    ("id", _patterns(_CHINESE_ID, _US_ID)),
    ("card", _patterns(_CARD, check=_is_card)),
    ("ip", _patterns(_IPV4, check=_is_no_version)),
    ("ip", _patterns(_IPV6)),
    ("phone", _patterns(*_PHONES)),
    ("phone", _patterns(_SAID_PHONE, _SAID_PHONE_CHINESE, group=True)),
    ("account", _patterns(_ACCOUNT, group=True)),
    ("address", _patterns(*_SAID_ADDRESSES, group=True)),
    ("address", _streets),
    ("address", _patterns(*_ADDRESSES)),
    ("name", _patterns(*_NAMES, group=True)),
)
