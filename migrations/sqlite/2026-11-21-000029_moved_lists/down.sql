DROP INDEX bindings_by_project;
