//! Tokens and tickets in pushes: taken out before an event is stored. Whoever may read events, or
//! is told of them, could use them otherwise: the token binds, and the ticket is the picture of the
//! code that carries it.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use crate::models::staff::invitation_token::{self, MARK, SHOWN_MARK, is_of_token};

/// The name of the field with the ticket of a QR code.
const TICKET: &str = "Ticket";

/// What tokens begin with, each with its search prepared: it looks into every push.
static MARKS: LazyLock<[(&str, Finder<'_>); 2]> =
    LazyLock::new(|| [SHOWN_MARK, MARK].map(|mark| (mark, Finder::new(mark))));

/// The body with a hash in the place of each token, wherever it stands: in the scene of a QR code,
/// in the path of a page, in what somebody typed. A scan loses its ticket, too. A body without
/// them, nearly each, stays the same bytes.
pub(in crate::bridge) fn hide(mut body: Vec<u8>, is_scan: bool) -> Vec<u8> {
    for (mark, finder) in &*MARKS {
        if finder.find(&body).is_some() {
            body = without_tokens(&body, mark);
        }
    }
    match is_scan {
        true => without_tickets(body),
        false => body,
    }
}

/// The same for a parser's complaint, which can quote the body.
pub(in crate::bridge) fn hide_in_text(text: &str) -> String {
    String::from_utf8_lossy(&hide(text.as_bytes().to_vec(), false)).into_owned()
}

/// What looks like the hash of a token already is hashed again: none comes from outside.
fn without_tokens(body: &[u8], mark: &str) -> Vec<u8> {
    let mut hidden = Vec::with_capacity(body.len() + 64);
    let mut at = 0;
    while let Some(start) = find(body, mark.as_bytes(), at) {
        let tail = body.get(start + mark.len()..).unwrap_or_default();
        // Whatever follows: another token, or a letter that somebody typed behind it.
        let random = tail.iter().take(invitation_token::RANDOM_CHARS);
        let random = random.take_while(|byte| is_of_token(**byte)).count();
        let end = start + mark.len() + random;
        let text = body.get(start..end).unwrap_or_default();
        hidden.extend_from_slice(body.get(at..start).unwrap_or_default());
        match std::str::from_utf8(text)
            .ok()
            .and_then(invitation_token::shown_for)
        {
            Some(shown) => hidden.extend_from_slice(shown.as_bytes()),
            None => hidden.extend_from_slice(text),
        }
        at = end;
    }
    hidden.extend_from_slice(body.get(at..).unwrap_or_default());
    hidden
}

fn without_tickets(body: Vec<u8>) -> Vec<u8> {
    let mut kept = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(start) = ticket(&body, at) {
        at = start + TICKET.len();
        if let Some(value) = value_of(&body, start) {
            kept.extend_from_slice(body.get(copied..value.start).unwrap_or_default());
            (copied, at) = (value.end, value.end);
        }
    }
    if copied == 0 {
        return body;
    }
    kept.extend_from_slice(body.get(copied..).unwrap_or_default());
    kept
}

/// The next place of the field's name, in any case: it is read so.
fn ticket(body: &[u8], from: usize) -> Option<usize> {
    let mut places = memchr::memchr2_iter(b'T', b't', body.get(from..)?).map(|at| from + at);
    places.find(|&at| {
        let name = body.get(at..at + TICKET.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(TICKET.as_bytes()))
    })
}

/// Where the text of the field stands whose name begins at `name`, in XML or JSON; blanks around the name are
/// none of it.
fn value_of(body: &[u8], name: usize) -> Option<Range<usize>> {
    let blanks = |text: &[u8]| {
        let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace());
        blanks.count()
    };
    let head = body.get(..name)?;
    let rest = name + TICKET.len();
    let after = rest + blanks(body.get(rest..)?);
    match (head.trim_ascii_end().last()?, body.get(after)?) {
        (b'<', mark) if *mark == b'>' || after > rest => {
            let start = find(body, b">", after)? + 1;
            let close = find(body, b"</", start).unwrap_or(body.len());
            Some(start..close)
        }
        (b'"', b'"') => {
            let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
            let gap = body
                .get(after + 1..)?
                .iter()
                .take_while(|byte| is_gap(byte));
            let quote = after + 1 + gap.count();
            if *body.get(quote)? != b'"' {
                return None;
            }
            let start = quote + 1;
            let mut escaped = false;
            let text = body.get(start..)?.iter().take_while(|byte| {
                let ends = **byte == b'"' && !escaped;
                escaped = **byte == b'\\' && !escaped;
                !ends
            });
            Some(start..start + text.count())
        }
        _ => None,
    }
}

/// The first place of a text from `from` on.
fn find(body: &[u8], text: &[u8], from: usize) -> Option<usize> {
    memmem::find(body.get(from..)?, text).map(|place| from + place)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn hidden(body: &str) -> String {
        String::from_utf8(hide(body.as_bytes().to_vec(), true)).unwrap()
    }

    #[test]
    fn many_tickets_are_taken_out_in_one_pass() {
        let count = 95_000;
        let started = std::time::Instant::now();
        assert!(hidden(&"<Ticket>x</".repeat(count)) == "<Ticket></".repeat(count));
        // In one pass for each of them it takes a minute.
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
    }

    #[test]
    fn a_token_becomes_its_hash_wherever_it_stands_and_the_ticket_goes() {
        let (secret, hash) = invitation_token::draw();
        let token = secret.expose_secret();
        let shown = invitation_token::shown_for(token).unwrap();
        for (body, expected) in [
            (
                format!(
                    "<xml><EventKey><![CDATA[qrscene_{token}]]></EventKey><Ticket><![CDATA[gQ/8==]]></Ticket></xml>"
                ),
                format!(
                    "<xml><EventKey><![CDATA[qrscene_{shown}]]></EventKey><Ticket></Ticket></xml>"
                ),
            ),
            (
                format!(r#"{{"EventKey":"{token}","Ticket" : "gQ\/\"8==","a":"{token}"}}"#),
                format!(r#"{{"EventKey":"{shown}","Ticket" : "","a":"{shown}"}}"#),
            ),
            (
                format!("pages/a?t={token}&u=1"),
                format!("pages/a?t={shown}&u=1"),
            ),
            (format!("{token}{token}"), format!("{shown}{shown}")),
            (format!("{token}_x {token}a"), format!("{shown}_x {shown}a")),
            (
                format!("broken <Ticket>gQ {token}"),
                "broken <Ticket>".to_owned(),
            ),
            // As the parser reads a name: in any case, with blanks and attributes.
            (
                "<ticket>gQ</ticket><Ticket >gQ2</Ticket ><TICKET a=\"b\">gQ3</TICKET>".to_owned(),
                "<ticket></ticket><Ticket ></Ticket ><TICKET a=\"b\"></TICKET>".to_owned(),
            ),
            (
                r#"{" ticket ":"gQ","tickets":"kept"}"#.to_owned(),
                r#"{" ticket ":"","tickets":"kept"}"#.to_owned(),
            ),
        ] {
            assert_eq!(hidden(&body), expected);
        }
        assert_eq!(invitation_token::presented(&shown), Some(hash));
        assert_eq!(invitation_token::presented(token), Some(hash));
    }

    #[test]
    fn a_hash_from_outside_is_not_believed() {
        let (secret, hash) = invitation_token::draw();
        let shown = invitation_token::shown_for(secret.expose_secret()).unwrap();
        let scene = hidden(&shown);
        assert_ne!(scene, shown);
        assert_ne!(invitation_token::presented(&scene), Some(hash));
    }

    #[test]
    fn anything_else_stays_as_it_is() {
        for body in [
            "",
            "qqi_",
            "qqi_short",
            "qrscene_shop_12",
            "invitation:",
            "invitation:7",
            "Ticket",
            "<Ticket>",
            r#"{"Ticket":7}"#,
            "a Ticket to ride",
            "\"Ticket\"",
            "qqqi_",
        ] {
            assert_eq!(hidden(body), body);
        }
        let text = "<Ticket>of a user</Ticket>";
        assert_eq!(hide(text.into(), false), text.as_bytes());
        assert_eq!(hide(vec![0xff, b'q'], true), [0xff, b'q']);
    }
}
