-- When an identity is deleted, the invitations that name it are looked for.
CREATE INDEX invitations_by_user ON invitations (used_by) WHERE used_by IS NOT NULL;
CREATE INDEX invitations_by_refused ON invitations (refused_to) WHERE refused_to IS NOT NULL;
