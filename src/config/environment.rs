//! Which `QUEQIAO_…` variables are settings. One that is misspelt is refused: ignored without a
//! word, it would leave a default in force that the operator believes changed.

use std::ffi::OsString;
use std::net::IpAddr;

use config::{Config as Source, File, FileFormat, Map};

use super::oidc::CLIENT_SECRET;
use super::ranges::settings_of;
use super::{ConfigError, DEFAULTS};

const PREFIX: &str = "QUEQIAO_";

/// Variables with a meaning of their own, beside the settings.
const OWN: [&str; 6] = [
    "QUEQIAO_DATA_DIR",
    "QUEQIAO_CONFIG",
    "QUEQIAO_LOG_FORMAT",
    "QUEQIAO_MASTER_KEY",
    "QUEQIAO_USER_PASSWORD",
    CLIENT_SECRET,
];

/// The variables that are settings.
///
/// # Errors
/// Names a variable that begins like one and is none.
pub(super) fn settings() -> Result<Map<String, String>, ConfigError> {
    text_of(std::env::vars_os()).and_then(|variables| select(variables.into_iter()))
}

/// The variables that are text. Others are of no concern here, as long as they are not ours: then they
/// would be taken for unset.
fn text_of(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut texts = Vec::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => texts.push((name, value)),
            (Ok(name), Err(_)) if is_ours(&name) => return Err(ConfigError::NotText(name)),
            (Err(name), _) if is_ours(&name.to_string_lossy()) => {
                let name = name.to_string_lossy().into_owned();
                return Err(ConfigError::NotText(name));
            }
            _ => {}
        }
    }
    Ok(texts)
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || name == "DATABASE_URL"
}

fn select(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Map<String, String>, ConfigError> {
    let ours: Vec<(String, String)> = variables
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    let services = Services::among(&ours);
    let mut settings = Map::new();
    for (name, value) in ours {
        if name == "QUEQIAO_DATA_DIR" || name.contains("__") {
            settings.insert(name, value);
        } else if !OWN.contains(&name.as_str()) && !services.has(&name, &value) {
            let hint = hint(&name);
            return Err(ConfigError::Variable { name, hint });
        }
    }
    Ok(settings)
}

/// Kubernetes tells each pod of the services around it in variables that begin with their names, for
/// example `QUEQIAO_SERVICE_HOST=10.0.0.7` and `QUEQIAO_PORT_8080_TCP=tcp://10.0.0.7:8080` of a service
/// `queqiao`. A name alone proves nothing: `QUEQIAO_SERVER_PORT=9000` is a misspelt setting. So a
/// service is known by an address, and its other variables by the whole of their names.
struct Services(Vec<String>);

impl Services {
    fn among(variables: &[(String, String)]) -> Self {
        let service = |(name, value): &(String, String)| {
            let host = name.strip_suffix("_SERVICE_HOST");
            let host = host.filter(|_| value.parse::<IpAddr>().is_ok());
            let port = || name.strip_suffix("_PORT").filter(|_| is_address(value));
            host.or_else(port).map(str::to_owned)
        };
        Self(variables.iter().filter_map(service).collect())
    }

    /// Whether this is one of the variables by which Kubernetes tells of a service.
    fn has(&self, name: &str, value: &str) -> bool {
        let of = |service: &String| {
            let rest = name.strip_prefix(service.as_str());
            rest.is_some_and(|rest| is_of_service(rest, value))
        };
        self.0.iter().any(of) || is_port_address(name, value)
    }
}

/// Whether a service has a variable that ends so.
fn is_of_service(rest: &str, value: &str) -> bool {
    match rest {
        "_SERVICE_HOST" => value.parse::<IpAddr>().is_ok(),
        "_SERVICE_PORT" => is_number(value),
        "_PORT" => is_address(value),
        _ => match rest.strip_prefix("_SERVICE_PORT_") {
            Some(port) => !port.is_empty() && is_number(value),
            None => rest.strip_prefix("_PORT_").is_some_and(is_of_port),
        },
    }
}

/// Whether the name ends in `_PORT_8080_TCP` or the like, and the value is an address.
fn is_port_address(name: &str, value: &str) -> bool {
    let of_port = name.rsplit_once("_PORT_");
    of_port.is_some_and(|(_, port)| is_of_port(port)) && is_address(value)
}

/// `8080_TCP`, `8080_TCP_ADDR` and the like.
fn is_of_port(text: &str) -> bool {
    let mut parts = text.split('_');
    let number = parts.next().is_some_and(is_number);
    let protocol = parts.next();
    number
        && protocol.is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
        && parts
            .next()
            .is_none_or(|part| ["ADDR", "PORT", "PROTO"].contains(&part))
        && parts.next().is_none()
}

fn is_number(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_address(value: &str) -> bool {
    let schemes = ["tcp://", "udp://", "sctp://"];
    schemes.iter().any(|scheme| value.starts_with(scheme))
}

/// The setting that the name means when underscores are not counted.
fn hint(name: &str) -> String {
    let bare = |text: &str| text.replace('_', "").to_ascii_uppercase();
    let meant = bare(name.strip_prefix(PREFIX).unwrap_or(name));
    let mut known = names().into_iter();
    match known.find(|path| bare(&path.replace('.', "")) == meant) {
        Some(path) => {
            let variable = path.replace('.', "__").to_ascii_uppercase();
            format!(": {path} is set by {PREFIX}{variable}, with two underscores after the section")
        }
        None => {
            ". See src/config/defaults.toml for all settings: QUEQIAO_SERVER__BIND sets bind in \
                 [server]; unset the variable if it is not meant for Queqiao"
                .to_owned()
        }
    }
}

/// The name of every setting in the defaults: `server.bind` and so on.
fn names() -> Vec<String> {
    let defaults = Source::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    // The defaults are part of the program, and tested.
    let defaults = defaults.build().ok();
    let settings = defaults.as_ref().map(settings_of).unwrap_or_default();
    settings.into_iter().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<Map<String, String>, String> {
        let variables = names
            .iter()
            .map(|name| ((*name).to_owned(), "1".to_owned()));
        select(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_that_is_no_setting_is_refused_with_the_one_that_was_meant() {
        for (name, meant) in [
            ("QUEQIAO_WECHAT_BASE_URL", "QUEQIAO_WECHAT__BASE_URL"),
            ("QUEQIAO_SERVER_BIND", "QUEQIAO_SERVER__BIND"),
            ("QUEQIAO_DATADIR", "QUEQIAO_DATA_DIR"),
            (
                "QUEQIAO_BUDGETS_TEMPLATE_SEND_PER_DAY",
                "QUEQIAO_BUDGETS__TEMPLATE_SEND__PER_DAY",
            ),
            ("QUEQIAO_PORTS", "defaults.toml"),
            ("QUEQIAO_DATABASE_URL", "defaults.toml"),
        ] {
            let text = of(&[name]).unwrap_err();
            assert!(text.contains(name) && text.contains(meant), "{text}");
        }
    }

    #[test]
    fn what_is_not_meant_as_a_setting_is_left_alone() {
        let names = [
            "QUEQIAO_MASTER_KEY",
            "QUEQIAO_CONFIG",
            "QUEQIAO_LOG_FORMAT",
            "QUEQIAO_USER_PASSWORD",
            "DATABASE_URL",
            "PATH",
        ];
        assert!(of(&names).unwrap().is_empty());
        let settings = of(&["QUEQIAO_DATA_DIR", "QUEQIAO_SERVER__BIND"]).unwrap();
        assert_eq!(settings.len(), 2);
    }

    fn with(variables: &[(&str, &str)]) -> Result<usize, String> {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let selected = select(owned).map_err(|error| error.to_string())?;
        Ok(selected.len())
    }

    #[test]
    fn what_kubernetes_tells_of_services_is_known_by_its_values() {
        let told = [
            ("QUEQIAO_SERVICE_HOST", "10.0.0.7"),
            ("QUEQIAO_SERVICE_PORT", "8080"),
            ("QUEQIAO_SERVICE_PORT_HTTP", "8080"),
            ("QUEQIAO_PORT", "tcp://10.0.0.7:8080"),
            ("QUEQIAO_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
            ("QUEQIAO_PORT_8080_TCP_PROTO", "tcp"),
            ("QUEQIAO_PORT_8080_TCP_PORT", "8080"),
            ("QUEQIAO_PORT_8080_TCP_ADDR", "10.0.0.7"),
            ("QUEQIAO_WEB_SERVICE_HOST", "fd00::7"),
            ("QUEQIAO_WEB_PORT_53_UDP", "udp://[fd00::7]:53"),
        ];
        assert_eq!(with(&told), Ok(0));
        for misspelt in [
            ("QUEQIAO_PORT", "9000"),
            ("QUEQIAO_SERVER_PORT", "9000"),
            ("QUEQIAO_BIND_PORT_HTTP", "9000"),
            ("QUEQIAO_OTHER_SERVICE_PORT", "9000"),
            ("QUEQIAO_SERVICE_HOST", "localhost"),
            ("QUEQIAO_PORT_8080_HTTP", "9000"),
        ] {
            let mut all: Vec<(&str, &str)> = told.to_vec();
            all.retain(|(name, _)| *name != misspelt.0);
            all.push(misspelt);
            let text = with(&all).unwrap_err();
            assert!(text.contains(misspelt.0), "{text}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_where_it_is_ours_and_left_alone_where_it_is_not() {
        use std::os::unix::ffi::OsStringExt as _;
        let bad = || OsString::from_vec(b"\xd6\xd0".to_vec());
        let one = |name: &str| text_of(std::iter::once((OsString::from(name), bad())));
        for name in ["QUEQIAO_SERVER__BIND", "QUEQIAO_MASTER_KEY", "DATABASE_URL"] {
            let text = one(name).unwrap_err().to_string();
            assert!(text.contains(name), "{text}");
        }
        assert!(one("FOO").unwrap().is_empty());
        let mut odd = OsString::from("QUEQIAO_");
        odd.push(bad());
        text_of(std::iter::once((odd, OsString::from("1")))).unwrap_err();
        assert!(
            text_of(std::iter::once((bad(), OsString::from("1"))))
                .unwrap()
                .is_empty()
        );
    }
}
