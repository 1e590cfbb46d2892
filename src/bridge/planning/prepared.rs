//! Notifications ready to be sent: parsed and compiled once, and rendered once where what they say
//! does not depend on the staff member.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDateTime;
use minijinja::Value;

use crate::bridge::limits::FieldError;
use crate::bridge::routes::{self, Compiled, Params, Recipient, Rendered, Route};
use crate::bridge::windows;
use crate::config::Customer;
use crate::db::{Conn, QueryResult};
use crate::ids::{NotificationId, ProjectId, VersionId};
use crate::models::delivery::Edition;
use crate::models::identity::windows::Rules;
use crate::models::notification::message_type::{self, Version};
use crate::models::notification::{self, Notification};

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
        params: &Params,
        customer: &Customer,
    ) -> Result<Self, FieldError> {
        let compiled = Compiled::new(&routes, customer.text_bytes)?;
        let params = params.value();
        let mut shared = Vec::with_capacity(routes.len());
        for at in 0..routes.len() {
            let rendered = compiled.try_out(at, &params)?;
            shared.push((!compiled.mentions_staff(at)).then(|| Arc::new(rendered)));
        }
        Ok(Self {
            routes,
            compiled,
            params,
            windows: windows::rules(customer),
            shared,
        })
    }

    /// Prepares a stored notification over routes of it, as JSON.
    ///
    /// # Errors
    /// Names the field that cannot be read or filled in any more.
    pub fn stored(
        notification: &Notification,
        routes: &str,
        customer: &Customer,
    ) -> Result<Self, FieldError> {
        let params = Params::read(&notification.params)
            .map_err(|error| FieldError::new("params", format!("cannot be read: {error}")))?;
        Self::new(routes::parse(routes)?, &params, customer)
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
pub struct CachedNotification {
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

/// What the deliveries of a batch send.
pub type Editions = HashMap<Edition, Arc<CachedNotification>>;

/// The notifications that deliveries were sent of last.
#[derive(Debug)]
pub struct Notifications {
    kept: Mutex<Kept>,
    customer: Customer,
}

/// Editions that are ready, each with when it was last used.
#[derive(Debug, Default)]
struct Kept {
    ready: HashMap<Edition, (Arc<CachedNotification>, u64)>,
    uses: u64,
}

impl Kept {
    fn get(&mut self, edition: Edition) -> Option<Arc<CachedNotification>> {
        let (ready, used) = self.ready.get_mut(&edition)?;
        self.uses += 1;
        *used = self.uses;
        Some(Arc::clone(ready))
    }

    /// What was not used for longest goes when there are too many: a large notification is used all the
    /// time, however old it is. They are few enough to look at them all.
    fn put(&mut self, edition: Edition, ready: Arc<CachedNotification>) {
        self.uses += 1;
        self.ready.insert(edition, (ready, self.uses));
        while self.ready.len() > KEPT {
            let all = self.ready.iter();
            let oldest = all.min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(edition, _)| *edition) else {
                return;
            };
            self.ready.remove(&oldest);
        }
    }
}

impl Notifications {
    /// Starts with none.
    pub fn new(customer: &Customer) -> Self {
        Self {
            kept: Mutex::default(),
            customer: customer.clone(),
        }
    }

    /// The one of that edition, if it is ready.
    fn get(&self, edition: Edition) -> Option<Arc<CachedNotification>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(edition)
    }

    /// What deliveries send, ready; what is not ready yet is read.
    ///
    /// # Errors
    /// If the database fails.
    pub fn gather(
        &self,
        conn: &mut Conn,
        wanted: impl IntoIterator<Item = Edition>,
    ) -> QueryResult<Editions> {
        let wanted: BTreeSet<Edition> = wanted.into_iter().collect();
        let (mut ready, mut missing) = (Editions::with_capacity(wanted.len()), Vec::new());
        for edition in wanted {
            match self.get(edition) {
                Some(known) => drop(ready.insert(edition, known)),
                None => missing.push(edition),
            }
        }
        if missing.is_empty() {
            return Ok(ready);
        }
        let mut ids: Vec<NotificationId> = missing.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        let routes: BTreeSet<VersionId> = missing.iter().filter_map(|(_, id)| *id).collect();
        let routes: Vec<VersionId> = routes.into_iter().collect();
        let (stored, versions) = (
            notification::by_ids(conn, &ids)?,
            message_type::versions(conn, &routes)?,
        );
        for (id, routes_id) in missing {
            let Some(notification) = stored.iter().find(|stored| stored.id == id) else {
                continue;
            };
            let version = versions
                .iter()
                .find(|version| Some(version.id) == routes_id);
            // A number of a route means nothing among other routes.
            if version.is_none() && routes_id.is_some() {
                continue;
            }
            ready.insert((id, routes_id), self.put(notification, version));
        }
        Ok(ready)
    }

    /// Makes a stored one ready, and keeps it.
    fn put(
        &self,
        notification: &Notification,
        version: Option<&Version>,
    ) -> Arc<CachedNotification> {
        let routes = version.map_or(&notification.routes, |version| &version.routes);
        let ready = Arc::new(CachedNotification {
            nonce: notification.nonce,
            project_id: notification.project_id,
            message_type: notification.message_type.clone(),
            created_at: notification.created_at,
            expires_at: notification.expires_at,
            prepared: Prepared::stored(notification, routes, &self.customer),
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let edition = (notification.id, version.map(|version| version.id));
        kept.put(edition, Arc::clone(&ready));
        ready
    }
}
