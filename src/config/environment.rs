//! Which `QUEQIAO_…` variables are settings. One that is misspelt is refused: ignored without a
//! word, it would leave a default in force that the operator believes changed.

use config::{Config as Source, File, FileFormat, Map, Value, ValueKind};

use super::{ConfigError, DEFAULTS};

const PREFIX: &str = "QUEQIAO_";

/// Variables with a meaning of their own, beside the settings.
const OWN: [&str; 4] = [
    "QUEQIAO_DATA_DIR",
    "QUEQIAO_CONFIG",
    "QUEQIAO_LOG_FORMAT",
    "QUEQIAO_MASTER_KEY",
];

/// The variables that are settings.
///
/// # Errors
/// Names a variable that begins like one and is none.
pub(super) fn settings() -> Result<Map<String, String>, ConfigError> {
    // Variables that are not text are no settings; `std::env::vars` would panic at them.
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    select(std::env::vars_os().filter_map(text))
}

fn select(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Map<String, String>, ConfigError> {
    let mut settings = Map::new();
    for (name, value) in variables.filter(|(name, _)| name.starts_with(PREFIX)) {
        if name == "QUEQIAO_DATA_DIR" || name.contains("__") {
            settings.insert(name, value);
        } else if !OWN.contains(&name.as_str()) && !is_service_link(&name) {
            let hint = hint(&name);
            return Err(ConfigError::Variable { name, hint });
        }
    }
    Ok(settings)
}

/// Kubernetes tells each pod of the services around it in variables that begin with their names, for
/// example `QUEQIAO_SERVICE_HOST` and `QUEQIAO_PORT_8080_TCP` of a service `queqiao`.
fn is_service_link(name: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    let in_between = ["_SERVICE_PORT_", "_PORT_"];
    ends.iter().any(|end| name.ends_with(end)) || in_between.iter().any(|part| name.contains(part))
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
    let table = defaults.and_then(|source| source.try_deserialize::<Map<String, Value>>().ok());
    let mut names = Vec::new();
    for (name, value) in table.unwrap_or_default() {
        collect(&name, &value, &mut names);
    }
    names
}

fn collect(path: &str, value: &Value, names: &mut Vec<String>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                collect(&format!("{path}.{name}"), value, names);
            }
        }
        _ => names.push(path.to_owned()),
    }
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
            "QUEQIAO_SERVICE_HOST",
            "QUEQIAO_SERVICE_PORT_HTTP",
            "QUEQIAO_PORT",
            "QUEQIAO_PORT_8080_TCP_ADDR",
            "QUEQIAO_WEB_SERVICE_HOST",
            "DATABASE_URL",
            "PATH",
        ];
        assert!(of(&names).unwrap().is_empty());
        let settings = of(&["QUEQIAO_DATA_DIR", "QUEQIAO_SERVER__BIND"]).unwrap();
        assert_eq!(settings.len(), 2);
    }
}
