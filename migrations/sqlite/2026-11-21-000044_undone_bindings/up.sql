-- Bindings that were undone, as their person turned out to be another staff member (`kept_row_id`) already.
-- `identity_id` is the openid that was bound, or that told who the person is. While `tell_at` is set, the
-- person is to be told in the chat.
CREATE TABLE undone_bindings (
    id           INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    staff_row_id BIGINT    NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    identity_id  BIGINT    NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    kept_row_id  BIGINT    REFERENCES staff (id) ON DELETE SET NULL,
    tell_at      TIMESTAMP,
    undone_at    TIMESTAMP NOT NULL
);
CREATE INDEX undone_bindings_of_staff ON undone_bindings (staff_row_id, id);
CREATE INDEX undone_bindings_untold ON undone_bindings (tell_at) WHERE tell_at IS NOT NULL;
-- When an identity or the other staff member is deleted, the rows that name it are looked for.
CREATE INDEX undone_bindings_by_identity ON undone_bindings (identity_id);
CREATE INDEX undone_bindings_by_kept ON undone_bindings (kept_row_id) WHERE kept_row_id IS NOT NULL;
