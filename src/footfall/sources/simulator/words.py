"""The words of the simulated shop, Chinese and English: categories, types of items, brands, searches and reviews.

Every title, query and review is put together from these lists; nobody wrote any of them for a real shop.
"""

# ruff: noqa: RUF001 - Chinese sentences have Chinese commas

from __future__ import annotations

ZH, EN = 0, 1

CATEGORIES: tuple[tuple[tuple[str, str], tuple[tuple[str, str], ...]], ...] = (
    (("饮料", "Drinks"), (("绿茶", "green tea"), ("咖啡", "coffee"), ("果汁", "juice"), ("矿泉水", "mineral water"))),
    (("乳品", "Dairy"), (("牛奶", "milk"), ("酸奶", "yoghurt"), ("奶酪", "cheese"), ("黄油", "butter"))),
    (("烘焙", "Bakery"), (("面包", "bread"), ("蛋糕", "cake"), ("饼干", "biscuits"), ("月饼", "mooncakes"))),
    (("水果", "Fruit"), (("苹果", "apples"), ("香蕉", "bananas"), ("橙子", "oranges"), ("葡萄", "grapes"))),
    (("粮油", "Staples"), (("大米", "rice"), ("面条", "noodles"), ("面粉", "flour"), ("花生油", "peanut oil"))),
    (("零食", "Snacks"), (("薯片", "crisps"), ("巧克力", "chocolate"), ("坚果", "nuts"), ("海苔", "seaweed"))),
    (("家居", "Household"), (("纸巾", "tissues"), ("洗衣液", "detergent"), ("电池", "batteries"), ("台灯", "desk lamp"))),
    (("美妆", "Beauty"), (("面膜", "face mask"), ("口红", "lipstick"), ("洗发水", "shampoo"), ("护手霜", "hand cream"))),
    (("母婴", "Baby"), (("奶粉", "milk powder"), ("纸尿裤", "nappies"), ("积木", "building blocks"), ("绘本", "picture book"))),
    (("数码", "Electronics"), (("耳机", "earphones"), ("充电器", "charger"), ("键盘", "keyboard"), ("手环", "fitness band"))),
    (("服饰", "Clothing"), (("毛衣", "jumper"), ("袜子", "socks"), ("围巾", "scarf"), ("外套", "jacket"))),
    (("运动", "Sports"), (("瑜伽垫", "yoga mat"), ("跑鞋", "running shoes"), ("水壶", "water bottle"), ("跳绳", "skipping rope"))),
    (("健康", "Wellness"), (("维生素", "vitamins"), ("蛋白粉", "protein powder"), ("按摩仪", "massager"), ("香薰", "aroma diffuser"))),
)
"""(category, its four types), each as (Chinese, English). The last category comes with the drift `assortment_change` alone."""

SHELVES = 4
"""Types a category."""

CATEGORY_PRICES = (9, 15, 18, 16, 35, 14, 28, 65, 95, 150, 110, 85, 120)
"""What an item of each category costs about, in yuan."""

SUMMER = (0.6, 0.2, -0.1, 0.5, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, -0.7, 0.4, 0.0)
"""How much more a category is liked in mid-summer, and how much less in mid-winter (logit)."""

ADJECTIVES = (
    ("有机", "organic"),
    ("经典", "classic"),
    ("迷你", "mini"),
    ("家庭装", "family pack"),
    ("进口", "imported"),
    ("轻盈", "light"),
    ("精选", "select"),
    ("手工", "handmade"),
)

BRANDS = (
    ("青禾", "Qinghe"),
    ("北山", "Northhill"),
    ("云朵", "Cloudlet"),
    ("一味", "Yiwei"),
    ("晨光里", "Morninglight"),
    ("小满", "Xiaoman"),
    ("木棉", "Kapok"),
    ("蓝溪", "Bluebrook"),
    ("拾光", "Shiguang"),
    ("远帆", "Farsail"),
    ("山野", "Wildside"),
    ("七月", "July"),
)

REVIEWS = {
    ZH: (
        ("{}太差了，不会再买。", "收到的{}和描述不符。", "{}质量很糟糕。"),
        ("{}一般，有点失望。", "这款{}不太值这个价。", "{}包装破了。"),
        ("{}还可以。", "中规中矩的{}。", "{}没有惊喜，也没有问题。"),
        ("{}不错，会再来。", "家人都喜欢这款{}。", "{}物有所值。"),
        ("{}非常好，强烈推荐！", "最好的{}，已经回购。", "{}超出预期。"),
    ),
    EN: (
        ("Terrible {}, never again.", "The {} is not as described.", "Very poor {}."),
        ("The {} is so so, a little disappointed.", "This {} is hardly worth its price.", "The {} came in a torn box."),
        ("The {} is all right.", "A plain {}.", "No surprises and no problems with the {}."),
        ("Good {}, will come back.", "The family likes this {}.", "The {} is worth its price."),
        ("Excellent {}, warmly recommended!", "The best {}, bought it again.", "The {} is better than expected."),
    ),
}
"""Language -> rating 1 to 5 -> sentences about a type of item."""

SENTENCES = 3

DESCRIPTION = "模拟商品：{}。Simulated item: {}."

TYPES = tuple(names for _, types in CATEGORIES for names in types)


def query_texts() -> list[str]:
    """All searches: by adjective (the first: none), then type, then language."""
    texts = []
    for adjective in (None, *ADJECTIVES):
        for names in TYPES:
            texts.append(names[ZH] if adjective is None else adjective[ZH] + names[ZH])
            texts.append(names[EN] if adjective is None else f"{adjective[EN]} {names[EN]}")
    return texts


def review_texts() -> list[str]:
    """All reviews: by rating, then sentence, then type, then language."""
    return [
        REVIEWS[language][rating][sentence].format(names[language])
        for rating in range(5)
        for sentence in range(SENTENCES)
        for names in TYPES
        for language in (ZH, EN)
    ]


def title(language: int, type_: int, adjective: int, brand: int, size: str) -> str:
    """An item's title in one language.

    >>> title(EN, 0, 0, 0, "250 g"), title(ZH, 0, 0, 0, "250 g")
    ('Qinghe organic green tea 250 g', '青禾有机绿茶 250 g')
    """
    words = (BRANDS[brand][language], ADJECTIVES[adjective][language], TYPES[type_][language])
    return f"{''.join(words) if language == ZH else ' '.join(words)} {size}"
