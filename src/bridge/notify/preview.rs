//! What a request to notify would send over each route, and what of it would be refused.

use super::NotifyError;
use super::request::params_json;
use crate::bridge::Bridge;
use crate::bridge::limits::check_id;
use crate::bridge::planning::senders::{known_accounts, sender};
use crate::bridge::routes::{self, Compiled, Manner, Params, Preview, Recipient, Route};
use crate::bridge::templates::{Library, RouteProblem};
use crate::ids::ProjectId;
use crate::ids::text::TextId;
use crate::models::notification::message_type;

/// What to fill a message type in with.
#[derive(Clone, Debug)]
pub struct PreviewRequest {
    /// The name of the message type.
    pub message_type: String,
    /// The params that a request would have.
    pub params: Params,
    /// What is wanted otherwise than the routes say.
    pub manner: Manner,
    /// The staff member whom it is for; they need not exist.
    pub staff: Option<PreviewStaff>,
}

/// A staff member to try a message with.
#[derive(Clone, Debug)]
pub struct PreviewStaff {
    /// The business's own id.
    pub id: String,
    /// A name, if they have one.
    pub name: Option<String>,
}

/// One route of the message type, filled in.
#[derive(Clone, Debug)]
pub struct RoutePreview {
    /// The route.
    pub route: Route,
    /// What it would send.
    pub preview: Preview,
    /// What is wrong with it as far as the template is known.
    pub problems: Vec<RouteProblem>,
}

impl Bridge {
    /// Fills in every route of a message type. Nothing is stored or sent.
    ///
    /// # Errors
    /// If the request itself cannot be taken. What is wrong with a route is in its preview.
    pub async fn preview(
        &self,
        project: ProjectId,
        request: PreviewRequest,
    ) -> Result<Vec<RoutePreview>, NotifyError> {
        params_json(&request.params)?;
        if let Some(staff) = &request.staff {
            check_id(&"staff.id", TextId::StaffId, &staff.id)?;
        }
        let name = request.message_type.clone();
        let found = self.db.snapshot(move |conn| -> Result<_, NotifyError> {
            let stored = message_type::find(conn, project, &name)?
                .ok_or(NotifyError::UnknownMessageType(name))?;
            let library = Library::of(conn, project)?;
            Ok((stored, known_accounts(conn, project)?, library))
        });
        let (stored, known, library) = found.await?;
        let in_route = |source| NotifyError::Route {
            name: request.message_type.clone(),
            source,
        };
        let mut routes = routes::parse(&stored.routes).map_err(in_route)?;
        request.manner.apply(&mut routes);
        let compiled = Compiled::new(&routes, self.config.customer.text_bytes).map_err(in_route)?;
        let staff = request.staff.as_ref().map(|staff| Recipient {
            id: Some(&staff.id),
            name: staff.name.as_deref(),
        });
        let mut problems = library.problems(&routes);
        let look = |(at, route): (usize, Route)| {
            let mut preview = compiled.preview(at, &request.params, staff);
            if let Err(error) = sender(&known, at, &route) {
                preview.errors.insert(0, error);
            }
            let mut problems: Vec<_> = problems.extract_if(.., |one| one.route == at).collect();
            problems.extend(library.unlisted(at, &route, &preview.fields));
            RoutePreview {
                route,
                preview,
                problems,
            }
        };
        Ok(routes.into_iter().enumerate().map(look).collect())
    }
}
