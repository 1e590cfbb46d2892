//! The tables of templates and of the permission to use them.

diesel::table! {
    templates (id) {
        id -> BigInt,
        account_id -> BigInt,
        template_id -> Text,
        kind -> Text,
        title -> Text,
        content -> Text,
        keys -> Text,
        first_seen_at -> Timestamp,
        last_seen_at -> Timestamp,
        gone_at -> Nullable<Timestamp>,
        changed_at -> Nullable<Timestamp>,
        previous_title -> Nullable<Text>,
        previous_content -> Nullable<Text>,
        first_title -> Nullable<Text>,
        first_content -> Nullable<Text>,
        first_keys -> Nullable<Text>,
    }
}

diesel::table! {
    template_syncs (account_id) {
        account_id -> BigInt,
        due_at -> Nullable<Timestamp>,
        synced_at -> Nullable<Timestamp>,
        attempts -> Integer,
        problem_code -> Nullable<BigInt>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    credits (id) {
        id -> BigInt,
        account_id -> BigInt,
        identity_id -> BigInt,
        template_id -> Text,
        long_term -> Bool,
        one_time_left -> Integer,
        event_time -> BigInt,
        api_time -> BigInt,
        rejected_time -> BigInt,
        withdrawn_time -> BigInt,
        banned_time -> BigInt,
        refused_time -> BigInt,
        updated_at -> Timestamp,
        folded_time -> BigInt,
        folded_left -> Integer,
    }
}

diesel::table! {
    credit_entries (id) {
        id -> BigInt,
        credit_id -> BigInt,
        kind -> Text,
        happened_time -> BigInt,
        mark -> BigInt,
    }
}

diesel::table! {
    switched_off (identity_id, template_id) {
        identity_id -> BigInt,
        template_id -> Text,
        account_id -> BigInt,
        since -> Timestamp,
    }
}

diesel::table! {
    route_alerts (account_id, subject, errcode) {
        account_id -> BigInt,
        subject -> Text,
        errcode -> BigInt,
        told_at -> Timestamp,
    }
}
