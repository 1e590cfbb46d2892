//! What becomes of identities over the years: details that WeChat tells, and unionids that change.

diesel::table! {
    profile_details (identity_id) {
        identity_id -> BigInt,
        nickname -> Nullable<Text>,
        headimgurl -> Nullable<Text>,
        sex -> Nullable<Integer>,
        country -> Nullable<Text>,
        province -> Nullable<Text>,
        city -> Nullable<Text>,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    unionid_changes (identity_id, old_unionid, new_unionid) {
        identity_id -> BigInt,
        old_unionid -> Text,
        new_unionid -> Text,
        project_id -> BigInt,
        account_id -> BigInt,
        changed_at -> Timestamp,
    }
}

diesel::table! {
    account_moves (account_id) {
        account_id -> BigInt,
        since -> Timestamp,
        last_at -> Timestamp,
        changed -> BigInt,
        told_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    account_migrations (id) {
        id -> BigInt,
        from_account_id -> BigInt,
        to_account_id -> BigInt,
        state -> Text,
        last_identity_id -> BigInt,
        total -> BigInt,
        asked -> BigInt,
        moved -> BigInt,
        refused -> BigInt,
        problem -> Nullable<Text>,
        started_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    openid_moves (identity_id) {
        identity_id -> BigInt,
        to_account_id -> BigInt,
        new_identity_id -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        moved_at -> Timestamp,
    }
}
