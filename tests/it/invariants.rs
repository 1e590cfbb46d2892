//! What always holds, whatever goes wrong: one test for each promise of the data path, from the
//! callback to what the person sees.

mod again;
mod duplicates;
mod faults;
mod import;
mod link;
mod outage;
mod overdue;
mod profile;
mod progress;
mod reason;
mod receipt;
mod send;
mod strangers;
mod token;
mod truth;

use crate::support::TestProject;
use crate::support::setup::{MP, OA};

pub(crate) const INFO: &str = "/cgi-bin/user/info";
pub(crate) const BATCH: &str = "/cgi-bin/user/info/batchget";
pub(crate) const SEND: &str = "/cgi-bin/message/template/send";
pub(crate) const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
