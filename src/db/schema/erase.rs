//! The tables of people whose data is erased.

diesel::table! {
    erasures (id) {
        id -> BigInt,
        project_id -> BigInt,
        cause -> Text,
        actor -> Text,
        state -> Text,
        phase -> Text,
        position -> BigInt,
        subject -> Nullable<Text>,
        staff_ids -> Text,
        identities -> BigInt,
        bindings -> BigInt,
        permissions -> BigInt,
        events -> BigInt,
        deliveries -> BigInt,
        notifications -> BigInt,
        webhook_messages -> BigInt,
        due_at -> Nullable<Timestamp>,
        requested_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    erased (id) {
        id -> BigInt,
        erasure_id -> BigInt,
        account_id -> BigInt,
        openid_hash -> Text,
        identity_id -> Nullable<BigInt>,
        erased_time -> BigInt,
    }
}
