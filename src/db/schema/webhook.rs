//! The tables of events out.

diesel::table! {
    webhooks (id) {
        id -> BigInt,
        project_id -> BigInt,
        url -> Text,
        events -> Text,
        app_ids -> Nullable<Text>,
        description -> Nullable<Text>,
        state -> Text,
        state_reason -> Nullable<Text>,
        state_at -> Timestamp,
        sealed_secret -> Binary,
        sealed_old_secret -> Nullable<Binary>,
        old_secret_until -> Nullable<Timestamp>,
        lane -> BigInt,
        leased_until -> Nullable<Timestamp>,
        failures -> Integer,
        failing_since -> Nullable<Timestamp>,
        paused_until -> Nullable<Timestamp>,
        last_success_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        sealed_older_secret -> Nullable<Binary>,
        older_secret_until -> Nullable<Timestamp>,
        rotation_key -> Nullable<Text>,
    }
}

diesel::table! {
    webhook_messages (id) {
        id -> BigInt,
        webhook_id -> BigInt,
        uid -> Text,
        kind -> Text,
        person -> Nullable<Text>,
        body -> Text,
        state -> Text,
        attempts -> Integer,
        begun_at -> Nullable<Timestamp>,
        due_at -> Nullable<Timestamp>,
        last_attempt_at -> Nullable<Timestamp>,
        last_status -> Nullable<Integer>,
        last_answer -> Nullable<Text>,
        finished_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
    }
}
