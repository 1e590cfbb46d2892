//! Which engine a URL names, and the macro for the few places where the two differ.

mod postgres_url;

use std::path::Path;

use thiserror::Error;

use crate::files;

/// The two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The production engine; any number of replicas share one database.
    Postgres,
    /// One file, one process: the embedded default.
    Sqlite,
}

/// A database URL whose engine is known: `postgres://…`, `postgresql://…` or `sqlite://PATH`. Its `Debug` form hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    engine: Engine,
    target: String,
}

/// What is wrong with a URL; never with a piece of it, which may be one of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DatabaseUrlError {
    /// It names neither engine.
    #[error(
        "DATABASE_URL must begin with postgres://, postgresql:// or sqlite://; \
         leave it unset for the embedded SQLite file in the data directory"
    )]
    UnknownEngine,
    /// PostgreSQL's client would not read it, or not as it is meant.
    #[error("DATABASE_URL: {part} {problem}")]
    Malformed {
        /// Where.
        part: &'static str,
        /// What, with what to do.
        problem: &'static str,
    },
}

impl DatabaseUrl {
    /// Reads a URL as an operator writes it.
    ///
    /// # Errors
    /// If it begins with no known scheme, or PostgreSQL's client would not take it.
    pub fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"));
        if let Some(rest) = rest {
            postgres_url::check(rest)?;
            return Ok(Self {
                engine: Engine::Postgres,
                target: with_time_limits(url),
            });
        }
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .filter(|path| !path.is_empty())
            .ok_or(DatabaseUrlError::UnknownEngine)?;
        Ok(Self::sqlite_file(Path::new(path)))
    }

    /// The embedded default: a file.
    pub fn sqlite_file(path: &Path) -> Self {
        Self {
            engine: Engine::Sqlite,
            target: path.to_string_lossy().into_owned(),
        }
    }

    /// Lets nobody but its owner read an SQLite file and those beside it, also where they are there
    /// already: SQLite gives those that it makes the permissions of the first. PostgreSQL's are not ours.
    ///
    /// # Errors
    /// If they are somebody else's.
    pub fn make_private(&self) -> std::io::Result<()> {
        if self.engine == Engine::Sqlite {
            files::private_file(Path::new(&self.target))?;
            for beside in ["-wal", "-shm"] {
                files::tighten(Path::new(&format!("{}{beside}", self.target)), 0o600)?;
            }
        }
        Ok(())
    }

    /// Which engine it names.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What the engine's own client is given: a connection URL or a file path.
    pub(super) fn target(&self) -> &str {
        &self.target
    }
}

/// A server that vanishes without a word would otherwise hold a connection for a quarter of an
/// hour. What the operator sets stays.
fn with_time_limits(url: &str) -> String {
    const LIMITS: [(&str, &str); 6] = [
        ("connect_timeout", "5"),
        ("keepalives_idle", "30"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "15000"),
        // What a session is known by.
        ("fallback_application_name", "queqiao"),
    ];
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let missing = LIMITS.iter().filter(|(name, _)| {
        !query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(*name))
    });
    let mut target = url.to_owned();
    for (name, value) in missing {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(name);
        target.push('=');
        target.push_str(value);
    }
    target
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = match self.engine {
            Engine::Postgres => "postgres://…",
            Engine::Sqlite => self.target.as_str(),
        };
        f.write_str(shown)
    }
}

/// For people: which database this is, without user, password or settings.
impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.engine {
            Engine::Sqlite => {
                let path = Path::new(&self.target);
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                write!(f, "the SQLite file {}", path.display())
            }
            Engine::Postgres => match url::Url::parse(&self.target) {
                Ok(url) => {
                    let name = url.path().trim_start_matches('/');
                    let port = url
                        .port()
                        .map(|port| format!(":{port}"))
                        .unwrap_or_default();
                    // A socket's directory, where there is no host, stands in the query.
                    let host = url.host_str().unwrap_or("the local server");
                    write!(f, "the PostgreSQL database {name} at {host}{port}")
                }
                Err(_) => f.write_str("the PostgreSQL database of DATABASE_URL"),
            },
        }
    }
}

/// Expands one body once for each engine, for statements that Diesel types per backend.
macro_rules! on_engine {
    ($connection:expr, $inner:ident => $body:expr) => {
        match $connection {
            $crate::db::Conn::Postgres($inner) => $body,
            $crate::db::Conn::Sqlite($inner) => $body,
        }
    };
}
pub(crate) use on_engine;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_engine_and_hides_its_password() {
        let postgres = DatabaseUrl::parse("postgres://u:hunter2@db/queqiao").unwrap();
        assert_eq!(postgres.engine(), Engine::Postgres);
        assert!(!format!("{postgres:?}").contains("hunter2"));
        assert_eq!(
            postgres.to_string(),
            "the PostgreSQL database queqiao at db"
        );
        let socket = DatabaseUrl::parse("postgres:///q?host=/run/postgresql").unwrap();
        assert!(socket.to_string().contains("database q"), "{socket}");
        assert!(postgres.target().contains("?connect_timeout=5&"));
        let own = DatabaseUrl::parse("postgres://db/q?connect_timeout=60").unwrap();
        assert!(
            own.target()
                .starts_with("postgres://db/q?connect_timeout=60&keep")
        );
        assert_eq!(own.target().matches("connect_timeout").count(), 1);
        let sqlite = DatabaseUrl::parse("sqlite://data/queqiao.db").unwrap();
        assert_eq!(sqlite.engine(), Engine::Sqlite);
        assert_eq!(sqlite.target(), "data/queqiao.db");
        assert!(
            sqlite.to_string().starts_with("the SQLite file /"),
            "{sqlite}"
        );
        assert!(DatabaseUrl::parse("mysql://x").is_err());
        assert!(DatabaseUrl::parse("sqlite://").is_err());
    }
}
