//! The tables of the numbers by day.

diesel::table! {
    daily_stats (day, project_id, metric, name, channel, reason, account_id) {
        day -> Integer,
        project_id -> BigInt,
        metric -> Text,
        name -> Text,
        channel -> Text,
        reason -> Text,
        account_id -> BigInt,
        count -> BigInt,
    }
}

diesel::table! {
    stats_changes (id) {
        id -> BigInt,
        day -> Integer,
        project_id -> BigInt,
        metric -> Text,
        name -> Text,
        channel -> Text,
        reason -> Text,
        account_id -> BigInt,
        count -> BigInt,
    }
}
