-- What WeChat tells of a person beside the follow state, for the accounts and times for which it
-- does; most live answers have none of it, and then there is no row.
CREATE TABLE profile_details (
    identity_id BIGINT    PRIMARY KEY NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    nickname    TEXT,
    headimgurl  TEXT,
    sex         INTEGER,
    country     TEXT,
    province    TEXT,
    city        TEXT,
    updated_at  TIMESTAMP NOT NULL
);

-- An openid that came with another unionid than before: its account moved to another Open Platform
-- account. What was bound by the old one is found through it.
CREATE TABLE unionid_changes (
    identity_id BIGINT    NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    old_unionid TEXT      NOT NULL,
    new_unionid TEXT      NOT NULL,
    project_id  BIGINT    NOT NULL,
    account_id  BIGINT    NOT NULL,
    changed_at  TIMESTAMP NOT NULL,
    PRIMARY KEY (identity_id, old_unionid, new_unionid)
);
CREATE INDEX unionid_changes_by_old ON unionid_changes (project_id, old_unionid);

-- The same by account: since when, how many openids, and when somebody was told of it last.
CREATE TABLE account_moves (
    account_id BIGINT    PRIMARY KEY NOT NULL REFERENCES accounts (id),
    since      TIMESTAMP NOT NULL,
    last_at    TIMESTAMP NOT NULL,
    changed    BIGINT    NOT NULL,
    told_at    TIMESTAMP
);

-- Whether the walk asks for all profiles again.
ALTER TABLE imports ADD COLUMN refresh BOOLEAN NOT NULL DEFAULT FALSE;
