//! Access tokens, lent to the business's other systems.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, State, check};
use crate::bridge::limits::ACCESS_TOKEN_MAX;
use crate::bridge::token::lend::LendError;
use crate::bridge::token::{Report, TokenError};
use crate::web::body::Body;
use crate::web::error::{Code, Problem};
use crate::web::rates::{Kind, Rates};
use crate::wechat::error::{CallError, Class};

/// The names are WeChat's own, so that a client of its token call can be pointed here.
#[derive(Serialize, ToSchema)]
struct LentToken<'a> {
    access_token: &'a str,
    /// Seconds.
    expires_in: i64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvalidTokenBody {
    /// The token that WeChat refused.
    access_token: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ReportedView {
    /// Whether there is a new token because of this report.
    replaced: bool,
    /// `replaced`, `not_current` or `still_good`.
    outcome: &'static str,
    detail: &'static str,
}

/// `GET /accounts/{app_id}/access-token`: lends the account's access token.
#[utoipa::path(
    get,
    path = "/accounts/{app_id}/access-token",
    tag = "access-token",
    responses((status = 200, description = "The access token, and for how long it is good", body = LentToken)),
    extensions(("x-codes" = json!([
        "not_found", "no_app_secret", "wechat_refused", "wechat_busy", "wechat_unreachable"
    ]))),
)]
pub(super) async fn lend(
    state: Data<State>,
    caller: Caller,
    app_id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let loan = state.bridge.lend_token(&caller, &app_id).await?;
    Ok(HttpResponse::Ok().json(LentToken {
        access_token: loan.token.expose(),
        expires_in: loan.expires_in,
    }))
}

/// `POST /accounts/{app_id}/access-token/invalid`: WeChat has refused a token that was lent.
#[utoipa::path(
    post,
    path = "/accounts/{app_id}/access-token/invalid",
    tag = "access-token",
    request_body = InvalidTokenBody,
    responses((status = 200, description = "Whether the token was discarded", body = ReportedView)),
    extensions(("x-codes" = json!([
        "not_found", "too_often", "no_app_secret", "wechat_refused", "wechat_busy",
        "wechat_unreachable"
    ]))),
)]
pub(super) async fn report(
    state: Data<State>,
    caller: Caller,
    rates: Data<Rates>,
    app_id: Path<String>,
    body: Body<InvalidTokenBody>,
) -> Result<Json<ReportedView>, Problem> {
    check::text("access_token", &body.access_token, ACCESS_TOKEN_MAX)?;
    rates.take(&state, &caller, Kind::TokenReport)?;
    let report = state
        .bridge
        .report_token(&caller, &app_id, &body.access_token)
        .await?;
    Ok(Json(ReportedView {
        replaced: report == Report::Replaced,
        outcome: report.as_str(),
        detail: match report {
            Report::Replaced => "It was the current token and is replaced. Fetch the new one.",
            Report::NotCurrent => {
                "It is not the current token, so nothing was done. Fetch the current one."
            }
            Report::StillGood => {
                "WeChat was asked for a new token and gave this one again: to WeChat it is good."
            }
        },
    }))
}

impl From<LendError> for Problem {
    fn from(error: LendError) -> Self {
        match error {
            LendError::UnknownAccount => Self::not_found("account"),
            LendError::Token(error) => error.into(),
            LendError::Account(error) => error.into(),
            LendError::Db(error) => error.into(),
        }
    }
}

/// What calls with an account's token say when they do not work.
impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let detail = format!("{}.", error.explanation().trim_end_matches('.'));
        match &error {
            TokenError::NoSecret(_) => Self::new(Code::NoAppSecret, detail).field("app_id"),
            TokenError::Call(CallError::Api(_)) | TokenError::Refresh(CallError::Api(_)) => {
                match error.class() {
                    Class::Retry => Self::new(Code::WechatUnreachable, detail).retry_after(2),
                    Class::Quota => Self::new(Code::WechatBusy, detail).retry_after(60),
                    _ => Self::new(Code::WechatRefused, detail),
                }
            }
            TokenError::Call(_) | TokenError::Refresh(_) | TokenError::Busy(_) => {
                Self::new(Code::WechatUnreachable, detail).retry_after(2)
            }
            TokenError::Vault(_) => Self::internal(&error),
            TokenError::Db(_) => match error {
                TokenError::Db(error) => error.into(),
                error => Self::internal(&error),
            },
        }
    }
}
