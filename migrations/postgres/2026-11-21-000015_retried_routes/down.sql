DROP INDEX deliveries_of_staff;
ALTER TABLE deliveries DROP COLUMN first_answer;
ALTER TABLE deliveries DROP COLUMN routes_id;
ALTER TABLE notifications DROP COLUMN manner;
DROP TABLE message_type_versions;
