"""Direct identifiers in free text: found in many forms, and product talk is left alone."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.identifiers import mask, mask_attributes, mask_label, mask_table
from footfall.identifiers.forms import SUSPECT, find
from tests.trials import Trial

FOUND = [
    ("write to Anna.Smith+shop@mail.example.co.uk please", "write to [e-mail] please"),
    ("邮箱anna@example.com谢谢", "邮箱[e-mail]谢谢"),
    ("anna＠example．com", "[e-mail]"),
    ("我的手机号是13800138000", "我的手机号是[phone]"),
    ("加我138-0013-8000", "加我[phone]"),
    ("电话:86 139 1234 5678", "电话:[phone]"),
    ("１３８００１３８０００", "[phone]"),
    ("座机010-62781234", "座机[phone]"),
    ("ring +49 170 1234567 after six", "ring [phone] after six"),
    ("call (555) 123-4567 or 555-123-4567.", "call [phone] or [phone]."),
    ("07700 900123 evenings", "[phone] evenings"),
    ("my phone: 1234 5678", "my phone: [phone]"),
    ("01 23 45 67 89", "[phone]"),
    ("from 192.168.7.23 again", "from [ip] again"),
    ("see http://10.0.0.1/admin", "see http://[ip]/admin"),
    ("2001:db8:85a3::8a2e:370:7334 failed", "[ip] failed"),
    ("paid with 4111 1111 1111 1111", "paid with [card]"),
    ("DE89 3704 0044 0532 0130 00 is my account", "[iban] is my account"),
    ("GB82WEST12345698765432", "[iban]"),
    ("身份证11010119900307123X", "身份证[id]"),
    ("ssn 123-45-6789", "ssn [id]"),
    ("QQ:123456789", "QQ:[account]"),
    ("微信号：anna_smith88", "微信号：[account]"),
    ("Hello, my name is Anna Smith and I like it", "Hello, my name is [name] and I like it"),
    ("my name is anna", "my name is [name]"),
    ("I'm Anna, the size is wrong", "I'm [name], the size is wrong"),
    ("Too small.\nBest regards,\nAnna Smith", "Too small.\nBest regards,\n[name]"),
    ("Name: Anna Maria Smith", "Name: [name]"),
    ("你好，我叫张伟，想退货", "你好，我叫[name]，想退货"),
    ("姓名：欧阳娜娜", "姓名：[name]"),
    ("收件人: 王小明 电话: 13800138000", "收件人: [name] 电话: [phone]"),
    ("leave it at 221 Baker Street, ground floor", "leave it at [address], ground floor"),
    ("I live at 12 long hill road, near the mill", "I live at [address], near the mill"),
    ("P.O. Box 1234", "[address]"),
    ("Delivery address: Flat 3, 9 Mill Lane, Leeds", "Delivery address: [address]"),
    ("送到北京市朝阳区建国路88号3栋1201室", "送到[address]"),
    ("地址：浙江杭州西湖花园旁边", "地址：[address]"),
]

HARMLESS = [
    "size 10x20x30 cm, 2.5 kg, 3.99",
    "iPhone 15 Pro Max 256GB",
    "was 1,299.00 now 999.00 until 2024-11-11",
    "2021-03-28 00:30:00",
    "from 08:00 to 17:30",
    "order 12345678 has 3 pieces",
    "EAN 4006381333931",
    "isbn 978-7-5447-2475-49",
    "9787547247549",
    "part 352149673-1",
    "Nikon D7500 18-140mm f/3.5-5.6",
    "ratio 16:9, 1920x1080",
    "firmware 1.0.2.5 and version 10.2.3.4",
    "Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
    "I am looking for a red dress",
    "I'm Happy with it",
    "I am in London",
    "my name is on the box",
    "name tag stickers, pack of 200",
    "brand name: nike",
    "address labels 100 sheets",
    "5 road bike tyres 700x25c",
    "12 Mountain Road Bike",
    "street wear size 42",
    "Abbey Road vinyl",
    "USB 3.0 at 5 Gbit/s @ 2 m",
    "2 @ 5.00",
    "@home decoration",
    "call of duty 2019",
    "phone case 12345678",
    "smartphone 6.1 inch",
    "1/2 inch, 3/4 inch, 5-7 days",
    "std::vector book, c++",
    "1000000000 puzzle pieces",
    "lot no. 20201019123456",
    "手机壳 iphone15 防摔",
    "手机20201019新款",
    "姓名贴 防水贴纸",
    "qq飞车账户出售",
    "七位qq",
    "微信红包封面",
    "我叫了外卖",
    "我叫mt4",
    "5号电池 7号电池",
    "电视剧《大道》",
    "地铁1号线玩具",
    "地址信息登记表",
    "双11满300减50",
    "2024年春季新款女装 165/84A",
    "波司登b90142806",
    "¥1,299.00 第2件半价",
    "街头风 卫衣 2xl",
    "长方形小铁块56@56@10mm",
]


@pytest.mark.parametrize(("text", "masked"), FOUND)
def test_identifiers_are_masked_by_their_kind(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_product_talk_is_left_alone(text: str) -> None:
    assert mask(text) == text


@given(st.lists(st.sampled_from([text for text, _ in FOUND] + HARMLESS + [" ", "\n", "[", "]", "1", "@", "a", ":", "路", "号"]), max_size=6))
def test_masking_twice_changes_nothing_more_and_the_kinds_are_counted(parts: list[str]) -> None:
    counts: Counter[str] = Counter()
    once = mask("".join(parts), counts)
    assert mask(once) == once
    assert (once != "".join(parts)) == bool(counts)


@pytest.mark.parametrize("text", [text for text, _ in FOUND] + HARMLESS)
def test_the_quick_look_lets_nothing_go_in_either_engine(text: str) -> None:
    suspicious = pc.match_substring_regex(pa.array([text]), SUSPECT)[0].as_py()
    assert suspicious == bool(re.search(SUSPECT, text))
    assert suspicious or not find(text)


@given(st.text(max_size=200))
def test_any_text_can_be_masked_and_then_stays(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


def test_a_label_becomes_its_kind_and_never_grows_beyond_it() -> None:
    counts: Counter[str] = Counter()
    assert mask_label("till of a@b.co at 10.1.2.3", counts) == "[e-mail]"
    assert mask_label("shop-12", counts) == "shop-12"
    assert counts == {"e-mail": 1, "ip": 1}


def test_attributes_lose_what_names_or_reaches_a_person_and_keep_the_rest() -> None:
    given_attributes = {
        "name": "Anna",
        "firstName": "Anna",
        "customer_email": "x",
        "homePhone": 1,
        "billing_address": {"city": "Leeds"},
        "IP": "1.2.3.4",
        "dateOfBirth": "1990-01-01",
        "手机号": "1",
        "age": "35-44",
        "income": "50-74K",
        "shop_name": "north",
        "note": "ring +49 170 1234567",
        "tags": ["vip", "anna@example.com"],
        "number": 13800138000,
        "kids_count": 2,
        "married": True,
    }
    counts: Counter[str] = Counter()
    masked = json.loads(mask_attributes(json.dumps(given_attributes), counts))
    assert masked == {
        "age": "35-44",
        "income": "50-74K",
        "shop_name": "north",
        "note": "ring [phone]",
        "tags": ["vip", "[e-mail]"],
        "number": "[phone]",
        "kids_count": 2,
        "married": True,
    }
    assert counts == {"attribute": 8, "phone": 2, "e-mail": 1}


@pytest.mark.parametrize("text", ["{}", '{"age":  "35-44"}', "[1, 2]", "no JSON", "null"])
def test_attributes_in_which_nothing_is_found_stay_letter_by_letter(text: str) -> None:
    assert mask_attributes(text) == text


def test_a_table_is_masked_by_column_with_repeats_counted_and_the_rest_untouched() -> None:
    table = pa.table({"query": ["a@b.co", None, "tea", "a@b.co"], "place": ["x 10.0.0.1", "n", None, "n"], "title": ["a@b.co"] * 4})
    masked, counts = mask_table(table, texts=("query", "absent"), labels=("place",))
    assert masked.to_pydict() == {"query": ["[e-mail]", None, "tea", "[e-mail]"], "place": ["[ip]", "n", None, "n"], "title": ["a@b.co"] * 4}
    assert counts == {"e-mail": 2, "ip": 1}
    assert mask_table(masked, texts=("query",), labels=("place",)) == (masked, {})


@pytest.mark.trial
def test_hardly_any_real_query_is_touched(trial: Trial) -> None:
    """A hundred thousand real searches of a Chinese shop; those that are touched were read by hand: phone numbers and a street."""
    path = Path(os.environ.get("FOOTFALL_DATA", "/nowhere")) / "taobao_queries" / "train.query.txt.gz"
    if not path.exists():
        pytest.skip("no log of queries here")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        queries = [line.rstrip("\n").split("\t", 1)[1] for line in file]
    table = pa.table({"query": queries})
    began = time.perf_counter()
    masked, counts = mask_table(table, texts=("query",))
    rate = len(queries) / (time.perf_counter() - began)
    touched = sum(before != after for before, after in zip(queries, masked.column("query").to_pylist(), strict=True))
    trial.note(queries=len(queries), touched=touched, kinds=counts, rows_a_second=round(rate))
    assert len(queries) == 100_000
    assert 0 < touched <= 100  # 0.1 percent
