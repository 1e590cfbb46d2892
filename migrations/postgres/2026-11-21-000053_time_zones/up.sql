-- The time zone in which a project's days begin: a name of the IANA time zone database.
ALTER TABLE projects ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'Asia/Shanghai';
