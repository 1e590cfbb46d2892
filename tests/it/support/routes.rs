//! The table of routes in `src/web/api.rs`, read as text: what it says is what the server has.

use std::fs;
use std::path::Path;

/// A route as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) method: &'static str,
    /// Below `/api/v1`, with the names of its parts in braces.
    pub(crate) path: String,
    /// The scopes that will do, beside `admin`; the first one is that of the table.
    pub(crate) scopes: Vec<String>,
}

/// Every route of the table.
pub(crate) fn listed() -> Vec<Listed> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/api.rs");
    let table = fs::read_to_string(table).unwrap();
    let lines: Vec<&str> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".service(at(\"/v1"))
        .collect();
    let services = table.matches(".service(").count();
    assert_eq!(lines.len(), services, "one line for each path");
    let mut routes = Vec::new();
    for line in lines {
        let (path, handlers) = line.split_once('"').unwrap();
        for handler in handlers
            .split("), ")
            .map(|one| one.trim_start_matches([',', ' ', '[']))
        {
            let (word, rest) = handler.split_once('(').unwrap();
            let (method, or) = match word {
                "get" | "search" => ("GET", None),
                "post" => ("POST", None),
                "open" => ("POST", Some("token")),
                "look" => ("POST", Some("notify")),
                "put" => ("PUT", None),
                "delete" => ("DELETE", None),
                word => panic!("{word} in {line}"),
            };
            let scope = rest.split(',').next().unwrap().to_lowercase();
            let or = or.map(str::to_owned);
            routes.push(Listed {
                method,
                path: path.to_owned(),
                scopes: [scope].into_iter().chain(or).collect(),
            });
        }
    }
    routes
}
