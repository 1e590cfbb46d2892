//! Recipients who are named by an openid, a unionid or a login code.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::{NotifyError, Recipients};
use crate::bridge::Bridge;
use crate::bridge::limits::{
    FieldError, ID_MAX, LOGIN_CODE_MAX, LOGIN_CODES_MAX, check_id, check_text,
};
use crate::bridge::people::bind::PersonRef;
use crate::bridge::people::login::LoginError;
use crate::bridge::planning::senders::KnownAccounts;
use crate::ids::ProjectId;
use crate::ids::text::TextId;
use crate::models::account::AccountKind;
use crate::models::staff::Person;

/// Checks what can be checked without a look at what is stored.
pub(super) fn check(people: &[PersonRef]) -> Result<(), FieldError> {
    let mut codes = 0;
    for (at, whom) in people.iter().enumerate() {
        let text = |name: &str, text: &str, most: usize| {
            check_text(&format_args!("people[{at}].{name}"), text, most)
        };
        match whom {
            PersonRef::Unionid(unionid) => {
                check_id(
                    &format_args!("people[{at}].unionid"),
                    TextId::Unionid,
                    unionid,
                )?;
            }
            PersonRef::Openid { app_id, openid } => {
                text("app_id", app_id, ID_MAX)?;
                check_id(&format_args!("people[{at}].openid"), TextId::Openid, openid)?;
            }
            PersonRef::Code { app_id, code } => {
                text("app_id", app_id, ID_MAX)?;
                text("code", code, LOGIN_CODE_MAX)?;
                codes += 1;
            }
        }
    }
    if codes > LOGIN_CODES_MAX {
        let problem = format!(
            "has {codes} login codes: give at most {LOGIN_CODES_MAX}, or log the people in first and \
             give their openids"
        );
        return Err(FieldError::new("people", problem));
    }
    Ok(())
}

/// Checks the accounts by which people are named, before a code is spent.
pub(super) fn check_accounts(
    recipients: &Recipients,
    accounts: &KnownAccounts,
) -> Result<(), NotifyError> {
    let Recipients::People { people } = recipients else {
        return Ok(());
    };
    for (at, whom) in people.iter().enumerate() {
        let app_id = match whom {
            PersonRef::Unionid(_) => continue,
            PersonRef::Openid { app_id, .. } | PersonRef::Code { app_id, .. } => app_id,
        };
        let is_code = matches!(whom, PersonRef::Code { .. });
        let source = match accounts.get(app_id) {
            None => LoginError::UnknownAccount,
            Some((_, kind)) if is_code && *kind != AccountKind::MiniProgram => {
                LoginError::NotMiniProgram
            }
            Some(_) => continue,
        };
        return Err(NotifyError::Login { at, source });
    }
    Ok(())
}

pub(super) fn has_codes(recipients: &Recipients) -> bool {
    let is_code = |whom: &PersonRef| matches!(whom, PersonRef::Code { .. });
    matches!(recipients, Recipients::People { people } if people.iter().any(is_code))
}

/// Each person once, where they stand first, as deliveries name them.
pub(super) fn distinct(people: &[PersonRef]) -> Result<Vec<String>, FieldError> {
    let mut seen = HashSet::with_capacity(people.len());
    let mut distinct = Vec::with_capacity(people.len());
    for (at, whom) in people.iter().enumerate() {
        let person = match whom.clone() {
            PersonRef::Unionid(unionid) => Person::Unionid { unionid },
            PersonRef::Openid { app_id, openid } => Person::Openid { app_id, openid },
            PersonRef::Code { .. } => {
                let field = format!("people[{at}].code");
                let problem = "cannot be tried without using it up: log the person in first \
                               (POST /miniprogram/{app_id}/sessions), and give the openid";
                return Err(FieldError::new(field, problem));
            }
        };
        let person = person.to_json();
        if seen.insert(person.clone()) {
            distinct.push(person);
        }
    }
    Ok(distinct)
}

impl Bridge {
    /// Asks WeChat who gave the login codes, one after the other: after one that is refused, the
    /// others are still good.
    pub(super) async fn exchange(
        &self,
        project: ProjectId,
        recipients: &mut Recipients,
    ) -> Result<(), NotifyError> {
        let Recipients::People { people } = recipients else {
            return Ok(());
        };
        let mut known: HashMap<(String, String), String> = HashMap::new();
        for (at, whom) in people.iter_mut().enumerate() {
            let PersonRef::Code { app_id, code } = whom else {
                continue;
            };
            let (app_id, code) = (std::mem::take(app_id), std::mem::take(code));
            let openid = match known.entry((app_id.clone(), code)) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => {
                    let identity = self.log_in(project, &app_id, &new.key().1).await;
                    let identity = identity.map_err(|source| NotifyError::Login { at, source })?;
                    new.insert(identity.openid).clone()
                }
            };
            *whom = PersonRef::Openid { app_id, openid };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unionid(unionid: &str) -> PersonRef {
        PersonRef::Unionid(unionid.to_owned())
    }

    fn openid(app_id: &str, openid: &str) -> PersonRef {
        PersonRef::Openid {
            app_id: app_id.to_owned(),
            openid: openid.to_owned(),
        }
    }

    fn code(code: &str) -> PersonRef {
        PersonRef::Code {
            app_id: "wx1".to_owned(),
            code: code.to_owned(),
        }
    }

    #[test]
    fn each_stands_once_where_it_stands_first() {
        let people = [
            openid("wx1", "b"),
            unionid("a"),
            openid("wx1", "b"),
            openid("wx2", "b"),
            unionid("b"),
            unionid("a"),
        ];
        let expected = [
            r#"{"app_id":"wx1","openid":"b"}"#,
            r#"{"unionid":"a"}"#,
            r#"{"app_id":"wx2","openid":"b"}"#,
            r#"{"unionid":"b"}"#,
        ];
        assert_eq!(distinct(&people).unwrap(), expected);
        let error = distinct(&[unionid("a"), code("c")]).unwrap_err();
        assert_eq!(error.field, "people[1].code");
    }

    #[test]
    fn what_is_too_long_or_too_many_is_refused() {
        let long = "x".repeat(ID_MAX + 1);
        for (whom, field) in [
            (unionid(&long), "people[1].unionid"),
            (openid("wx1", &long), "people[1].openid"),
            (openid(&long, "o"), "people[1].app_id"),
            (code(&"x".repeat(LOGIN_CODE_MAX + 1)), "people[1].code"),
        ] {
            let error = check(&[unionid("a"), whom]).unwrap_err();
            assert_eq!(error.field, field);
        }
        let codes = vec![code("c"); LOGIN_CODES_MAX];
        assert!(check(&codes).is_ok());
        let error = check(&[codes, vec![code("d")]].concat()).unwrap_err();
        assert_eq!(error.field, "people");
    }

    #[test]
    fn a_code_is_for_a_mini_program_of_the_project() {
        use crate::ids::AccountId;
        let accounts = KnownAccounts::from([
            ("wx1".to_owned(), (AccountId(1), AccountKind::MiniProgram)),
            (
                "wx2".to_owned(),
                (AccountId(2), AccountKind::OfficialAccount),
            ),
        ]);
        let refused = |people: Vec<PersonRef>| match check_accounts(
            &Recipients::People { people },
            &accounts,
        ) {
            Ok(()) => None,
            Err(NotifyError::Login { at, source }) => Some((at, source.to_string())),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(
            refused(vec![unionid("a"), openid("wx2", "o"), code("c")]),
            None
        );
        let unknown = refused(vec![unionid("a"), openid("wx3", "o")]);
        assert_eq!(
            unknown.unwrap(),
            (1, LoginError::UnknownAccount.to_string())
        );
        let wrong = PersonRef::Code {
            app_id: "wx2".to_owned(),
            code: "c".to_owned(),
        };
        let wrong = refused(vec![wrong]);
        assert_eq!(wrong.unwrap(), (0, LoginError::NotMiniProgram.to_string()));
    }

    #[test]
    fn a_code_counts_as_one() {
        let people = |people| Recipients::People { people };
        assert!(has_codes(&people(vec![unionid("a"), code("c")])));
        assert!(!has_codes(&people(vec![unionid("a"), openid("wx1", "o")])));
    }
}
