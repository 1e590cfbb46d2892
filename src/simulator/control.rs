//! The control API under `/_sim`: the methods of [`World`] for other processes, JSON in and out.

mod accounts;
mod cancellation;
mod consent;
mod people;
mod records;
mod templates;

use std::net::IpAddr;

use actix_web::body::BoxBody;
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, ContentType};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::Serialize;
use serde_json::json;

use super::world::WorldError;

/// Characters of a path that is told back.
const PATH_SHOWN: usize = 200;

/// A route of the control API.
#[derive(Debug, Serialize)]
struct Listed {
    method: &'static str,
    path: &'static str,
    /// What it does, in a sentence.
    does: &'static str,
}

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path, $does:literal;)*) => {
        /// Every route, as `GET /_sim/` lists them.
        const LISTED: &[Listed] = &[
            $(Listed { method: stringify!($method), path: concat!("/_sim", $path), does: $does },)*
        ];

        fn add_all(routes: &mut web::ServiceConfig) {
            $(routes.route($path, web::method(Method::$method).to($handler));)*
        }
    };
}

routes! {
    GET "/accounts" => accounts::list, "Lists the accounts with their secrets.";
    POST "/accounts" => accounts::add, "Adds an account; what is not given is made up. `test_account` makes it one of WeChat's test accounts (接口测试号).";
    PATCH "/accounts/{app_id}" => accounts::change, "Changes an account's settings; what is not given stays.";
    GET "/accounts/{app_id}/templates" => templates::list, "Lists the account's templates.";
    POST "/accounts/{app_id}/templates" => templates::add, "Adds a template.";
    PUT "/accounts/{app_id}/templates/{template_id}" => templates::change, "Replaces a template.";
    DELETE "/accounts/{app_id}/templates/{template_id}" => templates::remove, "Deletes a template: sending it is refused with 40037.";
    POST "/accounts/{app_id}/receipts" => accounts::set_receipt, "Says how receipts arrive, for one person or everybody: late, twice, held, failed, or never.";
    POST "/accounts/{app_id}/receipts/release" => accounts::release_receipts, "Pushes the receipts that were held.";
    POST "/accounts/{app_id}/budgets" => accounts::set_budget, "Limits a call to so many a day (45009) or a minute (45011).";
    DELETE "/accounts/{app_id}/tokens" => accounts::invalidate_tokens, "Makes all access tokens of the account invalid.";
    POST "/accounts/{app_id}/callback/verify" => accounts::verify_callback, "Checks the callback URL as WeChat's console does.";
    POST "/accounts/{app_id}/pushes/raw" => accounts::push_raw, "Pushes a body as it is given, signed and sealed as the account's mode demands.";
    POST "/accounts/{app_id}/pushes/copies" => accounts::set_copies, "Sends every push so many times.";
    POST "/accounts/{app_id}/pushes/hold" => accounts::hold_pushes, "Holds all pushes until they are released.";
    POST "/accounts/{app_id}/pushes/release" => accounts::release_pushes, "Sends the held pushes, in a given order.";
    POST "/accounts/{app_id}/migrate" => accounts::migrate, "Moves the account's followers to another account, with openids of their own (changeopenid).";
    POST "/accounts/{app_id}/followers" => people::add_followers, "Lets many people follow without pushes, as if they had before.";
    POST "/accounts/{app_id}/follow_many" => people::follow_many, "Lets many people follow, with a push for each.";
    POST "/accounts/{app_id}/people/{person}/follow" => people::follow, "The person follows the account.";
    POST "/accounts/{app_id}/people/{person}/unfollow" => people::unfollow, "The person stops following.";
    POST "/accounts/{app_id}/people/{person}/scan" => people::scan, "The person scans one of the account's QR codes.";
    POST "/accounts/{app_id}/people/{person}/click" => people::click, "The person taps an entry of the menu.";
    POST "/accounts/{app_id}/people/{person}/menu_scan" => people::scan_from_menu, "The person scans something from the menu.";
    POST "/accounts/{app_id}/people/{person}/text" => people::send_text, "The person writes a text; it is pushed unescaped, also with `]]>` in it.";
    POST "/accounts/{app_id}/people/{person}/menu_message" => people::tap_menu_message, "The person taps an entry of a menu message.";
    POST "/accounts/{app_id}/people/{person}/enter_chat" => people::enter_chat, "The person opens the customer chat of the mini-program.";
    POST "/accounts/{app_id}/people/{person}/login" => people::log_in, "The person opens the mini-program; gives the code of wx.login.";
    POST "/accounts/{app_id}/people/{person}/popup" => consent::answer_popup, "The person answers the pop-up that asks for subscription messages.";
    POST "/accounts/{app_id}/people/{person}/withdraw" => consent::withdraw, "The person withdraws permissions in WeChat's settings.";
    GET "/accounts/{app_id}/people/{person}/grants" => consent::grants, "Shows the person's permissions as WeChat has them.";
    POST "/accounts/{app_id}/people/{person}/switch" => consent::switch, "The person switches a template's messages off or on inside WeChat (43101).";
    POST "/accounts/{app_id}/people/{person}/restrict" => consent::restrict, "Restricts the person's account, or lifts that (50002).";
    POST "/accounts/{app_id}/verification" => cancellation::verification, "Pushes an event of the account's yearly verification.";
    DELETE "/accounts/{app_id}/followers" => people::remove_followers, "Lets many people leave without pushes.";
    PUT "/accounts/{app_id}/list" => people::set_list_rule, "Makes the follower list odd, as it is while people come and go.";
    POST "/accounts/{app_id}/profiles/late" => people::set_late_profile, "Lets profiles say subscribe: 0 for some questions, or for some seconds after a follow.";
    POST "/accounts/{app_id}/people/{person}/cancel" => cancellation::cancel, "The person deletes their WeChat account (user_authorization_cancellation).";
    POST "/people" => people::add, "Adds people.";
    GET "/people/{person}" => people::get, "Shows a person with their openids and unionid.";
    PUT "/people/{person}/profile" => people::set_profile, "Sets what WeChat tells of the person.";
    POST "/unionids" => people::change_unionids, "Gives everybody of an Open Platform account another unionid.";
    GET "/faults" => records::faults, "Lists the faults that are set.";
    POST "/faults" => records::add_fault, "Sets a fault: the next calls of a path fail, hang, come late or are refused with an errcode.";
    DELETE "/faults" => records::clear_faults, "Removes all faults.";
    POST "/latency" => records::set_latency, "Makes a call answer late, every time.";
    POST "/time/advance" => records::advance, "Moves WeChat's clock forward.";
    GET "/messages" => records::messages, "Lists the messages that people got.";
    GET "/pushes" => records::pushes, "Lists the pushes with their attempts and answers.";
    GET "/calls" => records::calls, "Counts the calls of each path.";
    GET "/stats" => records::stats, "Counts messages, pushes and calls.";
    DELETE "/records" => records::clear, "Forgets messages, pushes and counts.";
}

pub(super) fn routes(routes: &mut web::ServiceConfig) {
    routes.app_data(web::JsonConfig::default().error_handler(|error, _| {
        let body = json!({ "error": error.to_string() });
        let answer = HttpResponse::BadRequest().json(body);
        InternalError::from_response(error, answer).into()
    }));
    routes
        .route("", web::get().to(list))
        .route("/", web::get().to(list));
    add_all(routes);
    routes.default_service(web::to(nowhere));
}

/// A page in a browser can neither name this machine as its own host nor post here.
pub(super) async fn only_local(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    // The port may be any: it is the name that rebinding needs.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_own = is_address || name.eq_ignore_ascii_case("localhost");
    if is_own && !request.headers().contains_key(header::ORIGIN) {
        return next.call(request).await;
    }
    let error = "the control API takes requests to an address or localhost, and none from a page";
    let answer = HttpResponse::Forbidden().json(json!({ "error": error }));
    Ok(request.into_response(answer))
}

/// Every route with a sentence.
async fn list() -> HttpResponse {
    let listed = json!({
        "documentation": "docs/simulator.md of Queqiao's source",
        "routes": LISTED,
    });
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(format!("{listed:#}\n"))
}

/// What no route takes, with the methods that its path has.
async fn nowhere(request: HttpRequest) -> HttpResponse {
    let (method, path) = (request.method(), request.path());
    let methods: Vec<&str> = LISTED
        .iter()
        .filter(|route| ResourceDef::new(route.path).is_match(path))
        .map(|route| route.method)
        .collect();
    let path: String = path.chars().take(PATH_SHOWN).collect();
    let advice = match methods.is_empty() {
        true => "GET /_sim/ lists the routes".to_owned(),
        false => format!("the path has {}", methods.join(", ")),
    };
    let error = format!("there is no route {method} {path}: {advice}");
    HttpResponse::NotFound().json(json!({ "error": error }))
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
