-- The queue of deliveries has one index with the condition "due_at IS NOT NULL". Another one with the same condition
-- was taken by PostgreSQL instead, to read and sort all that is due, as long as its statistics said that hardly
-- anything is: after each quiet time, until they were collected again.
DROP INDEX deliveries_of_staff;
CREATE INDEX deliveries_of_staff ON deliveries (project_id, staff_id)
    WHERE due_at IS NOT NULL AND staff_id IS NOT NULL;
