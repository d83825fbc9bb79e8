-- Origins of messages: each kind adds its branch. Publishing checks the version.
create view origins as select id, environment_id, version from applications;
