DROP INDEX invitations_by_refused;
DROP INDEX invitations_by_user;
