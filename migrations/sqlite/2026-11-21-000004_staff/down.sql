DROP TABLE staff_tags;
DROP TABLE bindings;
DROP TABLE staff;
