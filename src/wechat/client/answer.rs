//! Bytes of an answer → a typed success or WeChat's error, whatever the content type says.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::lenient;
use crate::wechat::error::{ApiError, CallError};

/// The part that any answer may have. Many successes have no errcode; it is seen as a number and as a string.
#[derive(Deserialize)]
struct ErrorFields {
    #[serde(default)]
    errcode: Value,
    #[serde(default, deserialize_with = "lenient::text")]
    errmsg: Option<String>,
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    let fields: ErrorFields = parse(body)?;
    let errcode = match fields.errcode {
        Value::Null => 0,
        ref code => lenient::as_i64(code)
            .ok_or_else(|| CallError::malformed("errcode is not a whole number"))?,
    };
    if errcode != 0 {
        let errmsg = fields.errmsg.unwrap_or_default();
        return Err(ApiError::new(errcode, &errmsg).into());
    }
    parse(body)
}

/// Parses a JSON object; one with invalid UTF-8 or raw control characters is repaired first, as WeChat sends those.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    // A struct can also be read from an array, which WeChat never means.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(CallError::malformed("the body is not a JSON object"));
    }
    serde_json::from_slice(body)
        .or_else(|_| serde_json::from_str(&repair(body)))
        .map_err(|error| CallError::malformed(reason(&error)))
}

fn repair(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace(|c: char| c.is_ascii_control(), " ")
}

/// What is wrong, without serde's quotations from the body.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.classify() == Category::Data && text.starts_with("missing field") {
        return text;
    }
    let what = match error.classify() {
        Category::Data => "a field is not of the documented type",
        Category::Io | Category::Syntax | Category::Eof => "the body is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Answer {
        name: String,
    }

    fn api(body: &str) -> ApiError {
        match read::<Answer>(body.as_bytes()) {
            Err(CallError::Api(error)) => error,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn malformed(body: &[u8]) -> String {
        match read::<Answer>(body) {
            Err(CallError::Malformed { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn success_is_errcode_0_missing_or_null() {
        for body in [
            r#"{"name":"x"}"#,
            r#"{"errcode":0,"errmsg":"ok","name":"x"}"#,
            r#"{"errcode":"0","name":"x"}"#,
            r#"{"name":"x","errcode":null,"errmsg":null}"#,
            "\u{feff}\r\n {\"name\":\"x\"}",
        ] {
            let answer = read::<Answer>(body.as_bytes());
            assert_eq!(answer.unwrap().name, "x", "{body}");
        }
    }

    #[test]
    fn an_errcode_may_be_a_string_and_its_text_anything() {
        assert_eq!(
            api(r#"{"errmsg":"system error","errcode":"-1"}"#).errcode,
            -1
        );
        assert_eq!(
            api(r#"{"errcode":40001,"errmsg":7,"extra":[1]}"#).errmsg,
            ""
        );
        assert_eq!(api(r#"{"errcode":268487001}"#).errcode, 268_487_001);
    }

    #[test]
    fn invalid_utf8_and_raw_control_characters_are_tolerated() {
        let answer: Answer = read(b"{\"name\":\"a\x01b\xffc\n\"}").unwrap();
        assert_eq!(answer.name, "a b\u{fffd}c ");
        let error = read::<Answer>(b"{\"errcode\":-1,\"errmsg\":\"\xe7\xb3\x01\"}").unwrap_err();
        assert_eq!(error.errcode(), Some(-1));
    }

    #[test]
    fn what_cannot_be_read_is_named_without_quoting_it() {
        assert_eq!(malformed(b""), "the body is not a JSON object");
        assert_eq!(malformed(b"[]"), "the body is not a JSON object");
        assert_eq!(malformed(b"\"success\""), "the body is not a JSON object");
        assert!(malformed(b"<html>").contains("not a JSON object"));
        assert!(malformed(b"{\"name\":").contains("not JSON"));
        assert!(malformed(b"{}").starts_with("missing field `name`"));
        assert_eq!(
            malformed(br#"{"errcode":"E1"}"#),
            "errcode is not a whole number"
        );
        let reason = malformed(br#"{"name":{"session_key":"hush"}}"#);
        assert!(
            reason.contains("type") && !reason.contains("hush"),
            "{reason}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(body: Vec<u8>) {
            let _: Result<Answer, CallError> = read(&body);
        }

        #[test]
        fn any_broken_object_is_an_answer_or_an_error(
            head in r#"\{"(errcode|errmsg|name)":"?[^"]{0,8}"#,
            tail: Vec<u8>,
        ) {
            let body = [head.as_bytes(), &tail].concat();
            let _: Result<Answer, CallError> = read(&body);
        }

        #[test]
        fn any_errcode_but_0_is_an_api_error(errcode: i64, errmsg: String) {
            prop_assume!(errcode != 0);
            let body = serde_json::json!({"errcode": errcode, "errmsg": errmsg}).to_string();
            prop_assert_eq!(api(&body), ApiError::new(errcode, &errmsg));
        }
    }
}
