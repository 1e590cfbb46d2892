//! The routes that were considered for a person, each with its verdict: as they are shown.

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::planner::{Considered, Sender};
use crate::bridge::routes::{Channel, Route};
use crate::db::{Conn, QueryResult};
use crate::ids::{NotificationId, VersionId};
use crate::models::delivery::{Delivery, DeliveryState, Edition, Reason};
use crate::models::notification::{self, message_type};

/// Of a person who has switched the template's messages off. It is not certain: nothing tells when
/// they switch them on again.
pub(in crate::bridge) const SWITCHED_OFF: &str = "WeChat said that the person has switched this template's \
                                       messages off inside WeChat. One is tried all the same, as \
                                       nothing tells when they switch them on again.";

/// What was decided of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteVerdict {
    /// It leads to the person.
    Taken,
    /// Why it was left, or failed.
    Left(Reason),
    /// The same, by a word of a newer version.
    Unknown(String),
}

impl RouteVerdict {
    /// The word that is shown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Taken => "taken",
            Self::Left(reason) => reason.as_str(),
            Self::Unknown(word) => word,
        }
    }

    fn left(word: String) -> Self {
        word.parse().map_or(Self::Unknown(word), Self::Left)
    }
}

impl Serialize for RouteVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A route with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteView {
    /// Its number, from 0.
    pub route: usize,
    /// The kind of message.
    pub channel: Channel,
    /// The app_id of its account, if the channel has one.
    pub account: Option<String>,
    /// `taken`, or a stable word for why it was left.
    #[schema(value_type = String, example = "taken")]
    pub verdict: RouteVerdict,
    /// The same in a sentence.
    pub detail: Option<String>,
}

/// The routes of notifications, by which their deliveries are explained.
pub struct Routes(HashMap<Edition, Vec<Route>>);

impl Routes {
    /// Reads those of a page of deliveries.
    ///
    /// # Errors
    /// If the database fails.
    pub fn of(conn: &mut Conn, found: &[Delivery]) -> QueryResult<Self> {
        let mut ids: Vec<NotificationId> = found.iter().map(|row| row.notification_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut versions: Vec<VersionId> = found.iter().filter_map(|row| row.routes_id).collect();
        versions.sort_unstable();
        versions.dedup();
        let own: HashMap<NotificationId, String> =
            notification::routes_of(conn, &ids)?.into_iter().collect();
        let versions: HashMap<VersionId, String> = message_type::versions(conn, &versions)?
            .into_iter()
            .map(|version| (version.id, version.routes))
            .collect();
        let mut routes = HashMap::with_capacity(ids.len());
        for edition in found.iter().map(Delivery::edition) {
            let (id, version) = edition;
            let json = match version {
                Some(version) => versions.get(&version),
                None => own.get(&id),
            };
            let parse = |json: &String| serde_json::from_str(json).unwrap_or_default();
            let routes = routes.entry(edition);
            routes.or_insert_with(|| json.map(parse).unwrap_or_default());
        }
        Ok(Self(routes))
    }

    /// Those that were left, and the one that was taken.
    pub fn considered(&self, delivery: &Delivery) -> Vec<RouteView> {
        let left = delivery.considered.as_deref().unwrap_or("[]");
        let left: Vec<Considered> = serde_json::from_str(left).unwrap_or_default();
        let mut views: Vec<RouteView> = left.into_iter().map(RouteView::from).collect();
        let taken = delivery.route.and_then(|route| usize::try_from(route).ok());
        let taken = taken.filter(|route| views.iter().all(|view| view.route != *route));
        let routes = self.0.get(&delivery.edition());
        if let (Some(number), Some(routes)) = (taken, routes)
            && let Some(route) = routes.get(number)
        {
            let failed = delivery.state == DeliveryState::Failed;
            let why = delivery.reason.clone().filter(|_| failed);
            views.push(RouteView {
                route: number,
                channel: route.channel,
                account: route.account.clone(),
                verdict: why.map_or(RouteVerdict::Taken, RouteVerdict::left),
                detail: delivery.detail.clone().filter(|_| failed),
            });
        }
        views
    }
}

impl RouteView {
    /// Whether it leads to the person.
    pub fn leads(&self) -> bool {
        self.verdict == RouteVerdict::Taken
    }

    /// The same, with a sentence of warning; it leads to the person all the same.
    #[must_use]
    pub(in crate::bridge) fn warned(self, warning: &str) -> Self {
        Self {
            detail: Some(warning.to_owned()),
            ..self
        }
    }

    /// A route as the planner has judged it; without a reason it leads to the person.
    pub(in crate::bridge) fn judged(
        route: usize,
        sender: &Sender,
        why: Option<(Reason, &str)>,
    ) -> Self {
        Self {
            route,
            channel: sender.channel,
            account: Some(sender.app_id.clone()).filter(|account| !account.is_empty()),
            verdict: why.map_or(RouteVerdict::Taken, |(reason, _)| {
                RouteVerdict::Left(reason)
            }),
            detail: why.map(|(_, detail)| detail.to_owned()),
        }
    }
}

impl From<Considered> for RouteView {
    fn from(left: Considered) -> Self {
        Self {
            route: left.route,
            channel: left.channel,
            account: Some(left.account).filter(|account| !account.is_empty()),
            verdict: RouteVerdict::left(left.verdict),
            detail: Some(left.detail),
        }
    }
}
