//! The filters and tests that a template may use. There are only those that cannot make much out
//! of little: fuel counts instructions, not bytes, and a chain of `replace`, `join` or `tojson`
//! grows without end.

use minijinja::machinery::{Instruction, get_compiled_template};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Template, filters, tests};

use super::link;
use super::numbers::{self, kind};
use crate::bridge::limits::{SOURCE_MAX, URL_MAX};

const FILTERS: [&str; 14] = [
    "default",
    "d",
    "upper",
    "lower",
    "trim",
    "length",
    "first",
    "last",
    "int",
    "float",
    "round",
    "abs",
    "raw",
    "urlencode",
];
const TESTS: [&str; 3] = ["defined", "undefined", "none"];

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("default", filters::default);
    environment.add_filter("d", filters::default);
    environment.add_filter("upper", |value: Value| {
        on_text(value, |text| text.to_uppercase())
    });
    environment.add_filter("lower", |value: Value| {
        on_text(value, |text| text.to_lowercase())
    });
    environment.add_filter("trim", |value: Value| {
        on_text(value, |text| text.trim().to_owned())
    });
    environment.add_filter("raw", raw);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("round", filters::round);
    environment.add_filter("abs", filters::abs);
    environment.add_filter(numbers::FILTER, numbers::as_number);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
}

/// Applies a filter to what can be written, and to nothing else: `true | upper` would be a text.
fn on_text(value: Value, filter: impl FnOnce(&str) -> String) -> Result<Value, Error> {
    match kind(&value) {
        ValueKind::String | ValueKind::Number => Ok(Value::from(filter(&value.to_string()))),
        ValueKind::Undefined | ValueKind::None => Err(ErrorKind::UndefinedError.into()),
        // The one that writes it refuses it by name.
        _ => Ok(value),
    }
}

/// What is filled in, to be left as it is in an address.
fn raw(value: Value) -> Result<Value, Error> {
    match kind(&value) {
        ValueKind::String | ValueKind::Number => Ok(Value::from_safe_string(value.to_string())),
        ValueKind::Undefined | ValueKind::None => Err(ErrorKind::UndefinedError.into()),
        _ => Ok(value),
    }
}

/// What is filled in as one value of a query; what is encoded already stays.
fn urlencode(value: Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value);
    }
    match kind(&value) {
        ValueKind::String | ValueKind::Number => {
            let text = value.to_string();
            // Encoding makes a text up to three times as long, and a chain of filters without end.
            if text.len() > URL_MAX.max(SOURCE_MAX) {
                let problem = "is too long for an address";
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
            Ok(Value::from_safe_string(link::encode_component(&text)))
        }
        ValueKind::Undefined | ValueKind::None => Err(ErrorKind::UndefinedError.into()),
        _ => Ok(value),
    }
}

/// What a value is that is neither a text nor a number, in words.
pub(super) fn no_text(value: &Value) -> Option<&'static str> {
    match kind(value) {
        ValueKind::String | ValueKind::Number | ValueKind::Undefined | ValueKind::None => None,
        ValueKind::Bool => Some("true or false"),
        ValueKind::Seq | ValueKind::Iterable => Some("a list"),
        ValueKind::Map => Some("an object"),
        _ => Some("no text"),
    }
}

/// Whether an expression of a template joins texts, so that what is filled in may be only a part of a value.
pub(super) fn joins_texts<'env>(template: &Template<'env, 'env>) -> bool {
    let instructions = &get_compiled_template(template).instructions;
    let mut all = (0..).map_while(|at| instructions.get(at));
    all.any(|instruction| matches!(instruction, Instruction::StringConcat | Instruction::Add))
}

/// Looks at every filter, test and call of a template, also where a rendering seldom comes:
/// minijinja itself finds an unknown one only there.
pub(super) fn check<'env>(template: &Template<'env, 'env>) -> Result<(), String> {
    let instructions = &get_compiled_template(template).instructions;
    let mut all = (0..).map_while(|at| instructions.get(at));
    all.try_for_each(|instruction| match instruction {
        // Ours, not the author's.
        Instruction::ApplyFilter(name, ..) if *name == numbers::FILTER => Ok(()),
        Instruction::ApplyFilter(name, ..) => known("filter", name, &FILTERS),
        Instruction::PerformTest(name, ..) => known("test", name, &TESTS),
        Instruction::CallFunction(name, _) | Instruction::CallMethod(name, _) => Err(format!(
            "calls `{name}`: a template calls nothing; use a filter, such as `| trim`"
        )),
        Instruction::CallObject(_) => Err("calls a value: a template calls nothing".to_owned()),
        _ => Ok(()),
    })
}

fn known(kind: &str, name: &str, all: &[&str]) -> Result<(), String> {
    if all.contains(&name) {
        return Ok(());
    }
    let all: Vec<String> = all.iter().map(|known| format!("`{known}`")).collect();
    let all = all.join(", ");
    Err(format!(
        "has the {kind} `{name}`, which there is not: there are {all}"
    ))
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_is_listed_is_there() {
        let mut environment = Environment::empty();
        add(&mut environment);
        for filter in FILTERS {
            let template = format!("{{{{ ['4'] | first | {filter} }}}}");
            let source = match filter {
                "int" | "float" | "round" | "abs" => format!("{{{{ 4 | {filter} }}}}"),
                _ => template,
            };
            environment.render_str(&source, ()).unwrap();
        }
        for test in TESTS {
            environment
                .render_str(&format!("{{{{ 4 is {test} }}}}"), ())
                .unwrap();
        }
    }
}
