//! The tables of invitations and of what came of bindings.

diesel::table! {
    invitations (id) {
        id -> BigInt,
        project_id -> BigInt,
        staff_row_id -> BigInt,
        account_id -> BigInt,
        mini_program_id -> Nullable<BigInt>,
        token_hash -> Binary,
        rebind -> Bool,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        used_at -> Nullable<Timestamp>,
        used_by -> Nullable<BigInt>,
        revoked_at -> Nullable<Timestamp>,
        refusal -> Nullable<Text>,
        refused_at -> Nullable<Timestamp>,
        refused_to -> Nullable<BigInt>,
    }
}

diesel::table! {
    undone_bindings (id) {
        id -> BigInt,
        staff_row_id -> BigInt,
        identity_id -> BigInt,
        kept_row_id -> Nullable<BigInt>,
        tell_at -> Nullable<Timestamp>,
        undone_at -> Timestamp,
    }
}

diesel::table! {
    replaced_bindings (id) {
        id -> BigInt,
        binding_id -> BigInt,
        identity_id -> Nullable<BigInt>,
        unionid -> Nullable<Text>,
        created_at -> Timestamp,
    }
}
