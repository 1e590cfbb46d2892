//! Numbers in templates: shown as they were written, and calculated with as numbers.
//!
//! Where minijinja's own numbers are shown just as the number was written, they are used. Else the value is an
//! object that is shown so. It can be passed on, chosen, joined and encoded as it is; where a template calculates
//! or compares, its operands are made minijinja's numbers by a filter that is put behind them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::machinery::ast::{BinOpKind, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{DynObject, Object, ObjectRepr, Value, ValueKind};

use super::bounded::{NUMBERS, parts};

/// The filter that is put behind operands.
pub(super) const FILTER: &str = "as_number";
const BEHIND: &str = "|as_number)";

/// A number that minijinja would show otherwise than it was written.
#[derive(Debug)]
struct Written {
    text: Box<str>,
    number: f64,
}

impl Object for Written {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.number != 0.0
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        self.number
            .partial_cmp(&other.downcast_ref::<Self>()?.number)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A number of JSON.
pub(super) fn value(written: &str) -> Value {
    let is_whole = !written.contains(['.', 'e', 'E']);
    let double = || written.parse::<f64>().unwrap_or_default();
    let number = match is_whole {
        true => match (written.parse::<i64>(), written.parse::<i128>()) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => written
                .parse::<u128>()
                .map_or_else(|_| Value::from(double()), Value::from),
        },
        false => Value::from(double()),
    };
    match number.to_string() == written {
        true => number,
        false => Value::from_object(Written {
            text: written.into(),
            number: double(),
        }),
    }
}

/// The kind of a value, whatever its number is made of.
pub(super) fn kind(value: &Value) -> ValueKind {
    match value.downcast_object_ref::<Written>() {
        Some(_) => ValueKind::Number,
        None => value.kind(),
    }
}

/// The filter: a number to calculate with, also inside of a list. Anything else stays.
pub(super) fn as_number(value: Value) -> Value {
    if let Some(written) = value.downcast_object_ref::<Written>() {
        return Value::from(written.number);
    }
    if value.kind() != ValueKind::Seq {
        return value;
    }
    match value.try_iter() {
        Ok(entries) => entries.map(as_number).collect(),
        Err(_) => value,
    }
}

/// The template with the filter behind whatever it calculates with or compares. What is no template stays.
pub(super) fn calculable(source: &str) -> String {
    let Ok(template) = parse(source, "", SyntaxConfig::default()) else {
        return source.to_owned();
    };
    let mut marks = Vec::new();
    statement(&template, &mut marks);
    marks.sort_by_key(|(at, _)| *at);
    let mut marked = String::with_capacity(source.len());
    let mut done = 0;
    for (at, mark) in marks {
        marked.push_str(source.get(done..at).unwrap_or_default());
        marked.push_str(mark);
        done = at;
    }
    marked.push_str(source.get(done..).unwrap_or_default());
    marked
}

/// A piece of such a template as its author wrote it.
pub(super) fn without_filter(marked: &str) -> String {
    let mut text = marked.to_owned();
    while let Some(end) = text.find(BEHIND) {
        let before = text.get(..end).unwrap_or_default();
        let mut depth = 0_usize;
        let opening = before.char_indices().rev().find(|(_, c)| {
            match c {
                ')' => depth += 1,
                '(' if depth == 0 => return true,
                '(' => depth -= 1,
                _ => {}
            }
            false
        });
        let opening = opening.map(|(at, _)| at);
        text.replace_range(end..end + BEHIND.len(), "");
        if let Some(at) = opening {
            text.remove(at);
        }
    }
    text
}

/// Where to put what.
type Marks = Vec<(usize, &'static str)>;

fn statement(stmt: &Stmt<'_>, marks: &mut Marks) {
    match stmt {
        Stmt::Template(template) => {
            template
                .children
                .iter()
                .for_each(|stmt| statement(stmt, marks));
        }
        Stmt::EmitExpr(emit) => expression(&emit.expr, marks),
        Stmt::IfCond(cond) => {
            expression(&cond.expr, marks);
            let bodies = cond.true_body.iter().chain(&cond.false_body);
            bodies.for_each(|stmt| statement(stmt, marks));
        }
        _ => {}
    }
}

fn expression(expr: &Expr<'_>, marks: &mut Marks) {
    match expr {
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::ScAnd | BinOpKind::ScOr | BinOpKind::Concat => {}
            _ => {
                operand(&operation.left, marks);
                operand(&operation.right, marks);
            }
        },
        Expr::Compare(compare) => {
            operand(&compare.expr, marks);
            compare
                .ops
                .iter()
                .for_each(|other| operand(&other.expr, marks));
        }
        Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Neg) => operand(&unary.expr, marks),
        Expr::Filter(filter) if NUMBERS.contains(&filter.name) && filter.name != "length" => {
            parts(expr)
                .into_iter()
                .for_each(|part| operand(part, marks));
        }
        _ => {}
    }
    parts(expr)
        .into_iter()
        .for_each(|part| expression(part, marks));
}

/// Marks what may be a number of the params.
fn operand(expr: &Expr<'_>, marks: &mut Marks) {
    match expr {
        Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Slice(_) | Expr::Filter(_) => {
            marks.push((start(expr), "("));
            marks.push((expr.span().end_offset as usize, BEHIND));
        }
        Expr::IfExpr(choice) => {
            operand(&choice.true_expr, marks);
            choice
                .false_expr
                .iter()
                .for_each(|otherwise| operand(otherwise, marks));
        }
        Expr::BinOp(operation) if matches!(operation.op, BinOpKind::ScAnd | BinOpKind::ScOr) => {
            operand(&operation.left, marks);
            operand(&operation.right, marks);
        }
        Expr::List(list) => list.items.iter().for_each(|item| operand(item, marks)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| operand(item, marks)),
        _ => {}
    }
}

/// Where an expression begins: the span of one that is looked up in another, or filtered, begins behind that.
fn start(expr: &Expr<'_>) -> usize {
    let inner = match expr {
        Expr::GetAttr(attribute) => Some(&attribute.expr),
        Expr::GetItem(item) => Some(&item.expr),
        Expr::Slice(slice) => Some(&slice.expr),
        Expr::Filter(filter) => filter.expr.as_ref(),
        Expr::BinOp(operation) => Some(&operation.left),
        Expr::IfExpr(choice) => Some(&choice.true_expr),
        Expr::Compare(compare) => Some(&compare.expr),
        _ => None,
    };
    let Span { start_offset, .. } = expr.span();
    inner.map_or(start_offset as usize, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_made_numbers_and_nothing_else() {
        for (source, expected) in [
            ("{{ params.a }}", "{{ params.a }}"),
            (
                "{{ params.a ~ params.b | default('-') }}",
                "{{ params.a ~ params.b | default('-') }}",
            ),
            (
                "{{ params.a if params.b else 1 }}",
                "{{ params.a if params.b else 1 }}",
            ),
            ("{{ params.a.b + 1 }}", "{{ (params.a.b|as_number) + 1 }}"),
            ("{{ -params.a.b }}", "{{ -(params.a.b|as_number) }}"),
            (
                "{{ params['a'] | float * 2 }}",
                "{{ ((params['a']|as_number) | float|as_number) * 2 }}",
            ),
            (
                "{% if params.a > 100 %}x{% endif %}",
                "{% if (params.a|as_number) > 100 %}x{% endif %}",
            ),
            (
                "{% if 1 < params.a <= params.b %}x{% endif %}",
                "{% if 1 < (params.a|as_number) <= (params.b|as_number) %}x{% endif %}",
            ),
            (
                "{{ 'x' if params.a not in [1, params.b] else 'y' }}",
                "{{ 'x' if (params.a|as_number) not in [1, (params.b|as_number)] else 'y' }}",
            ),
            (
                "{{ (params.a or params.b) - 1 }}",
                "{{ ((params.a|as_number) or (params.b|as_number)) - 1 }}",
            ),
            (
                "{{ params.a | round(params.n) }}",
                "{{ (params.a|as_number) | round((params.n|as_number)) }}",
            ),
            (
                "{{ params.l[params.i + 1] }}",
                "{{ params.l[(params.i|as_number) + 1] }}",
            ),
            ("{{ params.a +", "{{ params.a +"),
        ] {
            let marked = calculable(source);
            assert_eq!(marked, expected);
            assert_eq!(without_filter(&marked), source);
            if source.ends_with("}") {
                parse(&marked, "", SyntaxConfig::default())
                    .map(drop)
                    .unwrap();
            }
        }
    }
}
