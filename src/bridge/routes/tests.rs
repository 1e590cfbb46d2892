//! Which routes are taken, what is said of the others, and that rendering never panics.

use minijinja::value::{Serde, Value};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bridge::limits::FIELD_TEXT_MAX;

fn from_serialize(value: serde_json::Value) -> Value {
    Value::from(Serde(value))
}

fn parsed(value: &serde_json::Value) -> Result<Vec<Route>, FieldError> {
    parse(&value.to_string())
}

fn route(fields: &serde_json::Value) -> serde_json::Value {
    json!([{"account": "wx0123456789abcdef", "template_id": "TPL", "fields": fields}])
}

fn field(value: &serde_json::Value) -> String {
    parsed(value).unwrap_err().field
}

fn render(source: &str, params: serde_json::Value) -> Result<String, FieldError> {
    let routes = parsed(&route(&json!({"thing1": source})))?;
    let staff = Recipient {
        id: Some("s1"),
        name: None,
    };
    let params = from_serialize(params);
    let mut rendered = Compiled::new(&routes, 2_048)?.render(0, &params, staff)?;
    Ok(rendered.data.remove("thing1").unwrap())
}

#[test]
fn a_whole_route_is_read_and_written_back() {
    let text = json!([{
        "account": "wx0123456789abcdef", "channel": "template", "template_id": "TPL",
        "fields": {"thing1": "{{ params.title }}"},
        "url": "https://example.com/{{ params.id }}",
        "mini_program": {"app_id": "wxfedcba9876543210", "path": "pages/order?id={{ params.id }}"},
    }]);
    let routes = parsed(&text).unwrap();
    assert_eq!(parse(&to_json(&routes).unwrap()).unwrap(), routes);
    let compiled = Compiled::new(&routes, 2_048).unwrap();
    assert!(!compiled.mentions_staff(0));
    let staff = Recipient {
        id: Some("s1"),
        name: None,
    };
    let params = from_serialize(json!({"title": "<已发货> & 7", "id": 7}));
    let rendered = compiled.render(0, &params, staff).unwrap();
    assert_eq!(rendered.data["thing1"], "<已发货> & 7");
    assert_eq!(rendered.url.as_deref(), Some("https://example.com/7"));
    assert_eq!(rendered.page.as_deref(), Some("pages/order?id=7"));
    assert_eq!(
        compiled.render(1, &params, staff).unwrap_err().field,
        "routes[1]"
    );
}

#[test]
fn the_field_that_cannot_be_taken_is_named() {
    let many: serde_json::Map<_, _> = (0..31).map(|n| (format!("k{n}"), json!("x"))).collect();
    let good = route(&json!({"thing1": "x"}))[0].clone();
    let with = |key: &str, value: serde_json::Value| {
        let mut route = good.clone();
        route[key] = value;
        json!([good, route])
    };
    for (value, expected) in [
        (json!([]), "routes"),
        (json!(vec![good.clone(); 9]), "routes"),
        (json!({}), "routes"),
        (with("colour", json!("red")), "routes"),
        (with("channel", json!("pigeon")), "routes"),
        (with("account", json!("")), "routes[1].account"),
        (with("account", json!("wx\u{0}")), "routes[1].account"),
        (
            with("template_id", json!("x".repeat(65))),
            "routes[1].template_id",
        ),
        (with("fields", json!({})), "routes[1].fields"),
        (with("fields", json!(many)), "routes[1].fields"),
        (with("fields", json!({"1x": "x"})), "routes[1].fields"),
        (with("fields", json!({"a.b": "x"})), "routes[1].fields"),
        (with("fields", json!({"a": ""})), "routes[1].fields.a"),
        (
            with("fields", json!({"a": "{{ params.x"})),
            "routes[1].fields.a",
        ),
        (
            with("fields", json!({"a": "{{ title }}"})),
            "routes[1].fields.a",
        ),
        (
            with("fields", json!({"a": "x".repeat(2_001)})),
            "routes[1].fields.a",
        ),
        (with("url", json!("javascript:alert(1)")), "routes[1].url"),
        (
            with("url", json!("https://example.com/a b")),
            "routes[1].url",
        ),
        (
            with("mini_program", json!({"app_id": ""})),
            "routes[1].mini_program.app_id",
        ),
        (
            with("mini_program", json!({"app_id": "wx1", "path": "{% if %}"})),
            "routes[1].mini_program.path",
        ),
    ] {
        assert_eq!(field(&value), expected, "{value}");
    }
}

#[test]
fn what_is_missing_is_an_error_that_quotes_the_template() {
    for params in [json!({}), json!({"title": null}), json!({"title": {}})] {
        let source = "{{ params.title.text if params.title is mapping else params.title }}";
        assert!(render(source, params).is_err());
    }
    let error = render("{{ params.title }}", json!({})).unwrap_err();
    assert_eq!(error.field, "routes[0].fields.thing1");
    assert!(error.problem.contains("needs `params.title`"), "{error}");
    assert_eq!(
        render("{{ params.x | default('-') }}", json!({})).unwrap(),
        "-"
    );
    let error = render("{{ staff.name }}", json!({})).unwrap_err();
    assert!(error.problem.contains("needs `staff.name`"), "{error}");
}

#[test]
fn a_filter_that_is_not_there_is_named_even_where_it_is_seldom_reached() {
    let source = "{% if params.rare %}{{ params.t | truncat(20) }}{% endif %}-";
    let error = render(source, json!({"rare": false})).unwrap_err();
    assert!(error.problem.contains("`truncat`"), "{error}");
    assert!(error.problem.contains("`upper`"), "{error}");
    for source in [
        "{{ '-' if params.t is odd else '+' }}",
        "{{ params.t.upper() }}",
        "{{ range(9) }}",
        "{{ (params.t)() }}",
    ] {
        let refused = parsed(&route(&json!({"thing1": source})));
        assert_eq!(refused.unwrap_err().field, "routes[0].fields.thing1");
    }
    for text in [
        "params.t | truncat",
        "{{ \"| truncat\" }}",
        "{# | truncat #}-",
        "{{ params.t | d('-') if params.t is not defined else '' }}",
    ] {
        render(text, json!({})).unwrap();
    }
}

#[test]
fn texts_that_wechat_would_not_show_are_refused() {
    for (text, word) in [
        ("", "empty"),
        ("  ", "empty"),
        ("a\nb", "line break"),
        ("a\u{2028}b", "line break"),
        ("a\u{0}b", "line break"),
    ] {
        let error = render("{{ params.t }}", json!({"t": text})).unwrap_err();
        assert!(error.problem.contains(word), "{error}");
    }
    let error = render("{{ params.t }}", json!({"t": "字".repeat(21)})).unwrap_err();
    let broken = Broken {
        rule: "thing",
        length: Some(21),
        limit: Some(20),
    };
    assert_eq!(error.broken, Some(broken));
}

#[test]
fn a_key_of_the_old_library_is_held_to_no_type() {
    let fill = |field: serde_json::Value, text: &str| {
        let routes = parsed(&route(&json!({"keyword1": field}))).unwrap();
        let compiled = Compiled::new(&routes, 2_048).unwrap();
        let params = from_serialize(json!({"t": text}));
        let rendered = compiled.try_out(0, &params);
        rendered.map(|mut rendered| rendered.data.remove("keyword1").unwrap())
    };
    let long = "字".repeat(FIELD_TEXT_MAX);
    assert_eq!(fill(json!("{{ params.t }}"), &long).unwrap(), long);
    let error = fill(json!("{{ params.t }}x"), &long).unwrap_err();
    assert!(error.problem.contains("501 characters"), "{error}");
    let cut = json!({"text": "{{ params.t }}x", "on_too_long": "truncate"});
    assert_eq!(fill(cut, &long).unwrap(), format!("{}…", "字".repeat(19)));
}

#[test]
fn both_shapes_of_a_field_are_written_as_they_were_read() {
    let fields = json!({
        "thing1": "{{ params.a }}", "thing2": {"text": "x", "on_too_long": "truncate"},
        "thing3": {"text": "x", "on_too_long": "reject"},
    });
    let text = to_json(&parsed(&route(&fields)).unwrap()).unwrap();
    let written: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written[0]["fields"], fields);
    for (wrong, word) in [
        (json!(7), "expected a template"),
        (
            json!({"text": "x", "on_too_long": "cut"}),
            "unknown variant `cut`",
        ),
        (
            json!({"text": "x", "color": "red"}),
            "unknown field `color`",
        ),
        (json!({}), "missing field `text`"),
    ] {
        let error = parsed(&route(&json!({"thing1": wrong}))).unwrap_err();
        assert!(error.problem.contains(word), "{error}");
    }
}

#[test]
fn a_url_is_checked_when_it_is_filled_in() {
    let mut route = route(&json!({"thing1": "x"}));
    route[0]["url"] = json!("{{ params.url }}");
    let compiled = Compiled::new(&parsed(&route).unwrap(), 2_048).unwrap();
    let staff = Recipient {
        id: Some("s1"),
        name: None,
    };
    let render = |url: &str| compiled.render(0, &from_serialize(json!({"url": url})), staff);
    assert!(render("https://example.com/?a=1&b=2").is_ok());
    for bad in [
        "ftp://example.com",
        "/orders",
        "https://",
        "https://a/\nb",
        "",
    ] {
        assert_eq!(render(bad).unwrap_err().field, "routes[0].url", "{bad:?}");
    }
}

#[test]
fn only_a_route_that_mentions_the_staff_member_is_rendered_for_each() {
    let mut routes = route(&json!({"thing1": "{{ staff.name | default(staff.id) }}"}));
    routes[0]["url"] = json!("https://example.com");
    let compiled = Compiled::new(&parsed(&routes).unwrap(), 2_048).unwrap();
    assert!(compiled.mentions_staff(0));
    let params = from_serialize(json!({}));
    for (name, expected) in [(Some("Li"), "Li"), (None, "s1")] {
        let staff = Recipient {
            id: Some("s1"),
            name,
        };
        let rendered = compiled.render(0, &params, staff).unwrap();
        assert_eq!(rendered.data["thing1"], expected);
    }
}

proptest! {
    #[test]
    fn rendering_never_panics(
        expression in "[a-z. |()\\[\\]{}%'\"0-9*~+-]{0,40}",
        text in ".{0,40}",
    ) {
        let source = format!("{{{{ params.t {expression} }}}}{{% {expression} %}}{text}");
        let _: Result<String, FieldError> = render(&source, json!({"t": text, "n": [1, {"a": 2}]}));
        let _: Result<String, FieldError> = render(&format!("{{{{ {expression} }}}}"), json!({"t": text}));
        let shown = render("{{ params.t }}", json!({"t": text}));
        if let Ok(shown) = shown {
            prop_assert_eq!(shown, text);
        }
    }
}

#[test]
fn a_template_cannot_make_much_out_of_little() {
    for statement in [
        "{% set a = 1 %}",
        "{%- for a in b %}",
        "{%include 'x'%}",
        "{% macro m() %}",
    ] {
        let error = check::check_source("f", statement).unwrap_err();
        assert!(error.to_string().contains("only `if`"), "{error}");
    }
    for fine in [
        "{% if a %}b{% elif c %}d{%- else -%}e{%endif%}",
        "100%",
        "{{ a }}",
    ] {
        check::check_source("f", fine).unwrap();
    }
}

/// What a route with this page, and with the same url behind a host, sends.
fn page(source: &str, params: serde_json::Value) -> Result<String, FieldError> {
    let mut routes = route(&json!({"thing1": "x"}));
    routes[0]["mini_program"] = json!({"app_id": "wx1", "path": source});
    let compiled = Compiled::new(&parsed(&routes)?, 2_048)?;
    let rendered = compiled.try_out(0, &from_serialize(params))?;
    Ok(rendered.page.unwrap_or_default())
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_filled_into_an_address_stays_one_value() {
    let params =
        json!({"t": "伞&role=admin#x", "n": 7, "u": "a b", "q": "x=1&y=2", "p": "pages/a?b=1"});
    let encoded = "%E4%BC%9E%26role%3Dadmin%23x";
    for (source, expected) in [
        (
            "pages/a?t={{ params.t }}&role=staff",
            format!("pages/a?t={encoded}&role=staff"),
        ),
        (
            "{{ 'pages/a?t=' ~ params.t }}",
            format!("pages/a?t={encoded}"),
        ),
        (
            "{{ 'pages/a?t=' ~ params.t ~ '&n=' ~ params.n }}",
            format!("pages/a?t={encoded}&n=7"),
        ),
        (
            "pages/a?t={{ params.t ~ params.u }}",
            format!("pages/a?t={encoded}a%20b"),
        ),
        (
            "pages/a?t={{ (params.t ~ 'x') | trim }}",
            format!("pages/a?t={encoded}x"),
        ),
        (
            "pages/a?{% if params.t %}t={{ params.t }}{% else %}n=1{% endif %}",
            format!("pages/a?t={encoded}"),
        ),
        (
            "pages/a?t={{ params.t if params.n else '' }}",
            format!("pages/a?t={encoded}"),
        ),
        (
            "pages/a?t={{ params.none | default('a&b') }}",
            "pages/a?t=a%26b".to_owned(),
        ),
        (
            "pages/a?t={{ params.u | upper }}",
            "pages/a?t=A%20B".to_owned(),
        ),
        (
            "pages/a?t={{ params.t | urlencode }}",
            format!("pages/a?t={encoded}"),
        ),
        (
            "pages/a?t={{ params.t | urlencode | urlencode }}",
            format!("pages/a?t={encoded}"),
        ),
        (
            "pages/a?t={{ params.t | urlencode ~ '&n=1' }}",
            format!("pages/a?t={encoded}&n=1"),
        ),
        (
            "pages/a?{{ params.q | raw }}&z=3",
            "pages/a?x=1&y=2&z=3".to_owned(),
        ),
        ("{{ params.p }}", "pages/a?b=1".to_owned()),
        (
            "{{ params.p }}&t={{ params.t }}",
            format!("pages/a?b=1&t={encoded}"),
        ),
        (
            "pages/{{ params.t }}/b?n={{ params.n }}",
            "pages/伞&role=admin%23x/b?n=7".to_owned(),
        ),
        // Joined inside an expression, a value never counts as the whole.
        (
            "{{ (params.u ~ params.p) | trim }}",
            "a%20bpages/a%3Fb=1".to_owned(),
        ),
    ] {
        assert_eq!(
            page(source, params.clone()).as_deref(),
            Ok(expected.as_str()),
            "{source}"
        );
    }
    // The limit is that of what is sent.
    let long = json!({"t": "伞".repeat(114)});
    let error = page("p?t={{ params.t }}", long).unwrap_err();
    assert!(error.problem.contains("1030 bytes"), "{error}");
    let short = json!({"t": "伞&"});
    assert_eq!(
        render("{{ params.t | urlencode }}", short).unwrap(),
        "%E4%BC%9E%26"
    );
}

#[test]
fn only_texts_and_numbers_are_written() {
    let params = json!({"yes": true, "list": ["a"], "object": {"a": "b"}, "n": 1.5, "null": null});
    for (source, name, kind) in [
        ("{{ params.yes }}", "`params.yes`", "true or false"),
        ("{{ params.list }}", "`params.list`", "a list"),
        ("{{ params.object }}", "`params.object`", "an object"),
        ("a{{ params.list ~ 'b' }}", "`params.list`", "a list"),
        (
            "{{ params.yes | upper }}",
            "`params.yes | upper`",
            "true or false",
        ),
        (
            "{{ params.object | default('x') }}",
            "`params.object | default('x')`",
            "an object",
        ),
    ] {
        let error = render(source, params.clone()).unwrap_err();
        assert!(
            error.problem.contains(name) && error.problem.contains(kind),
            "{source}: {error}"
        );
        let error = page(&format!("p?x={source}"), params.clone()).unwrap_err();
        assert!(
            error.problem.contains(name) && error.problem.contains(kind),
            "{source}: {error}"
        );
        assert_eq!(error.field, "routes[0].mini_program.path");
    }
    for (source, shown) in [
        ("{% if params.yes %}a{% endif %}", "a"),
        ("{{ 'a' if params.list else 'b' }}", "a"),
        ("{{ params.list | length }}", "1"),
        ("{{ params.list | first ~ params.n }}", "a1.5"),
        ("{{ params.object.a }}", "b"),
    ] {
        assert_eq!(
            render(source, params.clone()).as_deref(),
            Ok(shown),
            "{source}"
        );
    }
    let error = render("{{ params.null ~ 'x' }}", params).unwrap_err();
    assert!(error.problem.contains("missing or null"), "{error}");
}

proptest! {
    #[test]
    fn a_param_in_a_query_is_that_param_and_no_other(
        value in any::<String>(),
        template in prop::sample::select(vec![
            "pages/a?t={{ params.t }}&role=staff",
            "pages/a?t={{ '' ~ params.t }}&role=staff",
            "pages/a?{{ 't=' ~ params.t ~ '&role=staff' }}",
            "{{ 'pages/a?t=' ~ params.t ~ '&role=staff' }}",
            "pages/a?t={% if params.t %}{{ params.t }}{% endif %}&role=staff",
            "pages/a?t={{ params.x | default(params.t) }}&role=staff",
        ]),
    ) {
        prop_assume!(value.len() < 100);
        let page = page(template, json!({"t": value})).unwrap();
        let (path, query) = page.split_once('?').unwrap();
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        prop_assert_eq!(path, "pages/a");
        prop_assert_eq!(pairs, [("t".to_owned(), value), ("role".to_owned(), "staff".to_owned())]);
        prop_assert!(!page.contains('#'));
    }
}
