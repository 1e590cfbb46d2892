//! Consent in a mini-program, as a business app reports it.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::web::{Data, Json, Path};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::check;
use super::credits::CreditView;
use super::{Caller, State, times};
use crate::bridge::limits::{CONSENT_RESULTS_MAX, TEMPLATE_ID_MAX};
use crate::bridge::people::consent::{Answered, ConsentAnswer, Report, ReportError, Respondent};
use crate::bridge::people::login::LoginError;
use crate::ids::IdentityId;
use crate::ids::text::TextId;
use crate::web::body::Body;
use crate::web::error::{Code, Problem};

/// The key in what wx.requestSubscribeMessage returns that is no template id.
const ERR_MSG: &str = "errMsg";

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentReport {
    /// A fresh code from `wx.login`, or `openid`.
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    openid: Option<String>,
    /// What wx.requestSubscribeMessage returned, as it is: by template id, and `errMsg`.
    #[schema(value_type = BTreeMap<String, String>)]
    results: ConsentResults,
    /// When the person answered; the same in every repetition of the report.
    #[serde(default)]
    reported_at: Option<String>,
    /// Whether these are long-term templates.
    #[serde(default)]
    long_term: bool,
}

/// By template id, what was answered, and `errMsg`. Kept small, as there may be one for each of very many
/// people: all texts are one, name and word by turns.
#[derive(Debug)]
pub(super) struct ConsentResults {
    text: Box<str>,
    /// Where each of them ends, bytes.
    ends: Box<[u32]>,
}

impl ConsentResults {
    /// The parts, in the order of the body.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let ends = self.ends.iter().map(|end| *end as usize);
        let starts = std::iter::once(0).chain(ends.clone());
        let parts = starts.zip(ends);
        parts.map(|(start, end)| self.text.get(start..end).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for ConsentResults {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ResultsVisitor;

        impl<'de> Visitor<'de> for ResultsVisitor {
            type Value = ConsentResults;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConsentResults, A::Error> {
                let (mut text, mut ends) = (String::new(), Vec::new());
                while let Some((name, word)) = map.next_entry::<Box<str>, Box<str>>()? {
                    // One more than there may be, beside errMsg, is enough to be refused.
                    if ends.len() / 2 >= CONSENT_RESULTS_MAX + 2 {
                        continue;
                    }
                    for part in [name, word] {
                        text.push_str(&part);
                        let end = u32::try_from(text.len()).map_err(A::Error::custom)?;
                        ends.push(end);
                    }
                }
                Ok(ConsentResults {
                    text: text.into_boxed_str(),
                    ends: ends.into_boxed_slice(),
                })
            }
        }

        from.deserialize_map(ResultsVisitor)
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordedView {
    identity_id: IdentityId,
    openid: String,
    /// What the person allows these templates now.
    credits: Vec<CreditView>,
}

/// `POST /miniprogram/{app_id}/subscriptions`: somebody answered the consent pop-up.
#[utoipa::path(
    post,
    path = "/miniprogram/{app_id}/subscriptions",
    tag = "subscriptions",
    request_body = ConsentReport,
    responses((status = 200, description = "What was recorded", body = RecordedView)),
    extensions(("x-codes" = json!([
        "not_found", "unknown_openid", "wrong_account_kind", "no_app_secret", "code_invalid",
        "code_used", "login_refused", "wechat_refused", "wechat_busy", "wechat_unreachable"
    ]))),
)]
pub(super) async fn create(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
    body: Body<ConsentReport>,
) -> Result<Json<RecordedView>, Problem> {
    let report = read(body.into_inner())?;
    let recorded = state
        .bridge
        .report_consent(caller.project_id, &app_id, report);
    let (identity, credits) = recorded.await?;
    Ok(Json(RecordedView {
        identity_id: identity.id,
        openid: identity.openid,
        credits: credits.into_iter().map(CreditView::from).collect(),
    }))
}

fn read(body: ConsentReport) -> Result<Report, Problem> {
    let who = match (body.code, body.openid) {
        (Some(code), None) => {
            check::login_code(&code)?;
            Respondent::Code(code)
        }
        (None, Some(openid)) => {
            check::id("openid", TextId::Openid, &openid)?;
            Respondent::Openid(openid)
        }
        _ => {
            let detail = "Give exactly one of: code, openid.";
            return Err(Problem::new(Code::InvalidBody, detail).field("code, openid"));
        }
    };
    let results = results(&body.results)?;
    let reported_at = body
        .reported_at
        .as_deref()
        .map(times::reported_at)
        .transpose()?;
    Ok(Report {
        who,
        answered: Answered {
            results,
            reported_at,
            long_term: body.long_term,
        },
    })
}

/// WeChat's words on templates, without its word on the call.
pub(super) fn results(given: &ConsentResults) -> Result<Vec<(String, ConsentAnswer)>, Problem> {
    let (names, words) = (given.parts().step_by(2), given.parts().skip(1).step_by(2));
    // Of a template that is given twice the last word counts, as in JSON.parse.
    let given: BTreeMap<&str, &str> = names.zip(words).collect();
    let mut results = Vec::with_capacity(given.len());
    for (template_id, word) in given {
        if template_id == ERR_MSG {
            continue;
        }
        check::text("results", template_id, TEMPLATE_ID_MAX)?;
        let verdict = word.parse().map_err(|rule| {
            let field = format!("results.{template_id}");
            Problem::new(Code::InvalidField, format!("{field} {rule}.")).field(field)
        })?;
        results.push((template_id.to_owned(), verdict));
    }
    if !(1..=CONSENT_RESULTS_MAX).contains(&results.len()) {
        let detail = format!(
            "results must have from 1 to {CONSENT_RESULTS_MAX} template ids. A call that failed \
             (errMsg requestSubscribeMessage:fail) has none, and is not to be reported."
        );
        let problem = Problem::new(Code::InvalidField, detail).field("results");
        return Err(problem.limit(CONSENT_RESULTS_MAX));
    }
    Ok(results)
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::UnknownOpenid => {
                let detail = "This openid has not logged in through Queqiao, nor sent an event, \
                              nor was it brought in. Send a fresh code from wx.login instead of \
                              the openid, or bring it in first: POST \
                              /miniprogram/{app_id}/identities.";
                Self::new(Code::UnknownOpenid, detail).field("openid")
            }
            ReportError::InFuture => {
                let detail = "reported_at is more than 10 minutes in the future. Correct the \
                              clock it comes from, or leave it out.";
                Self::new(Code::InvalidField, detail).field("reported_at")
            }
            ReportError::Login(LoginError::UnknownAccount) => Self::not_found("account"),
            ReportError::Login(error) => error.into(),
            ReportError::Db(error) => error.into(),
        }
    }
}
