//! What keeps a template from making much out of little, where minijinja's fuel does not see it: fuel counts
//! instructions, not bytes, and constants are folded before the first of them.

use std::io;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;

use crate::bridge::limits::JOINS_MAX;

/// Filters of which a number comes out, whatever goes in.
pub(super) const NUMBERS: [&str; 5] = ["int", "float", "round", "abs", "length"];

/// Looks at the syntax tree, before anything is folded. What is no template is left to the compiler.
pub(super) fn check(source: &str) -> Result<(), String> {
    match parse(source, "", SyntaxConfig::default()) {
        Ok(template) => statement(source, &template),
        Err(_) => Ok(()),
    }
}

fn statement(source: &str, stmt: &Stmt<'_>) -> Result<(), String> {
    let all = |stmts: &[Stmt<'_>]| stmts.iter().try_for_each(|stmt| statement(source, stmt));
    match stmt {
        Stmt::Template(template) => all(&template.children),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(emit) => whole(source, &emit.expr),
        Stmt::IfCond(cond) => {
            whole(source, &cond.expr)?;
            all(&cond.true_body)?;
            all(&cond.false_body)
        }
        _ => Err("has a statement that is not allowed: there are `if`, `elif` and `else`".into()),
    }
}

fn whole(source: &str, expr: &Expr<'_>) -> Result<(), String> {
    let mut joins = 0;
    expression(source, expr, &mut joins)?;
    match joins {
        joins if joins > JOINS_MAX => Err(format!(
            "joins {joins} values inside one expression: at most {JOINS_MAX}; write each in \
             braces of its own"
        )),
        _ => Ok(()),
    }
}

fn expression(source: &str, expr: &Expr<'_>, joins: &mut usize) -> Result<(), String> {
    if let Expr::BinOp(operation) = expr {
        match operation.op {
            BinOpKind::Mul => {
                only_numbers(source, &operation.left)?;
                only_numbers(source, &operation.right)?;
            }
            BinOpKind::Add | BinOpKind::Concat if !is_number(expr) => *joins += 1,
            _ => {}
        }
    }
    parts(expr)
        .into_iter()
        .try_for_each(|part| expression(source, part, joins))
}

/// `*` with a text or a list makes it as many times as long.
fn only_numbers(source: &str, operand: &Expr<'_>) -> Result<(), String> {
    if is_number(operand) {
        return Ok(());
    }
    let span = operand.span();
    let place = source.get(span.start_offset as usize..span.end_offset as usize);
    let place = place.unwrap_or("a value").trim();
    Err(match operand {
        Expr::Const(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => format!(
            "multiplies `{place}`, which is no number: write it out as often as it shall stand there"
        ),
        _ => format!(
            "multiplies `{place}`, which may be a text, and come out many times as long: write \
             `{place} | float` (or `| int`) if it is a number"
        ),
    })
}

/// Whether nothing but a number can come out.
fn is_number(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(constant) => constant.value.is_number(),
        Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Neg) && is_number(&unary.expr),
        Expr::Filter(filter) => NUMBERS.contains(&filter.name),
        Expr::IfExpr(choice) => {
            let otherwise = choice.false_expr.as_ref();
            is_number(&choice.true_expr) && otherwise.is_some_and(is_number)
        }
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::Add => is_number(&operation.left) && is_number(&operation.right),
            // Of anything but numbers these are errors; `*` is looked at by itself.
            BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow => true,
            _ => false,
        },
        _ => false,
    }
}

/// The expressions inside of one.
pub(super) fn parts<'t, 'a>(expr: &'t Expr<'a>) -> Vec<&'t Expr<'a>> {
    let of_arguments = |first: Option<&'t Expr<'a>>, arguments: &'t [CallArg<'a>]| {
        let arguments = arguments.iter().map(|argument| match argument {
            CallArg::Pos(expr)
            | CallArg::Kwarg(_, expr)
            | CallArg::PosSplat(expr)
            | CallArg::KwargSplat(expr) => expr,
        });
        first.into_iter().chain(arguments).collect()
    };
    match expr {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(slice) => [&slice.start, &slice.stop, &slice.step]
            .into_iter()
            .flatten()
            .chain([&slice.expr])
            .collect(),
        Expr::UnaryOp(unary) => vec![&unary.expr],
        Expr::BinOp(operation) => vec![&operation.left, &operation.right],
        Expr::Compare(compare) => {
            let others = compare.ops.iter().map(|other| &other.expr);
            others.chain([&compare.expr]).collect()
        }
        Expr::IfExpr(choice) => {
            let both = [&choice.test_expr, &choice.true_expr];
            both.into_iter().chain(&choice.false_expr).collect()
        }
        Expr::Filter(filter) => of_arguments(filter.expr.as_ref(), &filter.args),
        Expr::Test(test) => of_arguments(Some(&test.expr), &test.args),
        Expr::Call(call) => of_arguments(Some(&call.expr), &call.args),
        Expr::GetAttr(attribute) => vec![&attribute.expr],
        Expr::GetItem(item) => vec![&item.expr, &item.subscript_expr],
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
    }
}

/// Takes so many bytes and refuses the rest.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    most: usize,
    is_full: bool,
}

impl Writer {
    pub(super) fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            most,
            is_full: false,
        }
    }

    /// What was written; with whether there was more.
    pub(super) fn into_text(mut self) -> (String, bool) {
        // Where it stopped may be inside of a character.
        if let Err(error) = std::str::from_utf8(&self.bytes) {
            self.bytes.truncate(error.valid_up_to());
        }
        let text = String::from_utf8(self.bytes).unwrap_or_default();
        (text, self.is_full)
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.most.saturating_sub(self.bytes.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.bytes.extend_from_slice(taken);
        if taken.len() < bytes.len() {
            self.is_full = true;
            return Err(io::Error::other("the text is too long"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
