//! The routes that were considered for a delivery, each with its verdict.

use std::collections::HashMap;

use serde::Serialize;

use crate::bridge::plan::Considered;
use crate::bridge::route::{Channel, Route};
use crate::db::Conn;
use crate::ids::NotificationId;
use crate::models::delivery::{Delivery, DeliveryState};
use crate::models::notification;

#[derive(Debug, Serialize)]
pub(super) struct RouteView {
    /// Its number, from 0.
    route: usize,
    channel: Channel,
    account: Option<String>,
    /// `taken`, or a stable word for why it was left.
    verdict: String,
    /// The same in a sentence.
    detail: Option<String>,
}

/// The routes of notifications, by which their deliveries are explained.
pub(super) struct Routes(HashMap<NotificationId, Vec<Route>>);

impl Routes {
    /// Reads those of a page of deliveries.
    pub(super) fn of(conn: &mut Conn, found: &[Delivery]) -> diesel::QueryResult<Self> {
        let mut ids: Vec<NotificationId> = found.iter().map(|row| row.notification_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let stored = notification::routes_of(conn, &ids)?.into_iter();
        let parsed =
            stored.map(|(id, routes)| (id, serde_json::from_str(&routes).unwrap_or_default()));
        Ok(Self(parsed.collect()))
    }

    /// Those that were left, and the one that was taken.
    pub(super) fn considered(&self, delivery: &Delivery) -> Vec<RouteView> {
        let left = delivery.considered.as_deref().unwrap_or("[]");
        let left: Vec<Considered> = serde_json::from_str(left).unwrap_or_default();
        let mut views: Vec<RouteView> = left.into_iter().map(RouteView::from).collect();
        let taken = delivery.route.and_then(|route| usize::try_from(route).ok());
        let taken = taken.filter(|route| views.iter().all(|view| view.route != *route));
        let routes = self.0.get(&delivery.notification_id);
        if let (Some(number), Some(routes)) = (taken, routes)
            && let Some(route) = routes.get(number)
        {
            let failed = delivery.state == DeliveryState::Failed;
            let why = delivery.reason.clone().filter(|_| failed);
            views.push(RouteView {
                route: number,
                channel: route.channel,
                account: route.account.clone(),
                verdict: why.unwrap_or_else(|| "taken".to_owned()),
                detail: delivery.detail.clone().filter(|_| failed),
            });
        }
        views
    }
}

impl From<Considered> for RouteView {
    fn from(left: Considered) -> Self {
        Self {
            route: left.route,
            channel: left.channel,
            account: Some(left.account).filter(|account| !account.is_empty()),
            verdict: left.verdict,
            detail: Some(left.detail),
        }
    }
}
