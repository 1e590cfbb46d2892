DROP TABLE template_syncs;
DROP TABLE templates;
DROP TABLE audit;
