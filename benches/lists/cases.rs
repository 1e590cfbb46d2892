//! Every list of the API with every filter it has, and what to ask it for. A test holds this against the
//! handlers: a filter that is not here is not measured, and fails it.
#![allow(
    dead_code,
    reason = "the benchmark and the tests each use a part of this file"
)]

/// A list and its filters.
pub(crate) struct List {
    /// The handler's file.
    pub(crate) source: &'static str,
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    /// What is always asked for.
    pub(crate) always: &'static str,
    /// Each filter with values: that many, few, none and only the oldest rows have.
    pub(crate) filters: &'static [(&'static str, &'static [&'static str])],
    /// Filters together.
    pub(crate) together: &'static [&'static str],
}

const fn plain(source: &'static str, path: &'static str) -> List {
    List {
        source,
        path,
        always: "",
        filters: &[],
        together: &[],
    }
}

/// A time of which half of the rows are older.
const MIDDLE: &str = "2026-01-06T18:53:20Z";
const FIRST: &str = "2026-01-01T00:01:00Z";
const NEVER: &str = "2030-01-01T00:00:00Z";

/// All of them.
pub(crate) const LISTS: &[List] = &[
    List {
        source: "src/web/api/people.rs",
        path: "/people",
        always: "",
        filters: &[
            ("link_state", &["linked", "single", "no_unionid"]),
            ("follow_state", &["following", "not_following", "unknown"]),
            (
                "app_id",
                &[
                    "wx00000000000000a1",
                    "wx00000000000000b2",
                    "wx00000000000000c3",
                ],
            ),
            ("staff_id", &["s1", "s50000", "nobody"]),
            ("unionid", &["u1", "u5000", "nobody"]),
            ("openid", &["o1", "o5000", "nobody"]),
        ],
        together: &[
            "app_id=wx00000000000000a1&link_state=linked",
            "app_id=wx00000000000000a1&link_state=single",
            "app_id=wx00000000000000a1&link_state=no_unionid",
            "app_id=wx00000000000000a1&follow_state=not_following",
            "app_id=wx00000000000000a1&follow_state=unknown",
            "app_id=wx00000000000000b2&follow_state=following",
            "app_id=wx00000000000000c3&follow_state=following&link_state=linked",
            "follow_state=following&link_state=linked",
            "follow_state=not_following&link_state=single",
            "follow_state=unknown&link_state=no_unionid",
            "staff_id=s1&follow_state=following",
            "unionid=u1&link_state=linked",
        ],
    },
    List {
        source: "src/web/api/events.rs",
        path: "/events",
        always: "",
        filters: &[
            (
                "app_id",
                &[
                    "wx00000000000000a1",
                    "wx00000000000000b2",
                    "wx00000000000000c3",
                ],
            ),
            (
                "kind",
                &["text", "event.click", "event.unsubscribe", "event.none"],
            ),
            ("openid", &["o1", "o5000", "nobody"]),
            ("state", &["failed"]),
            ("since", &[FIRST, MIDDLE, NEVER]),
            ("until", &[FIRST, MIDDLE, NEVER]),
        ],
        together: &[
            "app_id=wx00000000000000a1&kind=text",
            "app_id=wx00000000000000a1&kind=event.click",
            "app_id=wx00000000000000c3&kind=event.unsubscribe",
            "kind=event.click&since=2026-01-01T00:01:00Z",
            "kind=event.unsubscribe&until=2026-01-06T18:53:20Z",
            "app_id=wx00000000000000c3&since=2026-01-01T00:01:00Z",
            "openid=o5000&kind=text&since=2026-01-01T00:01:00Z",
            "openid=nobody&until=2026-01-06T18:53:20Z",
            "state=failed&kind=text",
            "state=failed&app_id=wx00000000000000c3",
            "state=failed&openid=nobody",
            "state=failed&since=2026-01-06T18:53:20Z",
        ],
    },
    List {
        source: "src/web/api/deliveries/search.rs",
        path: "/deliveries",
        always: "",
        filters: &[
            (
                "state",
                &[
                    "queued",
                    "sent",
                    "delivered",
                    "failed",
                    "unreachable",
                    "unknown",
                    "no_receipt",
                    "expired",
                    "cancelled",
                    "failed,unreachable,unknown,no_receipt",
                    "queued,sent",
                ],
            ),
            ("reason", &["refused", "not_bound", "none"]),
            (
                "app_id",
                &[
                    "wx00000000000000a1",
                    "wx00000000000000b2",
                    "wx00000000000000c3",
                ],
            ),
            ("message_type", &["common", "rare", "none"]),
            ("staff_id", &["s1", "s50000", "nobody"]),
            ("openid", &["o1", "o5000", "nobody"]),
            ("unionid", &["u1", "u5000", "nobody"]),
            ("notification_id", &["1", "50", "999999999"]),
            ("since", &[FIRST, MIDDLE, NEVER]),
            ("until", &[FIRST, MIDDLE, NEVER]),
        ],
        together: &[
            "state=failed&since=2026-01-06T18:53:20Z",
            "state=delivered&until=2026-01-06T18:53:20Z",
            "state=failed&reason=refused&message_type=common",
            "message_type=common&staff_id=s1",
            "message_type=rare&state=delivered",
            "app_id=wx00000000000000c3&state=sent",
            "staff_id=nobody&since=2026-01-01T00:01:00Z",
            "notification_id=50&state=failed",
            "unionid=u1&state=failed",
        ],
    },
    List {
        source: "src/web/api/webhooks/messages.rs",
        path: "/webhooks/1/deliveries",
        always: "",
        filters: &[
            ("state", &["queued", "sent", "failed"]),
            (
                "type",
                &["delivery.sent", "delivery.failed", "account.alert", "none"],
            ),
        ],
        together: &[
            "state=failed&type=delivery.sent",
            "state=queued&type=account.alert",
            "state=sent&type=delivery.failed",
        ],
    },
    List {
        source: "src/web/api/staff.rs",
        path: "/staff",
        always: "",
        filters: &[
            ("tag", &["all", "few", "none"]),
            ("reachable", &["true", "false"]),
            ("reason", &["not_bound", "not_following", "follow_unknown"]),
        ],
        together: &["tag=all&reachable=false", "reachable=true&reason=not_bound"],
    },
    List {
        source: "src/web/api/credits.rs",
        path: "/credits/low",
        always: "template_id=T1",
        filters: &[
            ("template_id", &["T1", "T2", "none"]),
            ("below", &["1", "3", "1000"]),
            ("app_id", &["wx00000000000000b2", "wx00000000000000a1"]),
        ],
        together: &["template_id=T1&below=3&app_id=wx00000000000000b2"],
    },
    plain("src/web/api/notifications.rs", "/notifications"),
    plain("src/web/api/deliveries.rs", "/notifications/1/deliveries"),
    plain("src/web/api/audit.rs", "/audit"),
    plain("src/web/api/message_types.rs", "/message-types"),
    plain(
        "src/web/api/templates.rs",
        "/accounts/wx00000000000000a1/templates",
    ),
    plain("src/web/api/staff/invitations.rs", "/staff/s1/invitations"),
    plain("src/web/api/webhooks.rs", "/webhooks"),
    plain("src/web/api/moved.rs", "/accounts/wx00000000000000a1/moved"),
];

impl List {
    /// Each query to ask: none, every filter alone, and several together.
    pub(crate) fn queries(&self) -> Vec<String> {
        let mut queries = vec![self.always.to_owned()];
        for (filter, values) in self.filters {
            for value in *values {
                let alone = format!("{filter}={value}");
                queries.push(match self.always {
                    always if always.is_empty() || always.starts_with(filter) => alone,
                    always => format!("{always}&{alone}"),
                });
            }
        }
        queries.extend(self.together.iter().map(|query| (*query).to_owned()));
        queries
    }
}
