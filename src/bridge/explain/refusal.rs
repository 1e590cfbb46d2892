//! What WeChat refused in a try, in plain words beside its own.

use serde::Serialize;
use utoipa::ToSchema;

use crate::models::delivery::attempt::Attempt;
use crate::wechat::error::{ApiError, advice_on, rid_hint};

/// An error of WeChat's, translated, with WeChat's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExplainedRefusal)]
pub struct Refusal {
    /// WeChat's code.
    pub errcode: i64,
    /// The call that WeChat refused.
    pub call: Option<String>,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub what_to_do: &'static str,
    /// WeChat's own words.
    pub errmsg: Option<String>,
    /// WeChat's id of the request.
    pub rid: Option<String>,
    /// Where the rid is looked up.
    pub rid_hint: Option<&'static str>,
}

impl Refusal {
    /// What WeChat refused in a try, if it did.
    pub(super) fn of(attempt: Attempt) -> Option<Self> {
        let errcode = attempt.errcode.filter(|code| *code != 0)?;
        let call = attempt.call.as_deref().unwrap_or_default();
        let advice = advice_on(call, errcode);
        Some(Self {
            errcode,
            meaning: advice.meaning,
            what_to_do: advice.what_to_do,
            rid_hint: attempt.rid.as_deref().and_then(|rid| rid_hint(call, rid)),
            call: attempt.call,
            errmsg: attempt.errmsg,
            rid: attempt.rid,
        })
    }

    /// The code, what it means, what to do, and WeChat's own words, in sentences.
    pub fn sentences(&self) -> String {
        let error = ApiError {
            errcode: self.errcode,
            errmsg: self.errmsg.clone().unwrap_or_default(),
            rid: self.rid.clone(),
        };
        error.explain_on(self.call.as_deref().unwrap_or_default())
    }
}
