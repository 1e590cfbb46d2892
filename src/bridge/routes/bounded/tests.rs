//! Whatever a template is made of, it is refused or it comes out short.

use minijinja::value::{Serde, Value};
use proptest::prelude::*;
use serde_json::json;

use crate::bridge::limits::SOURCE_MAX;
use crate::bridge::routes::compiled::{Room, scene};
use crate::bridge::routes::{Compiled, Route, parse};

fn routes(source: &str) -> Result<Vec<Route>, String> {
    let route = json!([{
        "account": "wx0123456789abcdef", "template_id": "TPL", "fields": {"thing1": source}, "url": source,
    }]);
    parse(&route.to_string()).map_err(|error| error.to_string())
}

/// The params of the largest request.
fn params() -> Value {
    let list: Vec<&str> = vec!["伞"; 2_000];
    let params = json!({"t": "长".repeat(16_000), "n": 1_000_000_000_u64, "s": "7", "l": list, "o": {"a": list}});
    assert!(params.to_string().len() < 128_000);
    Value::from(Serde(params))
}

/// Field and address filled in: what each came out as, or why not.
fn filled(source: &str) -> Result<[Result<String, String>; 2], String> {
    let compiled = Compiled::new(&routes(source)?, 2_048).unwrap();
    let params = params();
    let context = scene(&params, None);
    Ok(["routes[0].fields.thing1", "routes[0].url"].map(|path| {
        let text = compiled.text(path, &context, Room::FIELD);
        text.map_err(|error| error.to_string())
    }))
}

#[test]
fn repetition_is_refused_before_anything_is_folded() {
    for (source, word) in [
        ("{{ 'x' * 20000000 }}", "multiplies `'x'`"),
        ("{{ 20000000 * 'x' }}", "multiplies `'x'`"),
        ("{{ [1] * 20000000 | length }}", "multiplies `[1]`"),
        ("{{ ('x' ~ 'y') * 2 }}", "multiplies"),
        ("{{ ('1' + '2') * 2 }}", "multiplies"),
        ("{{ 'x' * params.n }}", "multiplies `'x'`"),
        ("{{ params.t * 2 }}", "`params.t | float`"),
        ("{{ params['t'] * 2 }}", "multiplies"),
        ("{% if 'x' * 20000000 %}a{% endif %}", "multiplies"),
        (
            "{% if 1 %}{{ 'x' * 9 }}{% else %}b{% endif %}",
            "multiplies",
        ),
        ("{{ params.t[:'x' * 9] }}", "multiplies"),
        ("{{ params.x | default('x' * 9) }}", "multiplies"),
        ("{{ {'a': 'x' * 9}.a }}", "multiplies"),
        ("{{ 1 if 'x' * 9 else 2 }}", "multiplies"),
        ("{{ 'x' * 9 is defined }}", "multiplies"),
        ("{{ 1 < 'x' * 9 }}", "multiplies"),
        ("{{ (1 if params.n else 'x') * 9 }}", "multiplies"),
        ("{{ 'a' ~ 'x' * 9 ~ 'b' }}", "multiplies"),
    ] {
        let error = routes(source).unwrap_err();
        assert!(
            error.starts_with("routes[0].fields.thing1 "),
            "{source}: {error}"
        );
        assert!(error.contains(word), "{source}: {error}");
    }
    let joined = format!("{{{{ ({}) | length }}}}", vec!["params.t"; 34].join("~"));
    assert!(routes(&joined).unwrap_err().contains("at most 32"));
}

#[test]
fn numbers_are_multiplied() {
    for (source, text) in [
        ("{{ 2 * 3 }}", "6"),
        ("{{ params.n | float * 2 }}", "2000000000.0"),
        ("{{ (params.s | int) * 2 * -1 }}", "-14"),
        ("{{ (params.n - 1) * (params.n % 7) }}", "5999999994"),
        ("{{ (params.l | length) * 2 + 1 }}", "4001"),
        ("{{ params.n / 4 * 2 }}", "500000000.0"),
        ("{{ 'a*b' ~ params.s }} * 2", "a*b7 * 2"),
    ] {
        assert_eq!(filled(source).unwrap()[0].as_deref(), Ok(text), "{source}");
    }
}

#[test]
fn a_text_stops_where_no_room_is_left() {
    let [field, url] = filled("{{ params.t }}").unwrap();
    assert!(
        field
            .unwrap_err()
            .contains("comes out longer than 16384 bytes")
    );
    assert!(url.unwrap_err().ends_with("16384 bytes: shorten it"));
    let cut = json!([{
        "account": "wx0123456789abcdef", "template_id": "TPL",
        "fields": {"thing1": {"text": "{{ params.t }}{{ params.missing }}", "on_too_long": "truncate"}},
    }]);
    let compiled = Compiled::new(&parse(&cut.to_string()).unwrap(), 2_048).unwrap();
    let rendered = compiled.try_out(0, &params()).unwrap();
    assert_eq!(rendered.data["thing1"].chars().count(), 20);
}

/// Expressions of all that a template may use, and of much that it may not.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "params.t",
        "params.n",
        "params.s",
        "params.l",
        "params.o",
        "params.missing",
        "staff.id",
        "'x'",
        "'长文'",
        "7",
        "99999999",
        "1.5",
        "[1, 2]",
        "{'a': 'b'}",
        "true",
        "none",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 3, |inner| {
        let operators = vec!["*", "+", "~", "-", "/", "//", "%", "**", "==", "<", "in", "and", "or"];
        let filters = vec![
            "upper", "lower", "trim", "length", "first", "last", "int", "float", "round", "abs", "raw", "urlencode",
            "default('y' * 99999999)", "d(params.t)", "replace('x', params.t)", "join(params.t)", "tojson",
        ];
        let binary = (inner.clone(), prop::sample::select(operators), inner.clone());
        let filtered = (inner.clone(), prop::sample::select(filters));
        let choice = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            6 => binary.prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            3 => filtered.prop_map(|(of, filter)| format!("({of} | {filter})")),
            1 => choice.prop_map(|(yes, test, no)| format!("({yes} if {test} else {no})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("{a}[{b}:]")),
        ]
    })
}

fn templates() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => expressions().prop_map(|expression| format!("{{{{ {expression} }}}}")),
        1 => (expressions(), expressions()).prop_map(|(test, shown)| format!("{{% if {test} %}}{{{{ {shown} }}}}{{% endif %}}")),
        1 => Just("text ".to_owned()),
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_a_template_is_made_of_it_comes_out_short(source in templates()) {
        prop_assume!(source.len() <= SOURCE_MAX);
        for text in filled(&source).into_iter().flatten() {
            let length = text.map_or_else(|error| error.len(), |text| text.len());
            prop_assert!(length <= Room::FIELD.bytes, "{length} bytes of {source}");
        }
    }

    #[test]
    fn what_may_be_multiplied_is_a_number(left in expressions(), right in expressions()) {
        let source = format!("{{{{ {left} * {right} }}}}");
        // Most are refused, which is as good.
        if source.len() > SOURCE_MAX || routes(&source).is_err() {
            return Ok(());
        }
        // Folded or not, what comes out has the length of a number.
        for text in filled(&source).into_iter().flatten().flatten() {
            prop_assert!(text.len() < 400, "{} bytes of {source}", text.len());
        }
    }
}
