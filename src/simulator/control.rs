//! The control API under `/_sim`: the methods of [`World`] for other processes, JSON in and out.

mod accounts;
mod cancellation;
mod consent;
mod people;
mod records;
mod templates;

use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::web::{delete, get, patch, post, put};
use actix_web::{HttpResponse, ResponseError, web};
use serde_json::json;

use super::world::WorldError;

pub(super) fn routes(routes: &mut web::ServiceConfig) {
    routes
        .app_data(web::JsonConfig::default().error_handler(|error, _| {
            let body = json!({ "error": error.to_string() });
            let answer = HttpResponse::BadRequest().json(body);
            InternalError::from_response(error, answer).into()
        }))
        .service(web::scope("/accounts/{app_id}/people/{person}").configure(of_a_person))
        .service(web::scope("/accounts/{app_id}").configure(of_an_account))
        .route("/accounts", get().to(accounts::list))
        .route("/accounts", post().to(accounts::add))
        .route("/people", post().to(people::add))
        .route("/people/{person}", get().to(people::get))
        .route("/people/{person}/profile", put().to(people::set_profile))
        .route("/unionids", post().to(people::change_unionids))
        .route("/faults", get().to(records::faults))
        .route("/faults", post().to(records::add_fault))
        .route("/faults", delete().to(records::clear_faults))
        .route("/latency", post().to(records::set_latency))
        .route("/time/advance", post().to(records::advance))
        .route("/messages", get().to(records::messages))
        .route("/pushes", get().to(records::pushes))
        .route("/calls", get().to(records::calls))
        .route("/stats", get().to(records::stats))
        .route("/records", delete().to(records::clear));
}

fn of_an_account(routes: &mut web::ServiceConfig) {
    routes
        .route("", patch().to(accounts::change))
        .route("/templates", get().to(templates::list))
        .route("/templates", post().to(templates::add))
        .route("/templates/{template_id}", put().to(templates::change))
        .route("/templates/{template_id}", delete().to(templates::remove))
        .route("/receipts", post().to(accounts::set_receipt))
        .route("/receipts/release", post().to(accounts::release_receipts))
        .route("/budgets", post().to(accounts::set_budget))
        .route("/tokens", delete().to(accounts::invalidate_tokens))
        .route("/callback/verify", post().to(accounts::verify_callback))
        .route("/pushes/raw", post().to(accounts::push_raw))
        .route("/pushes/copies", post().to(accounts::set_copies))
        .route("/pushes/hold", post().to(accounts::hold_pushes))
        .route("/pushes/release", post().to(accounts::release_pushes))
        .route("/migrate", post().to(accounts::migrate))
        .route("/verification", post().to(cancellation::verification))
        .route("/followers", post().to(people::add_followers))
        .route("/followers", delete().to(people::remove_followers))
        .route("/list", put().to(people::set_list_rule))
        .route("/profiles/late", post().to(people::set_late_profile))
        .route("/follow_many", post().to(people::follow_many));
}

fn of_a_person(routes: &mut web::ServiceConfig) {
    routes
        .route("/follow", post().to(people::follow))
        .route("/unfollow", post().to(people::unfollow))
        .route("/cancel", post().to(cancellation::cancel))
        .route("/scan", post().to(people::scan))
        .route("/click", post().to(people::click))
        .route("/menu_scan", post().to(people::scan_from_menu))
        .route("/text", post().to(people::send_text))
        .route("/menu_message", post().to(people::tap_menu_message))
        .route("/enter_chat", post().to(people::enter_chat))
        .route("/login", post().to(people::log_in))
        .route("/popup", post().to(consent::answer_popup))
        .route("/withdraw", post().to(consent::withdraw))
        .route("/grants", get().to(consent::grants))
        .route("/switch", post().to(consent::switch))
        .route("/restrict", post().to(consent::restrict));
}

impl ResponseError for WorldError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::UnknownAccount(_) | Self::UnknownPerson { .. } | Self::UnknownTemplate(_) => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let body = json!({ "error": self.to_string() });
        HttpResponse::build(self.status_code()).json(body)
    }
}

/// The answer to what has no other.
fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
