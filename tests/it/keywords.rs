//! Two checks of one table: what Queqiao takes for a keyword, and what the simulated WeChat takes.
//! They are written apart, so that a mistake in one of them shows here.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use queqiao::bridge::routes::keyword::{Keyword, truncate};
use queqiao::simulator::TemplateSettings;

const LISTED: [&str; 2] = ["客厅", "卧室"];

fn wechat_takes(key: &str, text: &str) -> bool {
    let template = TemplateSettings {
        content: format!("What: {{{{{key}.DATA}}}}"),
        values: BTreeMap::from([(key.to_owned(), LISTED.map(str::to_owned).to_vec())]),
        ..TemplateSettings::default()
    };
    let values = BTreeMap::from([(key.to_owned(), text.to_owned())]);
    template.check(&values).is_ok()
}

fn queqiao_takes(key: &str, text: &str) -> bool {
    let listed = LISTED.map(str::to_owned);
    Keyword::of_key(key).is_none_or(|keyword| keyword.check(text, Some(&listed)).is_ok())
}

/// Texts of the type's own form and of every other one, long and short, and any texts at all.
/// Control characters are refused for every type, before its own rule is asked.
fn texts() -> impl Strategy<Value = String> {
    let date = "[0-9]{1,4}[年./-][0-9]{1,3}[月./-][0-9]{1,2}日?|20[0-9]{2}[年./-](0?[1-9]|1[0-2])月?|(0?[1-9]|1[0-3])[月./-][0-3]?[0-9]日?";
    let sound = "20[0-9]{2}年1?[0-9]月[1-2]?[0-9]日|20[0-9]{2}-0[1-9]-[0-2][0-9]";
    let time = "[0-2]?[0-9]:[0-5][0-9](:[0-5][0-9])?|[0-9]{1,3}:[0-9]{1,2}";
    let moment =
        format!("({date}|{sound}) {{0,2}}({time})|({sound}) ({time})|{date}|{sound}|{time}");
    let moments = format!("{moment}|({moment}) ?~ ?({moment})|({sound})~({sound})");
    prop_oneof![
        any::<String>().prop_map(|text| text.replace(char::is_control, "")),
        r"[\PC]{1,40}",
        r"[\p{Han}]{1,12}",
        r"[\p{Han}a-zA-Z 0-9·]{1,22}",
        "[a-zA-Z]{1,34}",
        "[a-zA-Z .é]{1,24}",
        r"[\p{P}\p{S}]{1,7}",
        r"[\p{Nd}\p{Nl}\p{No}]{1,4}",
        r"[ -~]{1,34}",
        "[0-9+() -]{1,19}",
        r"[0-9]{1,34}(\.[0-9]{0,3})?",
        r"[\p{Sc}￥]{0,2}-?[0-9]{0,12}(\.[0-9]{1,2})?(元|円)?",
        r"[\p{Han}A-Z]?[A-Z0-9]{0,7}[\p{Han}A-Z]?",
        prop::string::string_regex(&moments).unwrap(),
        prop::string::string_regex(&format!("(({sound}) )?({time})(~({time}))?")).unwrap(),
        select(vec!["客厅".to_owned(), "卧室 ".to_owned(), "厨".to_owned()]),
        "[😀👍e\u{301}字]{1,22}",
    ]
    .prop_filter("a text", |text: &String| {
        !text.is_empty() && !text.contains(char::is_control)
    })
}

/// Shows both the same texts under a key; returns how many both took, and both refused.
fn compare(key: &str) -> (u32, u32) {
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    });
    let agreed = runner.run(&texts(), |text| {
        let (ours, theirs) = (queqiao_takes(key, &text), wechat_takes(key, &text));
        prop_assert_eq!(ours, theirs, "{} {:?}: Queqiao, WeChat", key, text);
        let counter = if ours { &taken } else { &refused };
        counter.set(counter.get() + 1);
        if let Ok(cut) = truncate(Keyword::of_key(key).unwrap(), &text)
            && !key.starts_with("enum")
            && !key.starts_with("const")
        {
            prop_assert!(wechat_takes(key, &cut), "{} {:?}", key, cut);
        }
        Ok(())
    });
    if let Err(error) = agreed {
        panic!("{error}");
    }
    (taken.get(), refused.get())
}

#[test]
fn queqiao_refuses_what_wechat_refuses_and_nothing_else() {
    for key in [
        "thing1",
        "short_thing2",
        "number3",
        "letter4",
        "symbol5",
        "character_string6",
        "time7",
        "date8",
        "amount9",
        "phone_number10",
        "car_number11",
        "name12",
        "phrase13",
        "enum_string14",
        "enum15",
        "const16",
    ] {
        let (taken, refused) = compare(key);
        assert!(
            taken >= 30 && refused >= 30,
            "{key}: {taken} taken, {refused} refused"
        );
    }
}

proptest! {
    #[test]
    fn both_see_the_same_type_in_a_key(
        word in "thing|short_thing|number|letter|symbol|character_string|time|date|amount|phone_number|\
                 car_number|name|phrase|enum|enum_string|const|first|remark|keyword|[a-z_]{1,8}",
        number in "[0-9]{0,3}",
    ) {
        let key = format!("{word}{number}");
        // No type takes this; the old library takes anything.
        let text = "字，".repeat(300);
        prop_assert_eq!(queqiao_takes(&key, &text), wechat_takes(&key, &text), "{}", key);
    }
}
