//! What an ID token says of somebody, and what their groups are here.

use std::collections::BTreeMap;

use openidconnect::core::CoreGenderClaim;
use openidconnect::{AdditionalClaims, IdTokenClaims};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bridge::limits::{NAME_MAX, USER_NAME_MAX};
use crate::config::Oidc;
use crate::models::storable;
use crate::models::user::Role;

/// The claims that are not of the standard, the groups among them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct OtherClaims {
    #[serde(flatten)]
    claims: Map<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

/// Somebody for whom the provider vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) issuer: String,
    /// Their number at the provider.
    pub(super) subject: String,
    /// What they are called in lists; somebody else may be called so, too.
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    /// What their groups give them; none where groups say nothing.
    pub(super) grants: Option<Grants>,
}

/// What somebody is by their groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    pub(super) is_owner: bool,
    /// By the project as the settings have it.
    pub(super) roles: BTreeMap<String, Role>,
}

impl Grants {
    pub(super) fn is_empty(&self) -> bool {
        !self.is_owner && self.roles.is_empty()
    }
}

impl Person {
    pub(super) fn of(
        claims: &IdTokenClaims<OtherClaims, CoreGenderClaim>,
        settings: &Oidc,
    ) -> Self {
        let subject = claims.subject().as_str();
        let name = claims.preferred_username().map(|name| name.as_str());
        let name = name.or(claims.email().map(|email| email.as_str()));
        let display_name = claims.name().and_then(|name| name.get(None));
        let groups = groups(&claims.additional_claims().claims, &settings.group_claim);
        Self {
            issuer: claims.issuer().as_str().to_owned(),
            subject: subject.to_owned(),
            name: user_name(name.unwrap_or(subject)),
            display_name: display_name.map(|name| cut(name.as_str(), NAME_MAX)),
            grants: settings.gives_roles().then(|| grants(&groups, settings)),
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    storable(text).chars().take(most).collect()
}

/// A name that somebody can have here.
fn user_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    match cut(&name, USER_NAME_MAX) {
        name if name.is_empty() => "user".to_owned(),
        name => name,
    }
}

/// The groups of a claim: a list of names, or one name. A claim with dots may be within objects.
fn groups(claims: &Map<String, Value>, named: &str) -> Vec<String> {
    let within = || {
        let mut parts = named.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    };
    let found = claims.get(named).or_else(within);
    match found {
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str);
            names.map(str::to_owned).collect()
        }
        Some(Value::String(name)) => vec![name.clone()],
        _ => Vec::new(),
    }
}

/// What groups are here; who is operator and viewer of a project is operator.
fn grants(groups: &[String], settings: &Oidc) -> Grants {
    let is_in = |group: &str| groups.iter().any(|one| one == group);
    let mut grants = Grants {
        is_owner: settings.owners().any(is_in),
        roles: BTreeMap::new(),
    };
    for (group, project) in settings.viewers() {
        if is_in(group) {
            grants.roles.insert(project.to_owned(), Role::Viewer);
        }
    }
    for (group, project) in settings.operators() {
        if is_in(group) {
            grants.roles.insert(project.to_owned(), Role::Operator);
        }
    }
    grants
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    #[test]
    fn groups_are_a_list_or_one_name_and_may_be_within_objects() {
        let claims = json!({
            "groups": ["a", "b", 7], "one": "a", "realm_access": {"roles": ["c"]}, "x.y": ["d"], "n": 1,
        });
        let Value::Object(claims) = claims else {
            panic!("it is an object")
        };
        for (named, expected) in [
            ("groups", vec!["a", "b"]),
            ("one", vec!["a"]),
            ("realm_access.roles", vec!["c"]),
            ("x.y", vec!["d"]),
            ("n", vec![]),
            ("none", vec![]),
            ("realm_access.none", vec![]),
        ] {
            assert_eq!(groups(&claims, named), expected, "{named}");
        }
    }

    #[test]
    fn groups_make_owners_operators_and_viewers() {
        let mut settings = Config::default().oidc;
        settings.owner_groups = "bosses".to_owned();
        settings.operator_groups = "ops=shop; ops=two".to_owned();
        settings.viewer_groups = "all=shop".to_owned();
        let of = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|one| (*one).to_owned()).collect();
            let grants = grants(&groups, &settings);
            let roles = grants.roles.iter();
            let roles: Vec<_> = roles
                .map(|(project, role)| format!("{project}={role}"))
                .collect();
            (grants.is_owner, roles.join(" "))
        };
        assert_eq!(of(&["bosses"]), (true, String::new()));
        assert_eq!(of(&["all"]), (false, "shop=viewer".to_owned()));
        assert_eq!(
            of(&["all", "ops"]),
            (false, "shop=operator two=operator".to_owned())
        );
        assert_eq!(of(&["Bosses", "none"]), (false, String::new()));
    }

    #[test]
    fn a_name_is_made_one_that_somebody_can_have() {
        assert_eq!(user_name("Wang Fang\n"), "WangFang");
        assert_eq!(user_name(" "), "user");
        assert_eq!(user_name(&"x".repeat(99)).len(), USER_NAME_MAX);
    }
}
