-- The routes of a message type as they were when a delivery was retried by hand: a retry sends what
-- the message type says on that day. `deliveries.routes_id` names the row; null means the
-- notification's own routes. Each text is there once for each message type.
CREATE TABLE message_type_versions (
    id         BIGSERIAL PRIMARY KEY,
    project_id BIGINT    NOT NULL REFERENCES projects (id),
    name       TEXT      NOT NULL,
    routes     TEXT      NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX message_type_versions_by_name ON message_type_versions (project_id, name, id);

-- What the notification wanted otherwise than its message type says, as JSON; it holds for the routes
-- of a retry, too.
ALTER TABLE notifications ADD COLUMN manner TEXT;

-- `first_answer` is the verdict that the app got, as JSON, once the row's state says another:
-- a request that is repeated gets its first answer.
ALTER TABLE deliveries ADD COLUMN routes_id BIGINT;
ALTER TABLE deliveries ADD COLUMN first_answer TEXT;
-- What waits for a staff member: only the queue is in it.
CREATE INDEX deliveries_of_staff ON deliveries (project_id, staff_id) WHERE due_at IS NOT NULL;
