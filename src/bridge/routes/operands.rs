//! `{{ a ~ b }}` as `{{ a }}{{ b }}`, so that each operand is looked at by itself, and a text that the message type's
//! author wrote between them is the template's own.

use std::ops::Range;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Names that mean something in an expression.
const WORDS: [&str; 7] = ["if", "else", "and", "or", "not", "in", "is"];

/// The template with the operands of every simple `~` apart: an expression in which nothing but `~` joins its operands.
/// Anything else, and what is no template, stays as it is.
pub(super) fn apart(source: &str) -> String {
    let mut replaced = String::with_capacity(source.len());
    let mut done = 0;
    let mut expression: Option<Vec<(Token<'_>, Range<usize>)>> = None;
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let Ok((token, span)) = token else {
            return source.to_owned();
        };
        let range = span.start_offset as usize..span.end_offset as usize;
        match token {
            Token::VariableStart => expression = Some(Vec::new()),
            Token::VariableEnd => {
                let tokens = expression.take().unwrap_or_default();
                let Some((whole, operands)) = operands(source, &tokens) else {
                    continue;
                };
                replaced.push_str(source.get(done..whole.start).unwrap_or_default());
                replaced.push_str(&operands);
                done = whole.end;
            }
            token => {
                if let Some(tokens) = &mut expression {
                    tokens.push((token, range));
                }
            }
        }
    }
    replaced.push_str(source.get(done..).unwrap_or_default());
    replaced
}

/// Where the expression stands, and its operands as expressions of their own; none if it has only one, or if something
/// binds more loosely than `~`.
fn operands(source: &str, tokens: &[(Token<'_>, Range<usize>)]) -> Option<(Range<usize>, String)> {
    let mut depth = 0_usize;
    let mut joints = Vec::new();
    for (at, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                depth = depth.checked_sub(1)?;
            }
            _ if depth > 0 => {}
            Token::Tilde => joints.push(at),
            Token::Ident(word) if !WORDS.contains(word) => {}
            Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::Dot
            | Token::Pipe => {}
            _ => return None,
        }
    }
    if joints.is_empty() {
        return None;
    }
    let whole = tokens.first()?.1.start..tokens.last()?.1.end;
    let mut text = String::new();
    let mut start = 0;
    for end in joints.into_iter().chain([tokens.len()]) {
        let operand = tokens.get(start..end)?;
        start = end + 1;
        if !text.is_empty() {
            text.push_str(" }}");
            text.push_str("{{ ");
        }
        text.push_str(&one(source, operand)?);
    }
    Some((whole, text))
}

/// One operand: a text in quotation marks as a text outside of expressions, between two that write nothing.
fn one(source: &str, tokens: &[(Token<'_>, Range<usize>)]) -> Option<String> {
    let literal = match tokens {
        [(Token::Str(text), _)] => Some(*text),
        [(Token::String(text), _)] => Some(&**text),
        _ => None,
    };
    match literal {
        Some(text) if !text.contains(['{', '}', '\n', '\r']) => {
            Some(format!("'' }}}}{text}{{{{ ''"))
        }
        _ => {
            let (first, last) = (tokens.first()?, tokens.last()?);
            source.get(first.1.start..last.1.end).map(str::to_owned)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_taken_apart_where_only_a_tilde_joins_them() {
        for (source, expected) in [
            ("a {{ b ~ c.d }} e", "a {{ b }}{{ c.d }} e"),
            ("{{- b ~ c | upper -}}", "{{- b }}{{ c | upper -}}"),
            ("{{ 'p?x=' ~ b }}", "{{ '' }}p?x={{ '' }}{{ b }}"),
            ("{{ (b ~ c) ~ d[e ~ f] }}", "{{ (b ~ c) }}{{ d[e ~ f] }}"),
            ("{{ b ~ 1 ~ \"{{\" }}", "{{ b }}{{ 1 }}{{ \"{{\" }}"),
        ] {
            assert_eq!(apart(source), expected);
        }
        for same in [
            "",
            "a ~ b",
            "{{ a }}",
            "{{ a ~ b if c else d }}",
            "{{ a ~ b == c }}",
            "{{ a ~ b + c }}",
            "{{ a ~ b is defined }}",
            "{% if a ~ b %}c{% endif %}",
            "{{ a ~",
            "{# {{ a ~ b }} #}",
            "{{ ' ~ ' }}",
        ] {
            assert_eq!(apart(same), same);
        }
    }
}
