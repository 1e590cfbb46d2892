CREATE TABLE staff (
    id         BIGSERIAL PRIMARY KEY,
    project_id BIGINT    NOT NULL REFERENCES projects (id),
    staff_id   TEXT      NOT NULL,
    name       TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (project_id, staff_id)
);

-- Staff to identity, or to a unionid whose identities may come later.
CREATE TABLE bindings (
    id           BIGSERIAL PRIMARY KEY,
    project_id   BIGINT    NOT NULL REFERENCES projects (id),
    staff_row_id BIGINT    NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    identity_id  BIGINT    UNIQUE REFERENCES identities (id) ON DELETE CASCADE,
    unionid      TEXT,
    created_at   TIMESTAMP NOT NULL,
    UNIQUE (project_id, unionid),
    CHECK ((identity_id IS NULL) <> (unionid IS NULL))
);
CREATE INDEX bindings_by_staff ON bindings (staff_row_id);

-- Words by which the business groups its staff; a notification may name one.
CREATE TABLE staff_tags (
    staff_row_id BIGINT NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    project_id   BIGINT NOT NULL,
    tag          TEXT   NOT NULL,
    PRIMARY KEY (staff_row_id, tag)
);
CREATE INDEX staff_tags_by_tag ON staff_tags (project_id, tag, staff_row_id);
