//! What a document says of an answer, compared with the answer: the same members everywhere, of the
//! same types. Lists of objects have at least one,
//! in the first item of a list. `"…": "…"` stands for further members, and a null may stand where something else may.

use serde_json::Value;

const MORE: &str = "…";

/// Reads JSON as a document shows it.
pub(super) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// Panics unless the answer has the shape that is told.
pub(super) fn compare(told: &Value, answer: &Value, place: &str) {
    compare_at(told, answer, place, true);
}

fn compare_at(told: &Value, answer: &Value, place: &str, is_first: bool) {
    match (told, answer) {
        (Value::Object(members), Value::Object(found)) => {
            for (name, value) in members.iter().filter(|(name, _)| *name != MORE) {
                let got = found
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}.{name} is not in {answer}"));
                compare_at(value, got, &format!("{place}.{name}"), is_first);
            }
            if members.contains_key(MORE) {
                return;
            }
            for name in found.keys() {
                assert!(
                    members.contains_key(name),
                    "{place} does not tell of {name}: {answer}"
                );
            }
        }
        (Value::Array(items), Value::Array(found)) => {
            let lists_objects = items.iter().any(Value::is_object);
            assert!(
                !(lists_objects && is_first && found.is_empty()),
                "{place} is empty: {answer}"
            );
            let Some(last) = items.last() else { return };
            for (at, got) in found.iter().enumerate() {
                compare_at(
                    items.get(at).unwrap_or(last),
                    got,
                    &format!("{place}[{at}]"),
                    is_first && at == 0,
                );
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => {
            let same = std::mem::discriminant(told) == std::mem::discriminant(answer);
            assert!(same, "{place}: told {told}, is {answer}");
        }
    }
}

#[test]
fn shapes_are_compared() {
    let told = read(r#"{"id": 1, "items": [{"a": "…"}], "when": null}"#);
    compare(
        &told,
        &read(r#"{"id": 7, "items": [{"a": "x"}, {"a": null}], "when": "now"}"#),
        "",
    );
    for wrong in [
        r#"{"id": "7", "items": [{"a": "x"}], "when": null}"#,
        r#"{"id": 7, "items": [], "when": null}"#,
        r#"{"id": 7, "items": [{"a": "x", "b": 1}], "when": null}"#,
        r#"{"id": 7, "items": [{"a": "x"}]}"#,
    ] {
        let caught = std::panic::catch_unwind(|| compare(&told, &read(wrong), ""));
        assert!(caught.is_err(), "{wrong}");
    }
}
