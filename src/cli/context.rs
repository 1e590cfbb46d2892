//! What most commands begin with: the database, up to date, and the bridge over it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::bridge::Bridge;
use crate::bridge::intake::spool::Spool;
use crate::cli::terminal::note;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::db::{DatabaseUrl, Db, DbError, Engine};
use crate::files;
use crate::ids::text::{TextId, TextIdError};
use crate::models::account;
use crate::models::project::{self, Project};
use crate::vault::Vault;
use crate::wechat::client::{Client, ClientOptions};

/// A staff id on the command line.
pub(super) fn staff_id(text: &str) -> std::result::Result<String, TextIdError> {
    TextId::StaffId.check(text).map(|()| text.to_owned())
}

/// An openid on the command line.
pub(super) fn openid(text: &str) -> std::result::Result<String, TextIdError> {
    TextId::Openid.check(text).map(|()| text.to_owned())
}

/// Opens the database that the environment names and brings it up to date.
pub(super) fn open_database(config: &Config) -> Result<Db> {
    let url = config::database_url(&config.data_dir);
    let url = DatabaseUrl::parse(&url)?;
    if url.engine() == Engine::Sqlite {
        make_private(&config.data_dir)?;
        url.make_private()
            .map_err(|error| DbError::Unavailable(format!("making {url} private: {error}")))
            .context("opening the database")?;
    }
    let db = Db::open(&url, &config.database).context("opening the database")?;
    let applied = db.migrate()?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "database brought up to date");
    }
    Ok(db)
}

/// Makes the data directory, which holds people's ids and the master key, for its owner only, also
/// where it was there before.
fn make_private(directory: &Path) -> Result<()> {
    files::private_directory(directory)
        .with_context(|| format!("data directory {}", directory.display()))
}

/// The master key. A new one is made only where nothing is sealed under another one yet.
fn open_vault(db: &Db, config: &Config) -> Result<Vault> {
    let key = config::master_key();
    if key.is_none() {
        make_private(&config.data_dir)?;
        let file = Vault::key_file(&config.data_dir);
        if !file.exists() && account::any_sealed(&mut db.connect()?)? {
            bail!(
                "there is no master key: {} is missing, and {} has secrets that were sealed under it. \
                 Put the file back, or give the key in QUEQIAO_MASTER_KEY; a new key would open none \
                 of them",
                file.display(),
                db.describe()
            );
        }
    }
    Ok(Vault::open(key.as_ref(), &config.data_dir)?)
}

/// The bridge over the configured database and WeChat.
pub(super) fn open(config: Config) -> Result<Bridge> {
    let db = open_database(&config)?;
    bridge_over(db, config)
}

/// What `serve` works with.
pub(super) struct Service {
    /// The bridge.
    pub(super) bridge: Bridge,
    /// Where callbacks are kept while the database takes none.
    pub(super) spool: Option<Spool>,
    /// Whether the database answers and is up to date.
    pub(super) is_up: bool,
}

/// Opens what `serve` works with. A service that has a spool, with the accounts in it, begins also while
/// the database does not answer: callbacks are kept until it does.
pub(super) async fn open_service(config: Config, takes_callbacks: bool) -> Result<Service> {
    let spool = match takes_callbacks && config.intake.spool_bytes > 0 {
        true => open_spool(&config).await,
        false => None,
    };
    let (is_up, db) = match (open_database(&config), &spool) {
        (Ok(db), _) => (true, db),
        (Err(error), Some(spool)) if is_away(&error) && spool.has_accounts() => {
            tracing::error!(%error, "the database does not answer, callbacks are kept in the spool");
            spool.begin();
            let url = DatabaseUrl::parse(&config::database_url(&config.data_dir))?;
            (false, Db::open_later(&url, &config.database))
        }
        (Err(error), _) => return Err(error),
    };
    Ok(Service {
        bridge: bridge_over(db, config)?,
        spool,
        is_up,
    })
}

/// Whether a database could not be opened because it does not answer, or takes nothing now, as a standby does
/// that is not promoted yet.
fn is_away(error: &anyhow::Error) -> bool {
    let found = error.downcast_ref::<DbError>();
    found.is_some_and(DbError::may_pass)
}

/// The spool of the data directory. Without one the service does what it did without: WeChat is answered
/// 503 while the database is away.
async fn open_spool(config: &Config) -> Option<Spool> {
    let opened = async {
        make_private(&config.data_dir)?;
        Ok::<_, anyhow::Error>(Spool::open(&config.data_dir, config.intake.spool_bytes).await?)
    };
    match opened.await {
        Ok(spool) => Some(spool),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "there is no spool: callbacks are lost if the database is away for more than seconds"
            );
            None
        }
    }
}

fn bridge_over(db: Db, config: Config) -> Result<Bridge> {
    let vault = open_vault(&db, &config)?;
    let (connect_timeout, timeout) = config.wechat.timeouts();
    let wechat = Client::new(ClientOptions {
        base_url: config.wechat.base_url.clone(),
        connect_timeout,
        timeout,
    })?;
    Ok(Bridge::new(
        db,
        Clock::system(),
        wechat,
        vault,
        Arc::new(config),
    ))
}

/// The project of that name; without a name, the only one there is.
pub(super) async fn find_project(bridge: &Bridge, name: Option<&str>) -> Result<Project> {
    let projects = bridge.db.read(project::list).await?;
    match (name, projects.as_slice()) {
        (_, []) => bail!(
            "there is no project in {} yet; add one with: queqiao projects add NAME. {ELSEWHERE}",
            bridge.db.describe()
        ),
        (None, [only]) => Ok(only.clone()),
        (None, _) => bail!("there are several projects; say which one with --project NAME"),
        (Some(name), projects) => projects
            .iter()
            .find(|project| project.name == name)
            .cloned()
            .with_context(|| {
                let database = bridge.db.describe();
                format!("there is no project '{name}' in {database}; see: queqiao projects list")
            }),
    }
}

/// What to do if the data are expected to be there.
const ELSEWHERE: &str = "If there should be one, run the command with the DATABASE_URL or \
     QUEQIAO_DATA_DIR of `queqiao serve`, or in its directory";

/// Says on standard error that a list is empty, and in which database that is so.
pub(super) fn note_empty(bridge: &Bridge, what: &str) {
    note!("No {what} in {}.", bridge.db.describe());
}
