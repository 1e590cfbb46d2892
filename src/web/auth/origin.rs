//! From where a request comes: a page of another site must not use the cookie of whoever looks at it. Browsers say so
//! themselves; a request that has the cookie and says nothing is refused, if it is to change something.

use actix_web::HttpRequest;
use actix_web::http::header;
use url::Url;

use super::cookie;
use crate::web::State;
use crate::web::error::{Code, Problem};

const FETCH_SITE: &str = "Sec-Fetch-Site";

/// What a request says of where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Our own pages, or somebody who typed the address.
    Own,
    /// Another site.
    Other,
    /// Nothing.
    Unsaid,
}

/// Refuses what changes something and comes from another site; from a request with our cookie also what does not say
/// where it comes from.
pub(super) fn check(state: &State, request: &HttpRequest) -> Result<(), Problem> {
    if request.method().is_safe() {
        return Ok(());
    }
    let has_cookie = cookie::SESSION.of(state, request.headers()).is_some();
    match source(request, &state.bridge.config.server.public_url) {
        Source::Own => Ok(()),
        Source::Unsaid if !has_cookie => Ok(()),
        Source::Other | Source::Unsaid => {
            let detail = "A request with the cookie of a session that changes something must come from a page \
                          of Queqiao: with Sec-Fetch-Site: same-origin, or with its own address in Origin \
                          (see server.public_url). Programs use API keys.";
            Err(Problem::new(Code::CrossSite, detail))
        }
    }
}

fn source(request: &HttpRequest, public_url: &str) -> Source {
    let headers = request.headers();
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if let Some(site) = text(FETCH_SITE) {
        return match site {
            "same-origin" | "none" => Source::Own,
            _ => Source::Other,
        };
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else {
        return Source::Unsaid;
    };
    match is_ours(origin, text(header::HOST.as_str()), public_url) {
        true => Source::Own,
        false => Source::Other,
    }
}

/// Whether an origin is the host that was asked, or the address under which we are reached.
fn is_ours(origin: &str, host: Option<&str>, public_url: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let is_host = |host: &str| {
        let asked = Url::parse(&format!("{}://{host}", origin.scheme()));
        asked.is_ok_and(|asked| asked.origin() == origin.origin())
    };
    let is_public = Url::parse(public_url).is_ok_and(|public| public.origin() == origin.origin());
    let is_web = matches!(origin.scheme(), "http" | "https");
    is_web && (is_public || host.is_some_and(is_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_if_it_is_the_host_or_the_public_address() {
        let public = "https://wx.example.com/";
        for (origin, host, expected) in [
            ("http://127.0.0.1:8080", Some("127.0.0.1:8080"), true),
            ("https://wx.example.com", Some("10.0.0.7:8080"), true),
            ("https://wx.example.com", None, true),
            ("https://WX.example.com:443", Some("inside"), true),
            ("https://inside", Some("inside"), true),
            ("http://wx.example.com", Some("inside"), false),
            ("https://evil.example", Some("wx.example.com"), false),
            (
                "https://wx.example.com.evil.example",
                Some("wx.example.com"),
                false,
            ),
            ("http://127.0.0.1:8081", Some("127.0.0.1:8080"), false),
            ("null", Some("null"), false),
            ("file://", Some(""), false),
            ("", None, false),
        ] {
            assert_eq!(is_ours(origin, host, public), expected, "{origin}");
        }
        assert!(!is_ours("https://a.example", Some("b.example"), ""));
    }
}
