//! Notifications ready to be sent: parsed and compiled once, and rendered once where what they say
//! does not depend on the staff member.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDateTime;
use minijinja::value::{Serde, Value};

use super::route::{self, Compiled, FieldError, Recipient, Rendered, Route};
use crate::ids::NotificationId;
use crate::models::notification::Notification;

/// Notifications kept ready; deliveries of the same one come together, so few suffice.
const KEPT: usize = 64;
/// One notification, ready.
#[derive(Debug)]
pub struct Prepared {
    routes: Vec<Route>,
    compiled: Compiled,
    params: Value,
    /// What each route sends, where it is the same for all.
    shared: Vec<Option<Arc<Rendered>>>,
}

impl Prepared {
    /// Compiles the routes and fills each in, so that a request that cannot be rendered is refused
    /// as a whole, whomever it is for.
    ///
    /// # Errors
    /// Names the field that cannot be filled in.
    pub fn new(
        routes: Vec<Route>,
        params: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, FieldError> {
        let compiled = Compiled::new(&routes)?;
        let params = Value::from(Serde(params));
        let mut shared = Vec::with_capacity(routes.len());
        for at in 0..routes.len() {
            let rendered = compiled.try_out(at, &params)?;
            shared.push((!compiled.mentions_staff(at)).then(|| Arc::new(rendered)));
        }
        Ok(Self {
            routes,
            compiled,
            params,
            shared,
        })
    }

    /// Prepares a stored notification.
    ///
    /// # Errors
    /// Names the field that cannot be read or filled in any more.
    pub fn stored(notification: &Notification) -> Result<Self, FieldError> {
        let params = serde_json::from_str(&notification.params)
            .map_err(|error| FieldError::new("params", format!("cannot be read: {error}")))?;
        Self::new(route::parse(&notification.routes)?, &params)
    }

    /// The routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether what a route sends depends on the staff member.
    pub fn mentions_staff(&self, route: usize) -> bool {
        self.compiled.mentions_staff(route)
    }

    /// What a route sends to a staff member.
    ///
    /// # Errors
    /// Names the field that cannot be filled in for them.
    pub fn render(&self, route: usize, staff: Recipient<'_>) -> Result<Arc<Rendered>, FieldError> {
        match self.shared.get(route) {
            Some(Some(rendered)) => Ok(Arc::clone(rendered)),
            _ => self
                .compiled
                .render(route, &self.params, staff)
                .map(Arc::new),
        }
    }
}

/// A stored notification as its deliveries need it.
#[derive(Debug)]
pub struct Ready {
    /// Part of each `client_msg_id`.
    pub nonce: i64,
    /// From when it is not sent any more.
    pub expires_at: Option<NaiveDateTime>,
    /// What to send, or why it cannot be sent any more.
    pub prepared: Result<Prepared, FieldError>,
}

/// The notifications that deliveries were sent of last.
#[derive(Debug, Default)]
pub struct Notifications(Mutex<BTreeMap<NotificationId, Arc<Ready>>>);

impl Notifications {
    /// The one of that id, if it is ready.
    pub fn get(&self, id: NotificationId) -> Option<Arc<Ready>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&id).cloned()
    }

    /// Makes a stored one ready. The oldest go when there are too many.
    pub fn put(&self, notification: &Notification) -> Arc<Ready> {
        let ready = Arc::new(Ready {
            nonce: notification.nonce,
            expires_at: notification.expires_at,
            prepared: Prepared::stored(notification),
        });
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(notification.id, Arc::clone(&ready));
        while kept.len() > KEPT {
            kept.pop_first();
        }
        ready
    }
}
