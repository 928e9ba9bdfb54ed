"""Strings to break a tokenizer with."""

from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters())  # every code point, half characters included

# From blocks that Unicode filled long ago: libraries differ in which newer characters they know.
CHARACTERS = (
    "\t\n\r\x0b\x0c\x00\x1c\x7f\x85\xa0\u200b\u200d\u2028\u3000\ufeff\ufffd "  # spaces, controls
    "abcdefgzABCZ0123456789'.,!?-_$+#[]@~"
    "éÉñßøİıſΣσςΩπЖжאשعربीकขไทยंा"
    "\u0301\u0308\u0323\u0327\u20d7"  # combining marks
    "中文字典猫，。！？「」的了一二三㐀豈"
    "ひらカタ한국어ᄀ"
    "😀👍🏽👩🦰🇨🇭❤\ufe0f☃²½Ⅷ①٣৪"
)
WORDS = ["the", "people's", "we'll", "United", "THE", "don't", "1863", "3,000", "naïve", "I'VE"]
WORDS += [
    "",
    "\n\n",
    "'tis",
    "unaffordable",
    "你好",
    "老师，您好！",
    "👩\u200d👩\u200d👧",
    "##",
    "[UNK]",
]

HARD_TEXT = st.one_of(  # on which the libraries must agree
    st.text(st.sampled_from(CHARACTERS), max_size=40),
    st.builds(lambda s, n: s * n, st.text("ab é的😀\n1'", max_size=4), st.integers(0, 60)),
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
)
