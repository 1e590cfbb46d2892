//! Notifications ready to be sent: parsed and compiled once, and rendered once where what they say
//! does not depend on the staff member.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDateTime;
use minijinja::value::{Serde, Value};

use super::route::{self, Compiled, FieldError, Recipient, Rendered, Route};
use super::window;
use crate::config::Customer;
use crate::ids::{NotificationId, ProjectId};
use crate::models::identity::window::Rules;
use crate::models::notification::Notification;

/// Notifications kept ready; deliveries of the same one come together, so few suffice.
const KEPT: usize = 64;
/// One notification, ready.
#[derive(Debug)]
pub struct Prepared {
    routes: Vec<Route>,
    compiled: Compiled,
    params: Value,
    /// What customer messages are allowed.
    windows: Rules,
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
        customer: &Customer,
    ) -> Result<Self, FieldError> {
        let compiled = Compiled::new(&routes, customer.text_bytes)?;
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
            windows: window::rules(customer),
            shared,
        })
    }

    /// Prepares a stored notification.
    ///
    /// # Errors
    /// Names the field that cannot be read or filled in any more.
    pub fn stored(notification: &Notification, customer: &Customer) -> Result<Self, FieldError> {
        let params = serde_json::from_str(&notification.params)
            .map_err(|error| FieldError::new("params", format!("cannot be read: {error}")))?;
        Self::new(route::parse(&notification.routes)?, &params, customer)
    }

    /// The routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// What customer messages are allowed.
    pub fn windows(&self) -> &Rules {
        &self.windows
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
    /// Its project.
    pub project_id: ProjectId,
    /// The name of its message type.
    pub message_type: String,
    /// When it was accepted.
    pub created_at: NaiveDateTime,
    /// From when it is not sent any more.
    pub expires_at: Option<NaiveDateTime>,
    /// What to send, or why it cannot be sent any more.
    pub prepared: Result<Prepared, FieldError>,
}

/// The notifications that deliveries were sent of last.
#[derive(Debug)]
pub struct Notifications {
    kept: Mutex<BTreeMap<NotificationId, Arc<Ready>>>,
    customer: Customer,
}

impl Notifications {
    /// Starts with none.
    pub fn new(customer: &Customer) -> Self {
        Self {
            kept: Mutex::default(),
            customer: customer.clone(),
        }
    }

    /// The one of that id, if it is ready.
    pub fn get(&self, id: NotificationId) -> Option<Arc<Ready>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&id).cloned()
    }

    /// Makes a stored one ready. The oldest go when there are too many.
    pub fn put(&self, notification: &Notification) -> Arc<Ready> {
        let ready = Arc::new(Ready {
            nonce: notification.nonce,
            project_id: notification.project_id,
            message_type: notification.message_type.clone(),
            created_at: notification.created_at,
            expires_at: notification.expires_at,
            prepared: Prepared::stored(notification, &self.customer),
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(notification.id, Arc::clone(&ready));
        while kept.len() > KEPT {
            kept.pop_first();
        }
        ready
    }
}
