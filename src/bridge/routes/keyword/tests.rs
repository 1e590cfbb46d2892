//! Each type with what it takes and what it refuses, and the cutting of texts.

use proptest::prelude::*;

use super::*;

fn check(key: &str, good: &[&str], too_long: &[&str], malformed: &[&str]) {
    let keyword = Keyword::of_key(key).unwrap();
    let listed = ["客厅".to_owned(), "卧室".to_owned()];
    for text in good {
        assert_eq!(keyword.check(text, Some(&listed)), Ok(()), "{key} {text:?}");
    }
    for text in too_long {
        let refused = keyword.check(text, Some(&listed));
        assert!(
            matches!(refused, Err(Refusal::TooLong { length, limit, .. }) if length == limit + 1),
            "{key} {text:?}: {refused:?}"
        );
    }
    for text in malformed {
        let refused = keyword.check(text, Some(&listed));
        assert_eq!(refused, Err(Refusal::Form(keyword)), "{key} {text:?}");
    }
}

#[test]
fn words() {
    let times = |text: &str, count: usize| text.repeat(count);
    let (full, over) = (times("字", 20), times("字", 21));
    let emoji = times("😀", 10);
    let emoji_over = format!("{emoji}x");
    check(
        "thing1",
        &["会员卡到期提醒", "A-1 #!", &full, &emoji],
        &[&over, &emoji_over],
        &[],
    );
    check("short_thing1", &["排队中"], &[&over], &[]);
    check(
        "letter2",
        &["ABCxyz", &times("a", 32)],
        &[&times("a", 33)],
        &["AB1", "字母", "A B", "é"],
    );
    check(
        "symbol3",
        &["#!", "￥", "-----"],
        &["######"],
        &["a!", "1", "字"],
    );
    check(
        "character_string4",
        &["SF1234-88", "a b", "é", &times("1", 32)],
        &[&times("1", 33)],
        &["单号1", "〇"],
    );
    check(
        "phrase5",
        &["配送中", "配送完成了"],
        &["已配送完成了"],
        &["配送A", "done", "配 送"],
    );
    check(
        "name6",
        &[
            "张三",
            "Ann Lee",
            "José",
            "阿-A",
            &times("字", 10),
            &times("a", 20),
        ],
        &[&times("字", 11), &times("a", 21), "Ann Lee 张三四"],
        &["Ann2", "张三2"],
    );
    check("enum_string7", &["客厅", "卧室"], &[], &["厨房", "客厅 "]);
    check("const8", &["客厅"], &[], &["x"]);
    assert_eq!(Keyword::Enum.check("x", None), Ok(()));
}

#[test]
fn numbers() {
    let digits = |count: usize| "9".repeat(count);
    let decimals = format!("{}.5", digits(31));
    check(
        "number1",
        &["12", "3.50", &digits(32), &decimals],
        &[&digits(33), &format!("{decimals}5")],
        &["1,000", "12个", ".5", "1.", "1.2.3", "-1", "٣", " 1"],
    );
    check(
        "amount2",
        &[
            "￥100.21",
            "100元",
            "$5",
            "€5元",
            "₩1000",
            "1234567890",
            "12345678.90",
        ],
        &["12345678901", "￥123456789.01元"],
        &[
            "￥￥5", "五元", "100 元", "元", "￥", "-5", "5RMB", "1,000.00",
        ],
    );
    check(
        "phone_number3",
        &["+86-0766-66888866", "138 0013 8000", "(020)12345"],
        &["123456789012345678"],
        &["电话123", "ext12"],
    );
    check(
        "car_number4",
        &["粤A8Z888挂", "A12345", "粤"],
        &["粤A8Z8888挂"],
        &["粤A粤888", "粤A-888", "粤粤A8挂"],
    );
}

#[test]
fn moments() {
    check(
        "time1",
        &[
            "15:01",
            "9:05",
            "15:01:59",
            "2026年1月5日 15:01",
            "2026-01-01 12:00",
            "15:01~16:00",
            "15:01 ~ 16:00",
            "1月5日 15:01~1月6日 00:00",
        ],
        &[],
        &[
            "24:00",
            "15:60",
            "15:1",
            "3pm",
            "2026-01-05",
            "15",
            "15:01~",
            "~15:01",
            "15:01:02:03",
            "2026-01-05T15:01",
            "2026-13-05 15:01",
            "15:01~16:00~17:00",
            "015:01",
            " 15:01",
            "15:01 ",
        ],
    );
    check(
        "date2",
        &[
            "2026-01-05",
            "2026.01.05 15:01",
            "2026/1/5",
            "2026年1月5日",
            "2026年10月",
            "1月5日",
            "2026-01",
            "01-05",
            "2026/1",
            "2026年1月5日~2026年1月7日",
            "2026年1月5日 15:01:30",
        ],
        &[],
        &[
            "2026-13-05",
            "2026-01-32",
            "明天",
            "2026-01/05",
            "15:01",
            "2026",
            "26-01-05",
            "2026-01-05 25:00",
            "2026年1月5",
            "2026-001-05",
            "02026-01-05",
            "0026-01-05",
            "2026-01-05~15:01",
            "2026-01-05 ",
            "2026年1月5日15:01",
        ],
    );
}

#[test]
fn a_type_is_a_known_word_with_a_number() {
    assert_eq!(Keyword::of_key("thing12"), Some(Keyword::Thing));
    assert_eq!(Keyword::of_key("enum_string2"), Some(Keyword::Enum));
    for free in [
        "first", "keyword1", "remark", "name", "date", "amount", "1", "", "Thing1", "thing_1",
    ] {
        assert_eq!(Keyword::of_key(free), None, "{free}");
    }
}

#[test]
fn a_refusal_says_the_length_the_limit_and_the_form() {
    let refused = Keyword::Thing.check(&"字".repeat(23), None).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "comes out 23 characters long, and 20 is the limit (thing: at most 20 characters)"
    );
    let refused = Keyword::Time.check("noon", None).unwrap_err().to_string();
    assert!(
        refused.starts_with("does not come out as a time: WeChat takes a 24-hour time"),
        "{refused}"
    );
}

#[test]
fn what_is_too_long_is_cut_where_the_eye_would_cut_it() {
    let long = "字".repeat(30);
    for (keyword, text, expected) in [
        (Keyword::Thing, "短", "短".to_owned()),
        (
            Keyword::Thing,
            long.as_str(),
            format!("{}…", "字".repeat(19)),
        ),
        (
            Keyword::Thing,
            "一二三四五六七八九十一二三四五六七八 个个",
            "一二三四五六七八九十一二三四五六七八…".to_owned(),
        ),
        // Ten emoji are twenty units: nine stay, since half of one is garbage.
        (
            Keyword::Thing,
            "😀😀😀😀😀😀😀😀😀😀😀",
            format!("{}…", "😀".repeat(9)),
        ),
        // A family of three is eight units and one character to the eye.
        (
            Keyword::Thing,
            "一二三四五六七八九十一二👨‍👩‍👧三四",
            "一二三四五六七八九十一二…".to_owned(),
        ),
        (
            Keyword::Name,
            "Alexander von Humboldt",
            "Alexander von Humbo…".to_owned(),
        ),
        (
            Keyword::Name,
            "欧阳阿不都热合曼买买提",
            "欧阳阿不都热合曼买…".to_owned(),
        ),
        (
            Keyword::Name,
            "Alexander Hamilton 张三",
            "Alexander Hamilton…".to_owned(),
        ),
        (Keyword::Symbol, "######", "####…".to_owned()),
    ] {
        assert_eq!(truncate(keyword, text), Ok(expected), "{text}");
    }
    for (keyword, text) in [
        (Keyword::Number, "123456789012345678901234567890123"),
        (Keyword::Phrase, "已配送完成了"),
        (Keyword::CharacterString, &*format!("单{}", "1".repeat(32))),
        // One character to the eye, and too long for any field.
        (Keyword::Thing, &*format!("e{}", "\u{301}".repeat(30))),
    ] {
        assert!(
            matches!(truncate(keyword, text), Err(Refusal::TooLong { .. })),
            "{text}"
        );
    }
    assert_eq!(
        truncate(Keyword::Phrase, "done"),
        Err(Refusal::Form(Keyword::Phrase))
    );
    assert_eq!(truncate_plain("abc", 3).as_deref(), Some("abc"));
    assert_eq!(truncate_plain("abcd", 3).as_deref(), Some("ab…"));
    assert_eq!(truncate_plain("😀😀", 2), None);
}

const ALL: [Keyword; 15] = [
    Keyword::Thing,
    Keyword::ShortThing,
    Keyword::Number,
    Keyword::Letter,
    Keyword::Symbol,
    Keyword::CharacterString,
    Keyword::Time,
    Keyword::Date,
    Keyword::Amount,
    Keyword::PhoneNumber,
    Keyword::CarNumber,
    Keyword::Name,
    Keyword::Phrase,
    Keyword::Enum,
    Keyword::Const,
];

proptest! {
    #[test]
    fn what_is_cut_is_taken_and_begins_as_the_text_does(
        keyword in prop::sample::select(&ALL[..]),
        text in r"[\PC]{0,40}|[a-zA-Z 张三]{0,30}|[0-9+\-]{0,40}|[😀👍🏽e\u{301}]{0,40}",
    ) {
        if let Ok(cut) = truncate(keyword, &text) {
            prop_assert_eq!(keyword.check(&cut, None), Ok(()));
            if cut != text {
                let kept = cut.strip_suffix('…').unwrap();
                prop_assert!(text.starts_with(kept) && !kept.trim().is_empty());
                prop_assert!(keyword.check(&text, None).is_err());
                prop_assert!(keyword.can_be_cut());
            }
        }
    }
}
