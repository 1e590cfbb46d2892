//! `queqiao users`: people who sign in.

mod ask;

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};

use super::context;
use crate::bridge::Bridge;
use crate::bridge::users::generated_password;
use crate::bridge::users::manage::{UserChange, UserDetails, UserDraft};
use crate::cli::terminal::{note, say};
use crate::config::Config;
use crate::db::QueryResult;
use crate::ids::UserId;
use crate::models::user::{self, Membership, Role, User};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add somebody. The password is asked for, or read from standard input or from QUEQIAO_USER_PASSWORD.
    Add(AddArgs),
    /// List the users.
    List,
    /// Change somebody; what is not said stays.
    Set(SetArgs),
    /// Delete somebody. The keys that they made stay valid.
    Delete {
        /// What they sign in with.
        name: String,
    },
    /// Give somebody another password, and sign them out. It is read like that of a new user.
    Password {
        /// What they sign in with.
        name: String,
        /// Make a password and show it, once.
        #[arg(long)]
        generate: bool,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct AddArgs {
    /// What they sign in with.
    name: String,
    /// How they are called.
    #[arg(long)]
    display_name: Option<String>,
    /// Makes them an owner: of all projects, and of the users.
    #[arg(long)]
    owner: bool,
    /// What they are in a project: PROJECT=operator or PROJECT=viewer; several times for several projects.
    #[arg(long = "role", value_name = "PROJECT=ROLE", value_parser = project_role)]
    roles: Vec<(String, Role)>,
    /// Make a password and show it, once.
    #[arg(long)]
    generate: bool,
}

#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("state").args(["disable", "enable"]))]
pub(super) struct SetArgs {
    /// What they sign in with.
    name: String,
    /// How they are called; empty: not at all.
    #[arg(long)]
    display_name: Option<String>,
    /// Whether they are an owner.
    #[arg(long)]
    owner: Option<bool>,
    /// What they are in a project: PROJECT=operator or PROJECT=viewer.
    #[arg(long = "role", value_name = "PROJECT=ROLE", value_parser = project_role)]
    roles: Vec<(String, Role)>,
    /// A project in which they are nothing any more.
    #[arg(long = "no-role", value_name = "PROJECT")]
    no_roles: Vec<String>,
    /// They cannot sign in from now on, and are signed out.
    #[arg(long)]
    disable: bool,
    /// They can sign in again.
    #[arg(long)]
    enable: bool,
}

/// `PROJECT=ROLE`.
fn project_role(text: &str) -> std::result::Result<(String, Role), String> {
    let (project, role) = text
        .rsplit_once('=')
        .ok_or("must be PROJECT=operator or PROJECT=viewer")?;
    match role.parse::<Role>()? {
        Role::Owner => Err("owner is no role of one project: say --owner".to_owned()),
        role => Ok((project.to_owned(), role)),
    }
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::Add(args) => add(&bridge, args).await?,
        Command::List => list(&bridge).await?,
        Command::Set(args) => set(&bridge, args).await?,
        Command::Delete { name } => {
            let found = find(&bridge, &name).await?;
            bridge.delete_user(found.user.id).await?;
            say!("user {} deleted", found.user.name);
        }
        Command::Password { name, generate } => {
            let found = find(&bridge, &name).await?;
            let password = password(generate)?;
            let change = UserChange {
                password: Some(password.clone()),
                ..UserChange::default()
            };
            bridge.change_user(found.user.id, change).await?;
            say_generated(generate, &password);
            say!("user {} has another password", found.user.name);
        }
    }
    Ok(())
}

async fn find(bridge: &Bridge, name: &str) -> Result<UserDetails> {
    let found = bridge.user_named(name.to_owned()).await;
    found.with_context(|| {
        let database = bridge.db.describe();
        format!("user '{name}' in {database} (see: queqiao users list)")
    })
}

async fn add(bridge: &Bridge, args: AddArgs) -> Result<()> {
    let password = password(args.generate)?;
    let draft = UserDraft {
        name: args.name,
        display_name: args.display_name,
        password: Some(password.clone()),
        is_owner: args.owner,
        roles: args.roles,
    };
    let added = bridge.add_user(draft).await?;
    say_generated(args.generate, &password);
    say!("user {} {} added", added.user.id, added.user.name);
    if added.roles.is_empty() && !args.owner {
        note!("They have no role yet: queqiao users set NAME --role PROJECT=viewer");
    }
    Ok(())
}

async fn set(bridge: &Bridge, args: SetArgs) -> Result<()> {
    let found = find(bridge, &args.name).await?;
    let is_about_state = args.disable || args.enable;
    let change = UserChange {
        display_name: args.display_name,
        is_owner: args.owner,
        is_disabled: is_about_state.then_some(args.disable),
        roles: merged(found.roles, args.roles, &args.no_roles)?,
        password: None,
    };
    bridge.change_user(found.user.id, change).await?;
    say!("user {} changed", found.user.name);
    Ok(())
}

fn password(generate: bool) -> Result<SecretString> {
    match generate {
        true => Ok(generated_password()),
        false => ask::password(),
    }
}

fn say_generated(generate: bool, password: &SecretString) {
    if generate {
        say!("{}", password.expose_secret());
        note!("Keep it: it is stored only as a hash and cannot be shown again.");
    }
}

/// The roles that somebody has then; none: they stay as they are.
fn merged(
    before: Vec<Membership>,
    given: Vec<(String, Role)>,
    taken: &[String],
) -> Result<Option<Vec<(String, Role)>>> {
    if given.is_empty() && taken.is_empty() {
        return Ok(None);
    }
    let is =
        |one: &Membership, named: &str| one.project == named || one.project_id.to_string() == named;
    let strange = taken
        .iter()
        .find(|named| !before.iter().any(|one| is(one, named)));
    if let Some(named) = strange {
        bail!("they have no role in a project '{named}'");
    }
    let stays = |one: &Membership| {
        let given = given.iter().any(|(named, _)| is(one, named));
        !given && !taken.iter().any(|named| is(one, named))
    };
    let kept = before.into_iter().filter(stays);
    let mut roles: Vec<(String, Role)> = kept.map(|one| (one.project, one.role)).collect();
    roles.extend(given);
    Ok(Some(roles))
}

async fn list(bridge: &Bridge) -> Result<()> {
    /// Users at a time.
    const PAGE: i64 = 500;
    let read = bridge.db.snapshot(|conn| -> QueryResult<_> {
        let mut users: Vec<User> = Vec::new();
        loop {
            let before = users.last().map(|user| user.id);
            let page = user::list(conn, before, PAGE)?;
            if page.is_empty() {
                break;
            }
            users.extend(page);
        }
        let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
        let roles = user::memberships(conn, &ids)?;
        Ok((users, roles))
    });
    let (users, roles) = read.await?;
    if users.is_empty() {
        context::note_empty(bridge, "users");
    }
    for user in users.iter().rev() {
        let state = match user.disabled_at {
            Some(at) => format!("disabled {at} UTC"),
            None => "active".to_owned(),
        };
        let of_projects = roles.get(&user.id).into_iter().flatten();
        let role = |one: &Membership| format!("{}={}", one.project, one.role);
        let roles: Vec<String> = match user.is_owner {
            true => vec![Role::Owner.to_string()],
            false => of_projects.map(role).collect(),
        };
        say!(
            "{:>4}  {:20}  {:30}  {:24}  {state}",
            user.id.0,
            user.name,
            roles.join(","),
            user.display_name.as_deref().unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProjectId;

    #[test]
    fn a_role_is_of_one_project_and_others_stay() {
        assert_eq!(
            project_role("a=b=viewer"),
            Ok(("a=b".to_owned(), Role::Viewer))
        );
        for bad in ["shop", "shop=", "shop=owner", "shop=admin"] {
            project_role(bad).unwrap_err();
        }
        let before = |names: &[&str]| {
            let one = |(number, name): (i64, &&str)| Membership {
                project_id: ProjectId(number),
                project: (*name).to_owned(),
                role: Role::Viewer,
            };
            (1..).zip(names).map(one).collect::<Vec<_>>()
        };
        let given = |name: &str| vec![(name.to_owned(), Role::Operator)];
        let of = |name: &str, role| (name.to_owned(), role);
        assert_eq!(merged(before(&["a"]), vec![], &[]).unwrap(), None);
        assert_eq!(
            merged(before(&["a", "b", "c"]), given("2"), &["c".to_owned()]).unwrap(),
            Some(vec![of("a", Role::Viewer), of("2", Role::Operator)])
        );
        merged(before(&["a"]), vec![], &["x".to_owned()]).unwrap_err();
    }
}
