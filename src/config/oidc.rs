//! Settings of signing in through an identity provider.

use std::fs;

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use super::ConfigError;

/// The variable with the client's secret.
pub(super) const CLIENT_SECRET: &str = "QUEQIAO_OIDC_CLIENT_SECRET";

/// Signing in through an identity provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its address; empty: there is none.
    pub issuer: String,
    /// As whom it knows us.
    pub client_id: String,
    /// A file with the secret that goes with it; empty: there is none.
    pub client_secret_file: String,
    /// That secret, of the file or of the environment.
    #[serde(skip)]
    pub client_secret: Option<SecretString>,
    /// What is asked for, beside `openid`.
    pub scopes: String,
    /// The claim of the ID token that names the groups.
    pub group_claim: String,
    /// The groups whose members are owners.
    pub owner_groups: String,
    /// Those whose members are operators, each with a project.
    pub operator_groups: String,
    /// Those whose members are viewers, each with a project.
    pub viewer_groups: String,
}

impl Oidc {
    /// Whether there is a provider.
    pub fn is_on(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// Whether the provider is on this machine, out of reach for the machine's proxy.
    pub fn is_here(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|url| is_here(&url))
    }

    /// The groups whose members are owners.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        listed(&self.owner_groups)
    }

    /// The groups whose members are operators, each with the project.
    pub fn operators(&self) -> impl Iterator<Item = (&str, &str)> {
        listed(&self.operator_groups).filter_map(of_project)
    }

    /// The groups whose members are viewers, each with the project.
    pub fn viewers(&self) -> impl Iterator<Item = (&str, &str)> {
        listed(&self.viewer_groups).filter_map(of_project)
    }

    /// Whether groups say who is what; otherwise owners do, as of everybody else.
    pub fn gives_roles(&self) -> bool {
        let lists = [
            &self.owner_groups,
            &self.operator_groups,
            &self.viewer_groups,
        ];
        lists.iter().any(|list| listed(list).next().is_some())
    }

    /// Reads the secret that is not among the settings.
    pub(super) fn read_secret(&mut self) -> Result<(), ConfigError> {
        let given = std::env::var(CLIENT_SECRET).ok();
        self.client_secret = match given.filter(|secret| !secret.is_empty()) {
            Some(secret) => Some(SecretString::from(secret)),
            None if self.client_secret_file.is_empty() => None,
            None => {
                let path = &self.client_secret_file;
                let read = fs::read_to_string(path).map_err(|error| {
                    let rule = format!("cannot be read: {error}");
                    ConfigError::range("oidc.client_secret_file", path, rule)
                });
                Some(SecretString::from(read?.trim_end_matches(['\r', '\n'])))
            }
        };
        Ok(())
    }

    /// What is needed where there is a provider.
    pub(super) fn check(&self, public_url: &str) -> Result<(), ConfigError> {
        if !self.is_on() {
            return Ok(());
        }
        if !is_safe(&self.issuer) {
            let rule = "must be the https:// address of the identity provider (http:// on this machine only)";
            return Err(ConfigError::range("oidc.issuer", &self.issuer, rule));
        }
        if self.client_id.is_empty() {
            let rule = "must be the id that the identity provider knows this service by";
            return Err(ConfigError::range("oidc.client_id", "", rule));
        }
        if Url::parse(public_url).is_err() {
            let rule = "must be the address from outside, as the identity provider sends people back to it";
            return Err(ConfigError::range("server.public_url", public_url, rule));
        }
        let lists = [
            ("oidc.operator_groups", &self.operator_groups),
            ("oidc.viewer_groups", &self.viewer_groups),
        ];
        for (name, list) in lists {
            if listed(list).any(|one| of_project(one).is_none()) {
                let rule = "must be GROUP=PROJECT, several of them with a semicolon between";
                return Err(ConfigError::range(name, list, rule));
            }
        }
        Ok(())
    }
}

/// The entries of a list with semicolons.
fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.split(';').map(str::trim).filter(|one| !one.is_empty())
}

/// `GROUP=PROJECT`; a group may have equals signs in its name.
fn of_project(entry: &str) -> Option<(&str, &str)> {
    let (group, project) = entry.rsplit_once('=')?;
    let (group, project) = (group.trim(), project.trim());
    (!group.is_empty() && !project.is_empty()).then_some((group, project))
}

fn is_safe(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else {
        return false;
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here(&url))
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    type Change = fn(&mut Oidc);

    #[test]
    fn a_provider_needs_an_address_a_client_and_a_way_back() {
        let check = |change: Change, public_url: &str| {
            let mut oidc = Config::default().oidc;
            oidc.issuer = "https://id.example.com".to_owned();
            oidc.client_id = "queqiao".to_owned();
            change(&mut oidc);
            let checked = oidc.check(public_url);
            checked.map_err(|error| error.to_string())
        };
        let public = "https://wx.example.com";
        check(|_| {}, public).unwrap();
        check(
            |oidc| oidc.issuer = "http://127.0.0.1:8000".to_owned(),
            public,
        )
        .unwrap();
        check(|oidc| oidc.issuer = String::new(), "").unwrap();
        let refused: [(Change, &str, &str); 5] = [
            (
                |oidc| oidc.issuer = "http://id.example.com".to_owned(),
                public,
                "oidc.issuer",
            ),
            (|oidc| oidc.issuer = "id".to_owned(), public, "oidc.issuer"),
            (
                |oidc| oidc.client_id = String::new(),
                public,
                "oidc.client_id",
            ),
            (|_| {}, "", "server.public_url"),
            (
                |oidc| oidc.viewer_groups = "a=b; c".to_owned(),
                public,
                "oidc.viewer_groups",
            ),
        ];
        for (change, public, part) in refused {
            let text = check(change, public).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn groups_may_have_equals_signs_and_commas() {
        let mut oidc = Config::default().oidc;
        assert!(!oidc.gives_roles());
        oidc.operator_groups = "cn=ops,ou=groups=shop; b = two ;".to_owned();
        let operators: Vec<_> = oidc.operators().collect();
        assert_eq!(operators, [("cn=ops,ou=groups", "shop"), ("b", "two")]);
        assert!(oidc.gives_roles());
    }
}
