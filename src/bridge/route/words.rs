//! The filters and tests that a template may use. There are only those that cannot make much out
//! of little: fuel counts instructions, not bytes, and a chain of `replace`, `join` or `tojson`
//! grows without end.

use minijinja::machinery::{Instruction, get_compiled_template};
use minijinja::{Environment, Template, filters, tests};

const FILTERS: [&str; 12] = [
    "default", "d", "upper", "lower", "trim", "length", "first", "last", "int", "float", "round",
    "abs",
];
const TESTS: [&str; 3] = ["defined", "undefined", "none"];

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("default", filters::default);
    environment.add_filter("d", filters::default);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("round", filters::round);
    environment.add_filter("abs", filters::abs);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
}

/// Looks at every filter, test and call of a template, also where a rendering seldom comes:
/// minijinja itself finds an unknown one only there.
pub(super) fn check<'env>(template: &Template<'env, 'env>) -> Result<(), String> {
    let instructions = &get_compiled_template(template).instructions;
    let mut all = (0..).map_while(|at| instructions.get(at));
    all.try_for_each(|instruction| match instruction {
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
