//! `queqiao staff`: who is there and can be reached, who they are bound to, and staff as a table.

mod columns;
mod show;
mod transfer;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;

use super::context;
use crate::bridge::Bridge;
use crate::bridge::invitations::{
    InvitationRequest, Invited, PAGE_DEFAULT, PAGE_RULE, is_page, with_token,
};
use crate::bridge::limits::{INVITATION_PATH_MAX, INVITATION_SECONDS, INVITATION_SECONDS_MIN};
use crate::bridge::people::bind::PersonRef;
use crate::bridge::people::staff_list::StaffFilter;
use crate::bridge::planning::reach::ReachReason;
use crate::cli::terminal::say;
use crate::config::Config;
use crate::ids::BindingId;
use crate::ids::text::{TextId, TextIdError};
use crate::models::project::Project;
use crate::wechat::qrcode::LIFE_MAX;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List staff, newest first, with whether they can be reached.
    List {
        #[command(flatten)]
        filters: Filters,
        /// How many at the most.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Show a staff member: details, reach and bindings.
    Show {
        #[command(flatten)]
        member: Member,
    },
    /// Bind a staff member to a person.
    Bind {
        #[command(flatten)]
        member: Member,
        #[command(flatten)]
        person: PersonArgs,
    },
    /// Remove a binding; the person stays.
    Unbind {
        #[command(flatten)]
        member: Member,
        /// The id of the binding, as `queqiao staff show` prints it.
        binding: BindingId,
    },
    /// Make an invitation: a QR code that binds whoever scans it.
    Invite {
        #[command(flatten)]
        member: Member,
        #[command(flatten)]
        invitation: InvitationArgs,
    },
    /// Bring a table of staff in, CSV or XLSX.
    ///
    /// The file's first row names its columns: staff_id, and if wanted name, tags, phone, app_id with
    /// openid, and unionid, also in Chinese (工号, 姓名, 标签, 手机号). The same file again changes nothing.
    Import(transfer::Import),
    /// Write staff to a file, CSV or XLSX, that `import` takes as it is.
    Export(transfer::Export),
}

#[derive(Debug, Args)]
pub(super) struct Filters {
    /// With this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Those who can be reached by a template message through an official account, or (`false`) those who
    /// cannot.
    #[arg(long, value_name = "true|false")]
    reachable: Option<bool>,
    /// Those of whom this is said for an official account, for example `not_following`.
    #[arg(long)]
    reason: Option<ReachReason>,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

impl Filters {
    /// The filter, and the project it is about.
    async fn resolve(self, bridge: &Bridge) -> Result<(Project, StaffFilter)> {
        let project = context::find_project(bridge, self.project.as_deref()).await?;
        let filter = StaffFilter {
            tag: self.tag,
            reachable: self.reachable,
            reason: self.reason,
        };
        Ok((project, filter))
    }
}

#[derive(Debug, Args)]
pub(super) struct Member {
    /// The staff member, by the business's own id.
    #[arg(value_name = "STAFF_ID", value_parser = context::staff_id)]
    staff_id: String,
    /// Whose; not needed while there is one project.
    #[arg(long)]
    project: Option<String>,
}

#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct PersonArgs {
    /// The account of the openid.
    #[arg(long, value_name = "APP_ID", requires = "openid")]
    account: Option<String>,
    /// The person, by an openid in that account.
    #[arg(long, value_parser = context::openid, requires = "account", conflicts_with = "unionid")]
    openid: Option<String>,
    /// The person, by the unionid.
    #[arg(long, value_parser = unionid)]
    unionid: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct InvitationArgs {
    /// The service account to follow, by its AppID.
    #[arg(long, value_name = "APP_ID")]
    account: String,
    /// The mini-program where it is good too, by its AppID.
    #[arg(long, value_name = "APP_ID")]
    mini_program: Option<String>,
    /// The page of the mini-program.
    #[arg(long, requires = "mini_program", default_value = PAGE_DEFAULT)]
    path: String,
    /// How long it is good.
    #[arg(long, value_name = "SECONDS", default_value_t = INVITATION_SECONDS,
        value_parser = clap::value_parser!(u64).range(INVITATION_SECONDS_MIN..=LIFE_MAX.as_secs()))]
    expires_in_seconds: u64,
    /// Let it replace the staff member's bindings to another person.
    #[arg(long)]
    rebind: bool,
}

fn unionid(text: &str) -> std::result::Result<String, TextIdError> {
    TextId::Unionid.check(text).map(|()| text.to_owned())
}

pub(super) async fn run(config: Config, command: Command) -> Result<()> {
    let bridge = context::open(config)?;
    match command {
        Command::List { filters, limit } => show::list(&bridge, filters, limit).await,
        Command::Show { member } => show::one(&bridge, member).await,
        Command::Bind { member, person } => bind(&bridge, member, person).await,
        Command::Unbind { member, binding } => unbind(&bridge, member, binding).await,
        Command::Invite { member, invitation } => invite(&bridge, member, invitation).await,
        Command::Import(args) => transfer::import(&bridge, args).await,
        Command::Export(args) => transfer::export(&bridge, args).await,
    }
}

async fn bind(bridge: &Bridge, member: Member, person: PersonArgs) -> Result<()> {
    let project = context::find_project(bridge, member.project.as_deref()).await?;
    let whom = match person {
        PersonArgs {
            account: Some(app_id),
            openid: Some(openid),
            ..
        } => PersonRef::Openid { app_id, openid },
        PersonArgs {
            unionid: Some(unionid),
            ..
        } => PersonRef::Unionid(unionid),
        _ => bail!("say who it is: --account APP_ID and --openid OPENID, or --unionid UNIONID"),
    };
    let bound = bridge.bind(project.id, &member.staff_id, whom).await;
    let (binding, is_new) = bound.with_context(|| format!("binding {:?}", member.staff_id))?;
    let word = if is_new { "bound" } else { "bound before" };
    say!("{} is {word}: binding {}", member.staff_id, binding.id.0);
    Ok(())
}

async fn unbind(bridge: &Bridge, member: Member, id: BindingId) -> Result<()> {
    let project = context::find_project(bridge, member.project.as_deref()).await?;
    let staff_id = member.staff_id;
    let removed = bridge
        .remove_binding(project.id, staff_id.clone(), id)
        .await;
    let stranded = removed.with_context(|| format!("removing binding {} of {staff_id:?}", id.0))?;
    say!("binding {} of {staff_id} is removed", id.0);
    if stranded.count > 0 {
        let more = if stranded.more { " or more" } else { "" };
        say!(
            "{}{more} deliveries that wait will not go to this person any more",
            stranded.count
        );
    }
    Ok(())
}

async fn invite(bridge: &Bridge, member: Member, args: InvitationArgs) -> Result<()> {
    let length = args.path.chars().count();
    ensure!(
        length <= INVITATION_PATH_MAX,
        "--path has {length} characters; give at most {INVITATION_PATH_MAX}"
    );
    ensure!(is_page(&args.path), "--path {PAGE_RULE}");
    let project = context::find_project(bridge, member.project.as_deref()).await?;
    let request = InvitationRequest {
        app_id: args.account,
        mini_program: args.mini_program.clone(),
        life: Duration::from_secs(args.expires_in_seconds),
        rebind: args.rebind,
    };
    let invited = bridge.invite(project.id, &member.staff_id, request).await;
    let Invited {
        invitation,
        token,
        code,
    } = invited.with_context(|| format!("inviting {:?}", member.staff_id))?;
    let expires = invitation.expires_at.format("%FT%TZ");
    say!(
        "invitation {} of {}, until {expires}",
        invitation.id.0,
        member.staff_id
    );
    say!("picture of the QR code: {}", code.picture_url());
    say!("content of the QR code: {}", code.url);
    if let Some(app_id) = args.mini_program {
        say!(
            "page in {app_id}: {}",
            with_token(&args.path, token.expose_secret())
        );
    }
    say!("Whoever has one of these can bind themselves: give it to nobody but the staff member.");
    Ok(())
}
