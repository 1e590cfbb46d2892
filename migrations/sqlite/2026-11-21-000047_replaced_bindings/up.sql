-- Bindings that an invitation replaced (`rebind`) while it was not known who presented it. Where that
-- turns out to be another staff member, so that the new binding (`binding_id`) is undone, they come back.
CREATE TABLE replaced_bindings (
    id          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    binding_id  BIGINT    NOT NULL REFERENCES bindings (id) ON DELETE CASCADE,
    identity_id BIGINT    REFERENCES identities (id) ON DELETE CASCADE,
    unionid     TEXT,
    created_at  TIMESTAMP NOT NULL
);
CREATE INDEX replaced_bindings_by_binding ON replaced_bindings (binding_id);
CREATE INDEX replaced_bindings_by_identity ON replaced_bindings (identity_id) WHERE identity_id IS NOT NULL;
CREATE INDEX replaced_bindings_by_unionid ON replaced_bindings (unionid) WHERE unionid IS NOT NULL;
