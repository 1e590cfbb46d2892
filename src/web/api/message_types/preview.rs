//! A message type filled in, to see what it would send.

use std::collections::BTreeMap;

use actix_web::web::{Data, Json, Path};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::check;
use super::super::params::Params;
use super::super::{Caller, State};
use crate::bridge::limits::{FieldError, NAME_MAX};
use crate::bridge::notify::{NotifyError, PreviewRequest, PreviewStaff, RoutePreview};
use crate::bridge::routes::{Channel, Manner};
use crate::bridge::templates::RouteProblem;
use crate::web::body::MaybeBody;
use crate::web::error::Problem;
use crate::wechat::subscribe::{Language, MiniProgramState};

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web::api) struct PreviewBody {
    /// What fills the message in.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Params,
    /// Whom it is for; nobody in particular without it.
    #[serde(default)]
    staff: Option<Staff>,
    /// As a notification may have it.
    #[serde(default)]
    miniprogram_state: Option<String>,
    /// As a notification may have it.
    #[serde(default)]
    lang: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Staff {
    id: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web::api) struct PreviewView {
    message_type: String,
    routes: Vec<RouteView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewedRouteView)]
struct RouteView {
    /// Its number, from 0.
    route: usize,
    account: Option<String>,
    channel: Channel,
    template_id: Option<String>,
    /// The text of each key; without those of which nothing came out.
    fields: BTreeMap<String, String>,
    /// The text of a message without template, with its link as it goes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    url: Option<String>,
    page: Option<String>,
    /// Which version of the mini-program a tap opens, and the language around the texts: of
    /// subscription messages of a mini-program, where they are said.
    #[serde(skip_serializing_if = "Option::is_none")]
    miniprogram_state: Option<MiniProgramState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<Language>,
    /// Why a notification would be refused.
    errors: Vec<Remark>,
    /// What WeChat would drop without a word.
    warnings: Vec<Remark>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Remark {
    field: String,
    detail: String,
    /// The type of the keyword or another stable word, where a rule is broken.
    rule: Option<&'static str>,
    length: Option<usize>,
    limit: Option<usize>,
}

/// `POST /message-types/{name}/preview`: 200 also where a notification would be refused.
#[utoipa::path(
    post,
    path = "/message-types/{name}/preview",
    tag = "message-types",
    request_body = Option<PreviewBody>,
    responses((status = 200, description = "What the person would see", body = PreviewView)),
    extensions(("x-codes" = json!(["not_found"]))),
)]
pub(in crate::web::api) async fn create(
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    body: MaybeBody<PreviewBody>,
) -> Result<Json<PreviewView>, Problem> {
    let (message_type, body) = (name.into_inner(), body.into_inner());
    let staff = body.staff.map(|staff| PreviewStaff {
        id: staff.id,
        name: staff.name,
    });
    let name = staff.as_ref().and_then(|staff| staff.name.as_ref());
    check::maybe_text("staff.name", name, NAME_MAX)?;
    let asked = PreviewRequest {
        message_type: message_type.clone(),
        params: body.params.0,
        manner: Manner::read(body.miniprogram_state.as_deref(), body.lang.as_deref())?,
        staff,
    };
    let previewed = state.bridge.preview(caller.project_id, asked).await;
    let previewed = previewed.map_err(|error| match error {
        NotifyError::UnknownMessageType(_) => Problem::not_found("message type"),
        error => error.into(),
    })?;
    let routes = previewed.into_iter().enumerate().map(RouteView::from);
    Ok(Json(PreviewView {
        message_type,
        routes: routes.collect(),
    }))
}

impl From<(usize, RoutePreview)> for RouteView {
    fn from((route, shown): (usize, RoutePreview)) -> Self {
        let remarks = |found: Vec<FieldError>| -> Vec<Remark> {
            found.into_iter().map(Remark::from).collect()
        };
        Self {
            route,
            account: shown.route.account,
            channel: shown.route.channel,
            template_id: shown.route.template_id,
            fields: shown.preview.fields,
            text: shown.preview.text,
            url: shown.preview.url,
            page: shown.preview.page,
            miniprogram_state: shown.route.miniprogram_state,
            lang: shown.route.lang,
            errors: remarks(shown.preview.errors),
            warnings: remarks(shown.preview.warnings)
                .into_iter()
                .chain(shown.problems.into_iter().map(Remark::from))
                .collect(),
        }
    }
}

impl From<FieldError> for Remark {
    fn from(error: FieldError) -> Self {
        let broken = error.broken;
        Self {
            detail: format!("{error}."),
            field: error.field,
            rule: broken.map(|broken| broken.rule),
            length: broken.and_then(|broken| broken.length),
            limit: broken.and_then(|broken| broken.limit),
        }
    }
}

impl From<RouteProblem> for Remark {
    fn from(problem: RouteProblem) -> Self {
        Self {
            field: problem.field,
            detail: problem.detail,
            rule: Some(problem.code.as_str()),
            length: None,
            limit: None,
        }
    }
}
