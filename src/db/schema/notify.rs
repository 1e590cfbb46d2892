//! The tables of notifications and of what becomes of them.

diesel::table! {
    message_types (id) {
        id -> BigInt,
        project_id -> BigInt,
        name -> Text,
        description -> Nullable<Text>,
        routes -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    message_type_versions (id) {
        id -> BigInt,
        project_id -> BigInt,
        name -> Text,
        routes -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    notifications (id) {
        id -> BigInt,
        project_id -> BigInt,
        message_type -> Text,
        routes -> Text,
        params -> Text,
        priority -> Text,
        nonce -> BigInt,
        idempotency_key -> Nullable<Text>,
        request_hash -> Nullable<Binary>,
        send_at -> Nullable<Timestamp>,
        expires_at -> Nullable<Timestamp>,
        cancelled_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        manner -> Nullable<Text>,
    }
}

diesel::table! {
    deliveries (id) {
        id -> BigInt,
        notification_id -> BigInt,
        project_id -> BigInt,
        staff_id -> Nullable<Text>,
        staff_name -> Nullable<Text>,
        recipient -> Nullable<Text>,
        account_id -> Nullable<BigInt>,
        identity_id -> Nullable<BigInt>,
        openid -> Nullable<Text>,
        route -> Nullable<Integer>,
        priority -> Integer,
        state -> Text,
        reason -> Nullable<Text>,
        detail -> Nullable<Text>,
        considered -> Nullable<Text>,
        attempts -> Integer,
        spent -> Integer,
        begun_at -> Timestamp,
        due_at -> Nullable<Timestamp>,
        leased_until -> Nullable<Timestamp>,
        unsettled_since -> Nullable<Timestamp>,
        msgid -> Nullable<BigInt>,
        sent_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        cancelled_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        routes_id -> Nullable<BigInt>,
        first_answer -> Nullable<Text>,
        spoilt -> Integer,
        stats_day -> Nullable<Integer>,
        channel -> Nullable<Text>,
    }
}

diesel::table! {
    attempts (id) {
        id -> BigInt,
        delivery_id -> BigInt,
        number -> Integer,
        started_at -> Timestamp,
        finished_at -> Timestamp,
        outcome -> Text,
        errcode -> Nullable<BigInt>,
        detail -> Nullable<Text>,
        call -> Nullable<Text>,
        errmsg -> Nullable<Text>,
        rid -> Nullable<Text>,
    }
}

diesel::table! {
    receipts (id) {
        id -> BigInt,
        account_id -> BigInt,
        msgid -> BigInt,
        delivered -> Bool,
        reason -> Nullable<Text>,
        create_time -> BigInt,
        tries -> Integer,
        due_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        stats_day -> Nullable<Integer>,
    }
}

diesel::table! {
    sweeps (name) {
        name -> Text,
        position -> BigInt,
    }
}

diesel::table! {
    progress (notification_id, state) {
        notification_id -> BigInt,
        state -> Text,
        count -> BigInt,
    }
}

diesel::table! {
    resumptions (account_id, reason) {
        account_id -> BigInt,
        reason -> Text,
        lifted_at -> Timestamp,
    }
}

diesel::table! {
    account_pauses (account_id, call) {
        account_id -> BigInt,
        call -> Text,
        kind -> Text,
        reason -> Text,
        detail -> Text,
        until -> Timestamp,
        failures -> Integer,
        alerted -> Bool,
        since -> Timestamp,
        tried_at -> Timestamp,
        set_at -> Timestamp,
        probe_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    budgets (account_id, call, day) {
        account_id -> BigInt,
        call -> Text,
        day -> BigInt,
        used -> BigInt,
        second -> BigInt,
        second_used -> BigInt,
        minute -> BigInt,
        minute_used -> BigInt,
    }
}
