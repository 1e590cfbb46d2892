-- Bindings by a unionid, of which few are looked for after an account has moved.
CREATE INDEX bindings_by_project ON bindings (project_id, id) WHERE unionid IS NOT NULL;
