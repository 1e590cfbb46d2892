//! Row ids as types of their own, so that an account's id cannot be passed for an identity's.

pub mod text;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::BigInt;
use serde::{Deserialize, Serialize};

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            AsExpression, FromSqlRow, utoipa::ToSchema,
        )]
        #[schema(value_type = i64, minimum = 1, example = 514)]
        #[serde(transparent)]
        #[diesel(sql_type = BigInt)]
        pub struct $name(pub i64);

        impl<DB> FromSql<BigInt, DB> for $name
        where
            DB: Backend,
            i64: FromSql<BigInt, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                i64::from_sql(bytes).map(Self)
            }
        }

        impl<DB> ToSql<BigInt, DB> for $name
        where
            DB: Backend,
            i64: ToSql<BigInt, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.0.to_sql(out)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

row_id! {
    /// A project: one unionid scope.
    ProjectId;
    /// One WeChat app, official account or mini-program.
    AccountId;
    /// A stored callback.
    EventId;
    /// One openid in one account.
    IdentityId;
    /// The row of a staff member; the business's own id is the text `staff_id`.
    StaffRowId;
    /// A binding of a staff member to an identity or a unionid.
    BindingId;
    /// A message type.
    MessageTypeId;
    /// The routes of a message type as they once were.
    VersionId;
    /// A request to notify.
    NotificationId;
    /// One notification to one staff member.
    DeliveryId;
    /// One try of a delivery.
    AttemptId;
    /// An API key.
    ApiKeyId;
    /// The row of a template; WeChat's own id is the text `template_id`.
    TemplateRowId;
    /// An entry of the audit trail.
    AuditId;
    /// One walk over an account's followers.
    ImportId;
    /// One walk over the openids of a migrated account.
    MigrationId;
    /// What one identity allows one subscription template.
    CreditId;
    /// One consent or one send in the ledger of permissions.
    CreditEntryId;
    /// A binding that was undone.
    UndoneBindingId;
    /// A one-time token that binds whoever presents it to a staff member.
    InvitationId;
    /// An endpoint that events are posted to.
    WebhookId;
    /// One event for one endpoint.
    WebhookMessageId;
    /// One time that a person's data is erased.
    ErasureId;
    /// Somebody who signs in.
    UserId;
    /// One time that somebody signed in.
    SessionId;
}
