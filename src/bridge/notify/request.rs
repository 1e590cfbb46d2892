//! A request to notify, checked before anything is asked of the database.

use chrono::NaiveDateTime;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::recipients::Recipients;
use super::times::Times;
use crate::bridge::limits::{
    FieldError, IDEMPOTENCY_KEY_MAX, MESSAGE_TYPE_NAME_MAX, PARAMS_MAX, check_text,
};
use crate::bridge::people::consent::Answered;
use crate::bridge::routes::{Manner, Params};
use crate::models::notification::Priority;

/// What one of the people answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Brought {
    /// Which of the people, from 0.
    pub at: usize,
    /// The answer.
    #[serde(flatten)]
    pub answered: Answered,
}

/// What an app asks for.
#[derive(Clone, Debug)]
pub struct NotifyRequest {
    /// The name of the message type.
    pub message_type: String,
    /// Whom to notify.
    pub recipients: Recipients,
    /// What some of the people answered a consent pop-up.
    pub brought: Vec<Brought>,
    /// What is wanted otherwise than the routes say.
    pub manner: Manner,
    /// What fills the message in.
    pub params: Params,
    /// `urgent`, `normal` or `bulk`; normal without it.
    pub priority: Option<String>,
    /// When to send it, RFC 3339; at once without it.
    pub send_at: Option<String>,
    /// From when not to send it any more, RFC 3339.
    pub expires_at: Option<String>,
    /// Makes a repetition of the request harmless.
    pub idempotency_key: Option<String>,
}

/// A request that can be taken.
pub(super) struct ValidRequest {
    pub(super) message_type: String,
    pub(super) recipients: Recipients,
    pub(super) brought: Vec<Brought>,
    pub(super) manner: Manner,
    pub(super) params: Params,
    pub(super) params_json: String,
    pub(super) priority: Priority,
    pub(super) times: Times,
    pub(super) idempotency_key: Option<String>,
    /// SHA-256 of what was asked.
    pub(super) hash: Vec<u8>,
}

#[derive(Serialize)]
struct Asked<'a> {
    message_type: &'a str,
    #[serde(flatten)]
    recipients: &'a Recipients,
    params: &'a Params,
    priority: Priority,
    /// Microseconds since 1970: however a time is written, it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(flatten)]
    manner: Manner,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    brought: &'a [Brought],
}

/// What is written is hashed, and not kept: it may be as long as the request.
struct Hash(Sha256);

impl std::io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl NotifyRequest {
    /// Checks the request alone, without a look at what is stored.
    pub(super) fn check(self, max_recipients: usize) -> Result<ValidRequest, FieldError> {
        // Each by its name: a field that is added has to be decided upon, for `Asked` too.
        let Self {
            message_type,
            recipients,
            brought,
            manner,
            params,
            priority,
            send_at,
            expires_at,
            idempotency_key,
        } = self;
        check_text(&"message_type", &message_type, MESSAGE_TYPE_NAME_MAX)?;
        if let Some(key) = &idempotency_key {
            check_text(&"idempotency_key", key, IDEMPOTENCY_KEY_MAX)?;
        }
        let params_json = params_json(&params)?;
        let priority = self::priority(priority.as_deref())?;
        let times = Times::read(send_at.as_deref(), expires_at.as_deref())?;
        let micros = |time: NaiveDateTime| time.and_utc().timestamp_micros();
        let mut hash = Hash(Sha256::new());
        let asked = Asked {
            message_type: &message_type,
            recipients: &recipients,
            params: &params,
            priority,
            send_at: times.send_at.map(micros),
            expires_at: times.expires_at.map(micros),
            manner,
            brought: &brought,
        };
        serde_json::to_writer(&mut hash, &asked).map_err(|error| unreadable(&error))?;
        Ok(ValidRequest {
            message_type,
            recipients: recipients.check(max_recipients)?,
            brought,
            manner,
            params,
            params_json,
            priority,
            times,
            idempotency_key,
            hash: hash.0.finalize().to_vec(),
        })
    }
}

/// The params as they are stored, if they are not too large.
pub(super) fn params_json(params: &Params) -> Result<String, FieldError> {
    params.check()?;
    let json = params.to_json().map_err(|error| unreadable(&error))?;
    let length = json.len();
    if length > PARAMS_MAX {
        let problem = format!("has {length} bytes as JSON: give at most {PARAMS_MAX}");
        return Err(FieldError::new("params", problem));
    }
    Ok(json)
}

fn priority(word: Option<&str>) -> Result<Priority, FieldError> {
    let Some(word) = word else {
        return Ok(Priority::Normal);
    };
    word.parse()
        .map_err(|rule: String| FieldError::new("priority", rule))
}

fn unreadable(error: &serde_json::Error) -> FieldError {
    FieldError::new("params", format!("cannot be stored: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(staff_ids: &[&str]) -> NotifyRequest {
        NotifyRequest {
            message_type: "order_created".to_owned(),
            recipients: Recipients::Staff {
                staff_ids: staff_ids.iter().map(|&id| id.to_owned()).collect(),
            },
            brought: Vec::new(),
            manner: Manner::default(),
            params: Params::default(),
            priority: None,
            send_at: None,
            expires_at: None,
            idempotency_key: None,
        }
    }

    fn params(json: &str) -> Params {
        Params::read(json).unwrap()
    }

    #[test]
    fn the_field_that_cannot_be_taken_is_named_with_its_limit() {
        let mut cases = vec![
            (request(&[]), "staff_ids", "1 to 3"),
            (request(&["a", "b", "c", "d"]), "staff_ids", "1 to 3"),
            (request(&["a", ""]), "staff_ids[1]", "1 to 128"),
            (request(&["a", "b\n"]), "staff_ids[1]", "control"),
            (request(&[&"x".repeat(129)]), "staff_ids[0]", "at most 128"),
        ];
        let mut named = request(&["a"]);
        named.message_type = String::new();
        cases.push((named, "message_type", "1 to 64"));
        let mut keyed = request(&["a"]);
        keyed.idempotency_key = Some("x".repeat(256));
        cases.push((keyed, "idempotency_key", "at most 255"));
        let mut large = request(&["a"]);
        large.params = params(&format!(r#"{{"x": "{}"}}"#, "x".repeat(PARAMS_MAX)));
        cases.push((large, "params", "at most 65536"));
        let mut hasty = request(&["a"]);
        hasty.priority = Some("fast".to_owned());
        cases.push((hasty, "priority", "urgent, normal, bulk"));
        for (request, field, word) in cases {
            let Err(error) = request.check(3) else {
                panic!("{field}");
            };
            assert_eq!(error.field, field);
            assert!(error.problem.contains(word), "{error}");
        }
    }

    #[test]
    fn a_repeated_staff_id_counts_once_where_it_stands_first() {
        let sound = request(&["b", "a", "b", "c", "a"]).check(5).unwrap();
        assert_eq!(sound.recipients, request(&["b", "a", "c"]).recipients);
    }

    #[test]
    fn the_hash_tells_requests_apart() {
        let hash = |request: NotifyRequest| request.check(9).unwrap().hash;
        let mut other = request(&["a", "b"]);
        other.params = params(r#"{"x": null}"#);
        assert_eq!(hash(request(&["a", "b"])), hash(request(&["a", "b"])));
        assert_ne!(hash(request(&["a", "b"])), hash(request(&["b", "a"])));
        assert_ne!(hash(request(&["a", "b"])), hash(other));
        let written = |number: &str| {
            let mut request = request(&["a", "b"]);
            request.params = params(&format!(r#"{{"x": {number}}}"#));
            hash(request)
        };
        assert_eq!(written("100.00"), written(" 100.00 "));
        assert_ne!(written("100.00"), written("100.0"));
        let long = ["12345678901234567890123", "12345678901234567890124"].map(written);
        assert_ne!(long[0], long[1]);
        let mut tagged = request(&[]);
        tagged.recipients = Recipients::one_of(None, Some("a".to_owned()), false, None).unwrap();
        let mut all = request(&[]);
        all.recipients = Recipients::one_of(None, None, true, None).unwrap();
        assert_ne!(hash(request(&["a"])), hash(tagged.clone()));
        assert_ne!(hash(tagged), hash(all));
        let with_priority = |word: &str| {
            let mut request = request(&["a", "b"]);
            request.priority = Some(word.to_owned());
            hash(request)
        };
        assert_eq!(hash(request(&["a", "b"])), with_priority("normal"));
        assert_ne!(hash(request(&["a", "b"])), with_priority("urgent"));
        let mut trial = request(&["a", "b"]);
        trial.manner = Manner::read(Some("trial"), None).unwrap();
        assert_ne!(hash(request(&["a", "b"])), hash(trial));
        let mut answered = request(&["a", "b"]);
        answered.brought.push(Brought {
            at: 0,
            answered: Answered {
                results: Vec::new(),
                reported_at: None,
                long_term: false,
            },
        });
        assert_ne!(hash(request(&["a", "b"])), hash(answered));
        let timed = |send_at: Option<&str>, expires_at: Option<&str>| {
            let mut request = request(&["a", "b"]);
            request.send_at = send_at.map(str::to_owned);
            request.expires_at = expires_at.map(str::to_owned);
            hash(request)
        };
        let (utc, beijing) = ("2026-01-02T00:00:00Z", "2026-01-02T08:00:00+08:00");
        assert_eq!(timed(Some(utc), None), timed(Some(beijing), None));
        assert_ne!(timed(Some(utc), None), timed(None, Some(utc)));
        assert_ne!(timed(Some(utc), None), timed(None, None));
    }
}
