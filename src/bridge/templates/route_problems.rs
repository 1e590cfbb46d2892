//! Message types against the templates that are known: which types name a template, and what is
//! wrong with a route as far as the last listing tells.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use crate::bridge::routes::Route;
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, ProjectId, WebhookId};
use crate::models::account::{self, template, template_sync};
use crate::models::notification::message_type;
use crate::models::webhook::{self, WebhookState};
use crate::wechat::library::TemplateKey;

/// WeChat has shown these keys of the old library to nobody since 2023-05-04.
const NEVER_SHOWN: [&str; 2] = ["first", "remark"];

/// Something that will go wrong, or may, when a route is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteProblem {
    /// Which route, counted from 0.
    pub route: usize,
    /// Where, such as `routes[0].fields.thing3`.
    pub field: String,
    /// What is wrong.
    pub code: ProblemCode,
    /// In words, with what to do.
    pub detail: String,
}

/// What is wrong with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The account had the template and has it no more.
    TemplateGone,
    /// The account was not seen to have the template.
    TemplateUnknown,
    /// The template has a key that the route does not fill in.
    KeyMissing,
    /// The route fills in a key that the template does not have.
    KeyUnknown,
    /// The text is none of those that the template lists for its key.
    ValueUnlisted,
    /// The project has no such endpoint any more.
    EndpointGone,
    /// The endpoint is not posted to.
    EndpointDisabled,
}

impl ProblemCode {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TemplateGone => "template_gone",
            Self::TemplateUnknown => "template_unknown",
            Self::KeyMissing => "key_missing",
            Self::KeyUnknown => "key_unknown",
            Self::ValueUnlisted => "value_unlisted",
            Self::EndpointGone => "endpoint_gone",
            Self::EndpointDisabled => "endpoint_disabled",
        }
    }
}

/// What routes can name: the templates of a project's accounts, as they were last listed, and its
/// endpoints.
pub struct Library {
    /// By app_id; accounts that were never listed are not in it.
    templates: HashMap<String, HashMap<String, Known>>,
    endpoints: HashMap<WebhookId, WebhookState>,
}

struct Known {
    gone: bool,
    keys: Vec<TemplateKey>,
}

impl Library {
    /// Reads it.
    ///
    /// # Errors
    /// If the database fails.
    pub fn of(conn: &mut Conn, project: ProjectId) -> QueryResult<Self> {
        let labels = account::labels(conn, project)?;
        let ids: Vec<AccountId> = labels.iter().map(|label| label.id).collect();
        let listed: Vec<AccountId> = template_sync::of_accounts(conn, &ids)?
            .into_iter()
            .filter(|sync| sync.synced_at.is_some())
            .map(|sync| sync.account_id)
            .collect();
        let mut by_account: HashMap<AccountId, HashMap<String, Known>> =
            listed.iter().map(|id| (*id, HashMap::new())).collect();
        for template in template::of_accounts(conn, &listed)? {
            let known = Known {
                gone: template.gone_at.is_some(),
                keys: serde_json::from_str(&template.keys).unwrap_or_default(),
            };
            if let Some(templates) = by_account.get_mut(&template.account_id) {
                templates.insert(template.template_id, known);
            }
        }
        let by_app_id = labels.into_iter().filter_map(|label| {
            let templates = by_account.remove(&label.id)?;
            Some((label.app_id, templates))
        });
        let endpoints = webhook::list(conn, project, None, i64::MAX)?.into_iter();
        Ok(Self {
            templates: by_app_id.collect(),
            endpoints: endpoints.map(|one| (one.id, one.state)).collect(),
        })
    }

    /// What is wrong with the routes of a message type; nothing where nothing is known.
    pub fn problems(&self, routes: &[Route]) -> Vec<RouteProblem> {
        let mut problems = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            if let Some((account, known)) = self.template(route) {
                check(at, route, account, known, &mut problems);
            }
            let unusable = route.endpoint.and_then(|id| match self.endpoints.get(&id) {
                None => Some(endpoint_gone(id)),
                Some(state) => endpoint_problem(id, *state),
            });
            problems.extend(unusable.map(|(code, detail)| RouteProblem {
                route: at,
                field: format!("routes[{at}].endpoint"),
                code,
                detail,
            }));
        }
        problems
    }

    /// Which texts of a filled-in route are none of those that its template lists.
    pub fn unlisted(
        &self,
        at: usize,
        route: &Route,
        texts: &BTreeMap<String, String>,
    ) -> Vec<RouteProblem> {
        let known = self.template(route).and_then(|(_, known)| known);
        let keys = known.map(|known| known.keys.as_slice()).unwrap_or_default();
        let wrong = keys.iter().filter_map(|TemplateKey { key, values, .. }| {
            let text = texts.get(key)?;
            let is_wrong = !values.is_empty() && !values.contains(text);
            is_wrong.then(|| RouteProblem {
                route: at,
                field: format!("routes[{at}].fields.{key}"),
                code: ProblemCode::ValueUnlisted,
                detail: format!(
                    "The template takes only listed texts here: {}. WeChat will refuse another \
                     (47003).",
                    values.join(", ")
                ),
            })
        });
        wrong.collect()
    }

    /// The account and the template of a route, where the account's templates are known.
    fn template<'a>(&'a self, route: &'a Route) -> Option<(&'a str, Option<&'a Known>)> {
        let account = route.account.as_deref()?;
        let is_listed = route.channel.traits().is_listed;
        let templates = self.templates.get(account).filter(|_| is_listed)?;
        Some((account, templates.get(route.template_id.as_deref()?)))
    }

    /// [`Library::problems`] of routes as they are stored.
    pub fn problems_of_json(&self, routes: &str) -> Vec<RouteProblem> {
        self.problems(&parse(routes))
    }
}

/// What is to be said of a route whose endpoint was removed.
pub(in crate::bridge) fn endpoint_gone(id: WebhookId) -> (ProblemCode, String) {
    let detail = format!("The endpoint {id} was removed. Name another one in the message type.");
    (ProblemCode::EndpointGone, detail)
}

/// Why nothing is posted to an endpoint in this state, if nothing is.
pub(in crate::bridge) fn endpoint_problem(
    id: WebhookId,
    state: WebhookState,
) -> Option<(ProblemCode, String)> {
    (state != WebhookState::Enabled).then(|| {
        let detail = format!("The endpoint {id} is {state}. Enable it again with PUT.");
        (ProblemCode::EndpointDisabled, detail)
    })
}

fn check(
    at: usize,
    route: &Route,
    account: &str,
    known: Option<&Known>,
    problems: &mut Vec<RouteProblem>,
) {
    let mut add = |field: &str, code, detail| {
        problems.push(RouteProblem {
            route: at,
            field: format!("routes[{at}].{field}"),
            code,
            detail,
        });
    };
    let known = match known {
        Some(known) if !known.gone => known,
        Some(_) => {
            let detail = format!(
                "{account} had this template and has it no more: WeChat will refuse the message. \
                 Choose another, or add it again in WeChat's console and sync."
            );
            return add("template_id", ProblemCode::TemplateGone, detail);
        }
        None => {
            let detail = format!(
                "{account} had no such template when its templates were last listed. Check the id; \
                 if the template is new, sync."
            );
            return add("template_id", ProblemCode::TemplateUnknown, detail);
        }
    };
    let shown = |key: &str| !NEVER_SHOWN.contains(&key);
    for TemplateKey { key, kind, .. } in &known.keys {
        if shown(key) && !route.fields.contains_key(key) {
            let effect = match kind {
                Some(_) => "WeChat will refuse the message (47003)",
                None => "the reader will see nothing there",
            };
            let detail = format!(
                "The template has the key {key} and the route does not fill it in: {effect}. Add it."
            );
            add("fields", ProblemCode::KeyMissing, detail);
        }
    }
    for key in route.fields.keys().filter(|key| shown(key)) {
        if known.keys.iter().all(|known| known.key != *key) {
            let names: Vec<&str> = known.keys.iter().map(|known| known.key.as_str()).collect();
            let detail = format!(
                "The template has no key {key}, so nobody will see it. It has: {}.",
                names.join(", ")
            );
            add(&format!("fields.{key}"), ProblemCode::KeyUnknown, detail);
        }
    }
}

/// Which message types of a project name which templates: by app id and template id.
pub struct Naming(HashMap<(String, String), Vec<String>>);

impl Naming {
    /// Reads it.
    ///
    /// # Errors
    /// If the database fails.
    pub fn of(conn: &mut Conn, project: ProjectId) -> QueryResult<Self> {
        let mut naming: HashMap<(String, String), Vec<String>> = HashMap::new();
        for (name, routes) in message_type::routes(conn, project)? {
            for route in parse(&routes) {
                let (Some(account), Some(template_id)) = (route.account, route.template_id) else {
                    continue;
                };
                let names = naming.entry((account, template_id)).or_default();
                if names.last() != Some(&name) {
                    names.push(name.clone());
                }
            }
        }
        Ok(Self(naming))
    }

    /// Whether any message type names a template of this account.
    pub fn names_account(&self, app_id: &str) -> bool {
        self.0.keys().any(|(named, _)| named == app_id)
    }

    /// The message types that name a template, in the order of their names.
    pub fn message_types(&self, app_id: &str, template_id: &str) -> Vec<String> {
        let key = (app_id.to_owned(), template_id.to_owned());
        self.0.get(&key).cloned().unwrap_or_default()
    }
}

/// Stored routes; none where a newer version wrote them in a shape of its own.
fn parse(routes: &str) -> Vec<Route> {
    serde_json::from_str(routes).unwrap_or_default()
}
