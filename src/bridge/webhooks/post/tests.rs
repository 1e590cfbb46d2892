use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::bridge::webhooks::sign::new_secret;
use crate::config::Config;

fn poster(allow_private: bool, timeout_ms: u64) -> Poster {
    let mut settings = Config::default().webhooks;
    settings.allow_private_addresses = allow_private;
    settings.timeout_ms = timeout_ms;
    Poster::new(&settings)
}

/// A server that gives each connection this answer, and tells what it was asked.
fn server(answer: String) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = vec![0; 8_192];
            let read = stream.read(&mut request).unwrap_or_default();
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            if asked.send(text).is_err() {
                return;
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, requests)
}

async fn post(poster: &Poster, url: &str) -> Result<Answer, PostError> {
    let secrets = [new_secret()];
    let parcel = Parcel {
        id: "msg_1",
        timestamp: 1_767_225_600,
        secrets: &secrets,
        body: "{}",
    };
    poster.post(url, &parcel).await
}

#[test]
fn urls_are_read_strictly() {
    let guarded = poster(false, 1_000);
    for (url, expected) in [
        ("https://example.com/hook?x=1", None),
        ("http://example.com:8080", None),
        ("https://1.1.1.1/", None),
        ("ftp://example.com", Some(UrlError::Malformed)),
        ("file:///etc/passwd", Some(UrlError::Malformed)),
        ("/hook", Some(UrlError::Malformed)),
        ("https://", Some(UrlError::Malformed)),
        ("https://user@example.com", Some(UrlError::Credentials)),
        ("https://u:p@example.com", Some(UrlError::Credentials)),
        ("https://example.com/#x", Some(UrlError::Credentials)),
        ("http://127.0.0.1", Some(UrlError::Private)),
        ("http://2130706433/", Some(UrlError::Private)),
        ("http://0x7f.1/", Some(UrlError::Private)),
        ("http://017700000001/", Some(UrlError::Private)),
        ("http://[::1]:80/", Some(UrlError::Private)),
        ("http://[::ffff:10.0.0.1]/", Some(UrlError::Private)),
        ("http://169.254.169.254/latest", Some(UrlError::Metadata)),
        ("http://[fd00:ec2::254]/", Some(UrlError::Metadata)),
        ("http://metadata.google.internal/", Some(UrlError::Metadata)),
        ("http://localhost:1/", Some(UrlError::Private)),
        ("http://LOCALHOST./", Some(UrlError::Private)),
        ("http://x.localhost/", Some(UrlError::Private)),
    ] {
        assert_eq!(guarded.read_url(url).err(), expected, "{url}");
    }
    assert!(poster(true, 1_000).read_url("http://127.0.0.1:1/").is_ok());
    let long = format!("https://example.com/{}", "x".repeat(ENDPOINT_URL_MAX));
    assert_eq!(guarded.read_url(&long), Err(UrlError::Malformed));
}

#[tokio::test]
async fn a_private_address_is_not_connected_to() {
    let (port, requests) = server(String::new());
    let guarded = poster(false, 5_000);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let answer = post(&guarded, &format!("http://{host}:{port}/")).await;
        assert_eq!(answer, Err(PostError::Refused(UrlError::Private)), "{host}");
    }
    assert!(requests.try_recv().is_err());
}

/// The name is only looked up when the connection is made: the check of the URL knows nothing of
/// it, and that of the address refuses it all the same.
#[tokio::test]
async fn a_name_is_judged_by_the_address_it_has_when_connecting() {
    let resolver = Guarded {
        allow_private: false,
        patience: Duration::from_secs(60),
    };
    let error = resolver
        .resolve("localhost".parse().unwrap())
        .await
        .err()
        .unwrap();
    let error = error.downcast::<io::Error>().unwrap();
    let error = error.get_ref().unwrap().downcast_ref::<UrlError>();
    assert_eq!(error, Some(&UrlError::NoAddress));
    let open = Guarded {
        allow_private: true,
        patience: Duration::from_secs(60),
    };
    assert!(
        open.resolve("localhost".parse().unwrap())
            .await
            .unwrap()
            .count()
            > 0
    );
    // The client's own words for what the resolver refuses.
    let (port, requests) = server(String::new());
    let http = client(Duration::from_secs(5), Duration::from_secs(5), false).unwrap();
    let sent = http.post(format!("http://localhost:{port}/")).send().await;
    let inside = failure(&sent.unwrap_err());
    assert_eq!(inside, PostError::Refused(UrlError::NoAddress));
    assert!(requests.try_recv().is_err());
    // A name that nobody knows is told by nothing from one of this network.
    let sent = http.post("http://nobody-has-this-name.invalid/").send();
    let unknown = failure(&sent.await.unwrap_err());
    assert_eq!(unknown, inside);
    assert_eq!(unknown.to_string(), inside.to_string());
}

#[test]
fn what_clouds_tell_their_machines_is_refused_whatever_is_allowed() {
    let open = poster(true, 1_000);
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://0xa9fea9fe/",
        "http://169.254.0.23/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://METADATA.google.internal./",
        "http://metadata.tencentyun.com/latest",
    ] {
        assert_eq!(open.read_url(url), Err(UrlError::Metadata), "{url}");
    }
    for url in [
        "http://127.0.0.1/",
        "http://10.0.0.1/",
        "http://hooks.internal/",
    ] {
        assert!(open.read_url(url).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (target, asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned());
    let (port, _requests) = server(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{target}/\r\ncontent-length: 0\r\n\r\n"
    ));
    let answer = post(&poster(true, 5_000), &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(answer.unwrap().status, 307);
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn the_headers_are_those_of_the_specification_and_the_answer_is_cut() {
    let long = format!("\u{1b}[31m不{}", "x".repeat(40_000));
    let (port, requests) = server(format!(
        "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: {}\r\n\r\n{long}",
        long.len()
    ));
    let answer = post(
        &poster(true, 5_000),
        &format!("http://127.0.0.1:{port}/hook?a=b"),
    )
    .await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.retry_after), (503, Some(7)));
    assert!(
        answer.excerpt.starts_with("[31m不xxx"),
        "{}",
        answer.excerpt
    );
    assert!(answer.excerpt.len() <= KEPT);
    let request = requests.recv().unwrap().to_ascii_lowercase();
    assert!(
        request.starts_with("post /hook?a=b http/1.1\r\n"),
        "{request}"
    );
    for header in [
        "webhook-id: msg_1",
        "webhook-timestamp: 1767225600",
        "webhook-signature: v1,",
        "content-type: application/json",
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
}

#[tokio::test]
async fn silence_and_absence_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().port();
    let answer = post(&poster(true, 300), &format!("http://127.0.0.1:{silent}/")).await;
    assert_eq!(answer, Err(PostError::TimeOut));
    drop(listener);
    let answer = post(&poster(true, 5_000), &format!("http://127.0.0.1:{silent}/")).await;
    assert!(
        matches!(answer, Err(PostError::NotReached(_))),
        "{answer:?}"
    );
}
