//! Staff: members of the business are added, changed and removed, and bindings are removed.

use std::collections::BTreeSet;

use chrono::NaiveDateTime;
use thiserror::Error;

use crate::bridge::Bridge;
use crate::bridge::limits::PHONE_DIGITS;
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{BindingId, ProjectId};
use crate::models::delivery::{self, MOST_ASTRAY};
use crate::models::project;
use crate::models::staff::binding::{self, Binding};
use crate::models::staff::{self, Staff};

/// What is known of a staff member beside the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaffDetails {
    /// A name for people; none takes the stored one away.
    pub name: Option<String>,
    /// A phone number in the form of [`phone()`]; an empty text takes the stored one away, and none leaves it
    /// as it is.
    pub phone: Option<String>,
    /// The tags, in place of those that are stored; none leaves them as they are.
    pub tags: Option<BTreeSet<String>>,
}

/// A staff member as stored.
#[derive(Clone, Debug)]
pub struct StoredStaff {
    /// The member.
    pub staff: Staff,
    /// Their tags.
    pub tags: Option<Vec<String>>,
    /// Whether there was none of this id before.
    pub is_new: bool,
}

/// Deliveries that wait for a staff member and will not go where they were planned to go, since the member or
/// a binding is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// How many, as far as they are counted.
    pub count: i64,
    /// Whether there are more than that.
    pub more: bool,
}

/// Why a staff member or a binding was not removed.
#[derive(Debug, Error)]
pub enum StaffError {
    /// The project has no such staff member.
    #[error("there is no such staff member")]
    UnknownStaff,
    /// The staff member has no such binding.
    #[error("the staff member has no such binding")]
    UnknownBinding,
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The form in which a phone number is stored: digits, with a `+` in front of the country if it is given.
/// What people write between the digits is left out, so that one number has one form.
///
/// # Errors
/// Reads as the rest of a sentence that begins with the field's name.
pub fn phone(text: &str) -> Result<String, String> {
    let between = |c: &char| matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}');
    let plain: String = text.chars().filter(|c| !between(c)).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    match are_digits && PHONE_DIGITS.contains(&digits.len()) {
        true => Ok(plain),
        false => Err(format!(
            "must be a phone number of {} to {} digits, with + in front of a country's code, such as \
             13800138000 or +86 138 0013 8000",
            PHONE_DIGITS.start(),
            PHONE_DIGITS.end()
        )),
    }
}

impl Bridge {
    /// Adds a staff member, or replaces what is known of one; bindings stay.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub async fn put_staff(
        &self,
        project: ProjectId,
        staff_id: String,
        details: StaffDetails,
    ) -> Result<StoredStaff, DbError> {
        let now = self.clock.now();
        let stored = self.db.write(move |conn| -> QueryResult<_> {
            let StaffDetails { name, phone, tags } = &details;
            let (name, phone) = (name.as_deref(), phone.as_deref());
            let (staff, is_new) = staff::put(conn, project, &staff_id, name, phone, now)?;
            if let Some(tags) = tags {
                staff::set_tags(conn, &staff, tags)?;
            }
            let tags = staff::tags_of(conn, &[staff.id])?.remove(&staff.id);
            Ok(StoredStaff {
                staff,
                tags,
                is_new,
            })
        });
        stored.await
    }

    /// Removes a staff member and the bindings, not the person.
    ///
    /// # Errors
    /// If there is no such staff member, or the database fails.
    pub async fn remove_staff(
        &self,
        project: ProjectId,
        staff_id: String,
    ) -> Result<Stranded, StaffError> {
        let now = self.clock.now();
        let removed = self.db.write(move |conn| -> Result<_, StaffError> {
            // Nobody binds somebody to them meanwhile.
            project::share(conn, project)?;
            let member = staff::hold_to_remove(conn, project, &staff_id)?;
            let bindings = bindings_of(conn, member)?.1;
            outbox::unbound(conn, project, &staff_id, &bindings, now)?;
            staff::delete(conn, project, &staff_id)?;
            Ok(stranded(conn, project, &staff_id, now)?)
        });
        let stranded = removed.await?;
        self.signals.webhooks.notify_one();
        Ok(stranded)
    }

    /// Removes one binding of a staff member.
    ///
    /// # Errors
    /// If there is no such staff member or binding, or the database fails.
    pub async fn remove_binding(
        &self,
        project: ProjectId,
        staff_id: String,
        id: BindingId,
    ) -> Result<Stranded, StaffError> {
        let now = self.clock.now();
        let removed = self.db.write(move |conn| -> Result<_, StaffError> {
            project::share(conn, project)?;
            let member = staff::hold(conn, project, &staff_id)?;
            let (member, mut bindings) = bindings_of(conn, member)?;
            bindings.retain(|binding| binding.id == id);
            outbox::unbound(conn, project, &staff_id, &bindings, now)?;
            if !binding::delete(conn, member.id, id)? {
                return Err(StaffError::UnknownBinding);
            }
            Ok(stranded(conn, project, &staff_id, now)?)
        });
        let stranded = removed.await?;
        self.signals.webhooks.notify_one();
        Ok(stranded)
    }
}

/// A staff member with all bindings.
fn bindings_of(
    conn: &mut Conn,
    member: Option<Staff>,
) -> Result<(Staff, Vec<Binding>), StaffError> {
    let member = member.ok_or(StaffError::UnknownStaff)?;
    let bindings = binding::of_staff(conn, member.id)?;
    Ok((member, bindings))
}

/// Counts them, after the removal and in its transaction.
fn stranded(
    conn: &mut Conn,
    project: ProjectId,
    staff_id: &str,
    now: NaiveDateTime,
) -> QueryResult<Stranded> {
    let waiting = delivery::astray(conn, project, staff_id, now)?;
    Ok(Stranded {
        count: waiting.min(MOST_ASTRAY),
        more: waiting > MOST_ASTRAY,
    })
}

#[cfg(test)]
mod tests {
    use super::phone;

    #[test]
    fn a_phone_number_has_one_form() {
        for (text, stored) in [
            ("13800138000", "13800138000"),
            ("138-0013-8000", "13800138000"),
            ("+86 138 0013 8000", "+8613800138000"),
            ("(0571) 8888.8888", "057188888888"),
            ("12345", "12345"),
        ] {
            assert_eq!(phone(text).as_deref(), Ok(stored));
        }
        for text in [
            "",
            "+",
            "1234",
            "138x0013800",
            "86+13800138000",
            "１３８００１３８０００",
        ] {
            assert!(phone(text).is_err(), "{text}");
        }
        assert!(phone(&"1".repeat(20)).is_ok() && phone(&"1".repeat(21)).is_err());
    }
}
