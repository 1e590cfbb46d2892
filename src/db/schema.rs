//! The tables, one schema for both engines. Written by hand: the types here are those that
//! PostgreSQL and SQLite share.
#![allow(missing_docs, reason = "columns are described in the migrations")]

mod erase;
mod invite;
mod lifetime;
mod notify;
mod sign_in;
mod stats;
mod subscribe;
mod webhook;

pub use erase::{erased, erasures};
pub use invite::{invitations, replaced_bindings, undone_bindings};
pub use lifetime::{
    account_migrations, account_moves, openid_moves, profile_details, unionid_changes,
};
pub use notify::{
    account_pauses, attempts, budgets, deliveries, message_type_versions, message_types,
    notifications, progress, receipts, resumptions, sweeps,
};
pub use sign_in::{user_roles, user_sessions, users};
pub use stats::{daily_stats, stats_changes};
pub use subscribe::{
    credit_entries, credits, route_alerts, switched_off, template_syncs, templates,
};
pub use webhook::{webhook_messages, webhooks};

diesel::table! {
    projects (id) {
        id -> BigInt,
        name -> Text,
        created_at -> Timestamp,
        time_zone -> Text,
    }
}

diesel::table! {
    accounts (id) {
        id -> BigInt,
        project_id -> BigInt,
        app_id -> Text,
        kind -> Text,
        name -> Text,
        mode -> Text,
        sealed_callback_token -> Binary,
        sealed_aes_key -> Nullable<Binary>,
        sealed_secret -> Nullable<Binary>,
        token_source -> Text,
        welcome_text -> Nullable<Text>,
        problem_code -> Nullable<BigInt>,
        problem_text -> Nullable<Text>,
        problem_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        problem_call -> Nullable<Text>,
        problem_errmsg -> Nullable<Text>,
        problem_rid -> Nullable<Text>,
    }
}

diesel::table! {
    access_tokens (account_id) {
        account_id -> BigInt,
        sealed_token -> Nullable<Binary>,
        generation -> BigInt,
        expires_at -> Timestamp,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> BigInt,
        project_id -> BigInt,
        name -> Text,
        prefix -> Text,
        key_hash -> Binary,
        scopes -> Text,
        created_at -> Timestamp,
        revoked_at -> Nullable<Timestamp>,
        made_by_user_id -> Nullable<BigInt>,
        made_by -> Nullable<Text>,
    }
}

diesel::table! {
    events (id) {
        id -> BigInt,
        account_id -> BigInt,
        create_time -> BigInt,
        received_at -> Timestamp,
        state -> Integer,
        dedup_key -> BigInt,
        kind -> Text,
        openid -> Nullable<Text>,
        body -> Binary,
        problem -> Nullable<Text>,
        identity_id -> Nullable<BigInt>,
        stats_day -> Nullable<Integer>,
    }
}

diesel::table! {
    identities (id) {
        id -> BigInt,
        project_id -> BigInt,
        account_id -> BigInt,
        openid -> Text,
        unionid -> Nullable<Text>,
        follow_state -> Text,
        followed_time -> BigInt,
        unfollowed_time -> BigInt,
        subscribe_scene -> Nullable<Text>,
        qr_scene -> Nullable<Text>,
        language -> Nullable<Text>,
        remark -> Nullable<Text>,
        tag_ids -> Nullable<Text>,
        profile_state -> Text,
        profile_error -> Nullable<Text>,
        profile_attempts -> Integer,
        profile_due_at -> Nullable<Timestamp>,
        profile_fetched_at -> Nullable<Timestamp>,
        seen_import -> Nullable<BigInt>,
        spoke_time -> BigInt,
        spoke_used -> Integer,
        acted_time -> BigInt,
        acted_used -> Integer,
        refused_time -> BigInt,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        profile_doubts -> Integer,
        profile_alone -> Bool,
        followed_event -> Nullable<BigInt>,
    }
}

diesel::table! {
    imports (id) {
        id -> BigInt,
        account_id -> BigInt,
        reconcile -> Bool,
        refresh -> Bool,
        state -> Text,
        next_openid -> Nullable<Text>,
        collected -> BigInt,
        total -> Nullable<BigInt>,
        created -> BigInt,
        gone -> BigInt,
        problem -> Nullable<Text>,
        attempts -> Integer,
        due_at -> Nullable<Timestamp>,
        started_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        pages -> BigInt,
        mark -> Nullable<Text>,
        checked_to -> Nullable<BigInt>,
        unsettled -> BigInt,
        last_turn -> Nullable<Timestamp>,
    }
}

diesel::table! {
    people (project_id, unionid) {
        project_id -> BigInt,
        unionid -> Text,
        account_id -> BigInt,
        linked -> Bool,
        oldest_id -> BigInt,
    }
}

diesel::table! {
    staff (id) {
        id -> BigInt,
        project_id -> BigInt,
        staff_id -> Text,
        name -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        phone -> Nullable<Text>,
    }
}

diesel::table! {
    staff_tags (staff_row_id, tag) {
        staff_row_id -> BigInt,
        project_id -> BigInt,
        tag -> Text,
    }
}

diesel::table! {
    bindings (id) {
        id -> BigInt,
        project_id -> BigInt,
        staff_row_id -> BigInt,
        identity_id -> Nullable<BigInt>,
        unionid -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    audit (id) {
        id -> BigInt,
        project_id -> BigInt,
        api_key_id -> BigInt,
        api_key_name -> Text,
        action -> Text,
        app_id -> Nullable<Text>,
        outcome -> Nullable<Text>,
        created_at -> Timestamp,
        actor -> Text,
        identity_id -> Nullable<BigInt>,
        erasure_id -> Nullable<BigInt>,
        user_id -> Nullable<BigInt>,
        user_name -> Nullable<Text>,
    }
}

diesel::joinable!(accounts -> projects (project_id));
diesel::joinable!(access_tokens -> accounts (account_id));
diesel::joinable!(api_keys -> projects (project_id));
diesel::joinable!(events -> accounts (account_id));
diesel::joinable!(identities -> accounts (account_id));
diesel::joinable!(imports -> accounts (account_id));
diesel::joinable!(staff_tags -> staff (staff_row_id));
diesel::joinable!(bindings -> staff (staff_row_id));
diesel::joinable!(bindings -> identities (identity_id));
diesel::joinable!(profile_details -> identities (identity_id));
diesel::joinable!(unionid_changes -> identities (identity_id));
diesel::joinable!(account_moves -> accounts (account_id));
diesel::joinable!(deliveries -> notifications (notification_id));
diesel::joinable!(attempts -> deliveries (delivery_id));
diesel::joinable!(credits -> identities (identity_id));
diesel::joinable!(credit_entries -> credits (credit_id));
diesel::joinable!(erased -> erasures (erasure_id));
diesel::joinable!(invitations -> staff (staff_row_id));
diesel::joinable!(undone_bindings -> identities (identity_id));
diesel::joinable!(user_roles -> users (user_id));
diesel::joinable!(user_roles -> projects (project_id));
diesel::joinable!(user_sessions -> users (user_id));
diesel::joinable!(webhooks -> projects (project_id));
diesel::joinable!(webhook_messages -> webhooks (webhook_id));

diesel::allow_tables_to_appear_in_same_query! {
    projects, accounts, access_tokens, api_keys, events, identities, people, imports, staff, staff_tags,
    bindings, message_types, notifications, deliveries, attempts, receipts, audit, templates,
    template_syncs, credits, credit_entries, sweeps, invitations, webhooks, webhook_messages,
    profile_details, unionid_changes, account_moves, account_migrations, openid_moves,
    erasures, erased, undone_bindings, replaced_bindings, daily_stats, stats_changes,
    users, user_roles, user_sessions,
}
