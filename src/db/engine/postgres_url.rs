//! Reads a PostgreSQL URL as libpq does, to say what is wrong with it in words of our own: libpq quotes what it does not
//! understand, which may be the password.

use super::DatabaseUrlError;

/// The parameters that libpq knows.
const PARAMETERS: [&str; 48] = [
    "service",
    "servicefile",
    "user",
    "password",
    "passfile",
    "channel_binding",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "client_encoding",
    "options",
    "application_name",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "connect_timeout",
    "sslmode",
    "sslnegotiation",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslcertmode",
    "sslpassword",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "requirepeer",
    "require_auth",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "min_protocol_version",
    "max_protocol_version",
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "replication",
    "target_session_attrs",
    "load_balance_hosts",
    "scram_client_key",
    "scram_server_key",
    "sslkeylogfile",
    "ssl",
];

const ESCAPES: &str =
    "has a % that two hexadecimal digits other than 00 do not follow: write % itself as %25";
const HOST: &str = "the host";
const QUERY: &str = "the part behind the ?";

fn malformed(part: &'static str, problem: &'static str) -> DatabaseUrlError {
    DatabaseUrlError::Malformed { part, problem }
}

/// Checks what follows the scheme: `user:password@host:port,host:port/database?name=value&…`.
pub(super) fn check(rest: &str) -> Result<(), DatabaseUrlError> {
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let problem = "contains a blank, a line break or a control character: write a blank as %20";
        return Err(malformed("the URL", problem));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    let (user, hosts) = match authority.split_once('@') {
        Some((_, hosts)) if hosts.contains('@') => {
            return Err(malformed(
                "the user or password",
                "contains an @: write it as %40",
            ));
        }
        Some((user, hosts)) => (user, hosts),
        None if path.contains('@') => {
            return Err(malformed(
                "the user or password",
                "contains a /: write it as %2F",
            ));
        }
        None => ("", authority),
    };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    escapes("the user", name)?;
    escapes("the password", password)?;
    let checked = hosts.split(',').try_for_each(host);
    if checked.is_err() && user.is_empty() && query.is_some_and(|query| query.contains('@')) {
        let problem = "has an @: a ? in the password is written %3F";
        return Err(malformed(QUERY, problem));
    }
    checked?;
    escapes("the database", path)?;
    query.map_or(Ok(()), parameters)
}

/// `name`, `name:port` or `[address]:port`.
fn host(text: &str) -> Result<(), DatabaseUrlError> {
    let port = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, behind) = inside
                .split_once(']')
                .ok_or_else(|| malformed(HOST, "has a [ without the ] behind it"))?;
            let address = address.split('%').next().unwrap_or_default();
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(malformed(HOST, "is no IPv6 address between its [ and ]"));
            }
            match behind.strip_prefix(':') {
                Some(port) => port,
                None if behind.is_empty() => "",
                None => return Err(malformed(HOST, "has more than a : and a port behind its ]")),
            }
        }
        None => {
            let (name, port) = text.split_once(':').unwrap_or((text, ""));
            if name.contains(['[', ']']) || port.contains(':') {
                let problem = "has a : or a bracket too many: an IPv6 address stands in [ and ], and the \
                               password before the @";
                return Err(malformed(HOST, problem));
            }
            escapes(HOST, name)?;
            port
        }
    };
    match port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0) {
        true => Ok(()),
        false => Err(malformed(
            "the port",
            "is no whole number from 1 to 65535 (or the @ between password and host is missing)",
        )),
    }
}

fn parameters(query: &str) -> Result<(), DatabaseUrlError> {
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            let problem =
                "is not of pairs name=value joined by &; a ? in the password is written %3F";
            return Err(malformed(QUERY, problem));
        };
        if value.contains('=') {
            return Err(malformed(QUERY, "has a value with a =: write it as %3D"));
        }
        escapes(QUERY, value)?;
        if !PARAMETERS.contains(&name) {
            let problem = "has a name that PostgreSQL's client does not know; a ? in the password is written %3F";
            return Err(malformed(QUERY, problem));
        }
        let is_number = name.ends_with("_timeout") || (name.starts_with("keepalives"));
        if is_number && value.parse::<i32>().is_err() {
            return Err(malformed(
                QUERY,
                "has a time or count that is no whole number",
            ));
        }
    }
    Ok(())
}

/// Every % is followed by two hexadecimal digits, which are not those of NUL.
fn escapes(part: &'static str, text: &str) -> Result<(), DatabaseUrlError> {
    let sound = |rest: &str| {
        let digits = rest.get(..2).unwrap_or_default();
        digits.bytes().all(|b| b.is_ascii_hexdigit()) && digits.len() == 2 && digits != "00"
    };
    match text.split('%').skip(1).all(sound) {
        true => Ok(()),
        false => Err(malformed(part, ESCAPES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_takes_is_taken() {
        for url in [
            "",
            "localhost",
            "u@h",
            "u:p@h:5432/q",
            "u:p%40%2F%25@h/q",
            "u:p:q#r@h/q",
            "h1:1,h2:2/q",
            "[::1]:5432/q",
            "u:p@[fe80::1%25eth0]/q",
            "/q?host=/run/postgresql",
            "h?sslmode=require&connect_timeout=3",
            "%2Frun%2Fpostgresql/q",
            "h/q?application_name=a%20b@c",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_is_malformed_is_named_by_its_part_and_never_quoted() {
        for (url, part) in [
            ("u:100%hunter2pw@h/db", "the password"),
            ("u%zz:hunter2@h/db", "the user"),
            ("u:hun%00ter2@h/db", "the password"),
            ("u:hunter2%@h/db", "the password"),
            ("u:hunter/2pw@h/db", "the user or password"),
            ("u:hunter@2pw@h/db", "the user or password"),
            ("u:hunter 2pw@h/db", "the URL"),
            ("u:hunter\n2pw@h/db", "the URL"),
            ("u:hunter?2pw@h/db", "the part behind the ?"),
            ("u:hunter2pw", "the port"),
            ("h:0/db", "the port"),
            ("h:65536/db", "the port"),
            ("u:p@[hunter2", "the host"),
            ("u:p@[hunter2]/db", "the host"),
            ("u:p@[::1]hunter2/db", "the host"),
            ("u:p@h:1:2/db", "the host"),
            ("u:p@h%zz/db", "the host"),
            ("h/d%zzb", "the database"),
            ("h/db?password=100%hunter2pw", "the part behind the ?"),
            ("h/db?password=hunter2=pw", "the part behind the ?"),
            ("h/db?hunter2=x", "the part behind the ?"),
            ("h/db?hunter2", "the part behind the ?"),
            ("h/db?connect_timeout=hunter2", "the part behind the ?"),
        ] {
            let error = check(url).unwrap_err();
            let told = error.to_string();
            assert!(
                matches!(error, DatabaseUrlError::Malformed { part: named, .. } if named == part),
                "{url}: {told}"
            );
            for piece in ["hunter", "2pw", "hun"] {
                assert!(!told.contains(piece), "{url}: {told}");
            }
        }
    }
}
