//! Answers that one person's part spoils, as people's names once did.

use super::faults::FaultKind;

/// Puts what the fault says into the part of this person; of the first one, if none is named.
pub(super) fn damage(body: Vec<u8>, kind: FaultKind, openid: Option<&str>) -> Vec<u8> {
    // An account migration names people by the openid that they had.
    let name = match find(&body, b"\"ori_openid\"", 0) {
        Some(_) => "ori_openid",
        None => "openid",
    };
    let key = match (kind, openid) {
        (FaultKind::BrokenUnionid, _) => "\"unionid\":\"".to_owned(),
        (_, Some(openid)) => format!("\"{name}\":\"{openid}\""),
        (_, None) => format!("\"{name}\":\""),
    };
    let start = match (kind, openid) {
        (FaultKind::BrokenUnionid, Some(openid)) => {
            find(&body, format!("\"openid\":\"{openid}\"").as_bytes(), 0)
        }
        _ => Some(0),
    };
    let Some(at) = start.and_then(|start| find(&body, key.as_bytes(), start)) else {
        return body;
    };
    let (before, rest) = body.split_at(at);
    let after = rest.get(key.len()..).unwrap_or_default();
    match kind {
        FaultKind::UnescapedQuote => [before, b"\"nickname\":\"a\"b\",", rest].concat(),
        FaultKind::BrokenUtf8 => [before, b"\"nickname\":\"a\xe7\xb3\",", rest].concat(),
        FaultKind::BrokenUnionid => [before, key.as_bytes(), b"\xe7\xb3", after].concat(),
        FaultKind::NoOpenid => [before, b"\"id\":\"\"", rest_of(after, openid)].concat(),
        _ => body,
    }
}

/// What stands behind the openid; where none was named, it goes up to the next quotation mark.
fn rest_of<'a>(after: &'a [u8], openid: Option<&str>) -> &'a [u8] {
    match openid {
        Some(_) => after,
        None => find(after, b"\"", 0)
            .and_then(|at| after.get(at + 1..))
            .unwrap_or_default(),
    }
}

fn find(body: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = body.get(from..)?;
    let at = rest.windows(what.len()).position(|window| window == what);
    Some(from + at?)
}
