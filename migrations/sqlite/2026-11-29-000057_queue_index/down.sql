DROP INDEX deliveries_of_staff;
CREATE INDEX deliveries_of_staff ON deliveries (project_id, staff_id) WHERE due_at IS NOT NULL;
