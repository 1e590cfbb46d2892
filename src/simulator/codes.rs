//! Login codes of a mini-program: five minutes, one use (WeChat guide, code2Session).

use std::collections::HashMap;

use super::api::Errcode;

const LIFE_MILLIS: i64 = 5 * 60 * 1000;

struct Code {
    person: u32,
    made_at: i64,
    used: bool,
}

#[derive(Default)]
pub(super) struct Codes {
    by_code: HashMap<String, Code>,
}

impl Codes {
    pub(super) fn issue(&mut self, code: String, person: u32, now: i64) {
        self.by_code
            .retain(|_, code| now - code.made_at < LIFE_MILLIS);
        let fresh = Code {
            person,
            made_at: now,
            used: false,
        };
        self.by_code.insert(code, fresh);
    }

    /// Uses a code up; the person who logged in.
    pub(super) fn redeem(&mut self, code: &str, now: i64) -> Result<u32, Errcode> {
        match self.by_code.get_mut(code) {
            Some(code) if now - code.made_at >= LIFE_MILLIS => Err(Errcode::INVALID_CODE),
            Some(code) if code.used => Err(Errcode::CODE_USED),
            Some(code) => {
                code.used = true;
                Ok(code.person)
            }
            None => Err(Errcode::INVALID_CODE),
        }
    }
}
