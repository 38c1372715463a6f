-- Why: files of a pipeline belong beside the state that they explain. What they take up is kept by triggers, so
-- that a quota is one look-up and no step can forget it; those of an update that is removed go along, pinned ones
-- stay. A machine token may be for one stack's artifacts alone.
CREATE TABLE `artifact` (
	`id` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`stack_id` text,
	`update_id` text,
	`commit_sha` text,
	`place` text NOT NULL,
	`name` text NOT NULL,
	`version` integer NOT NULL,
	`kind` text NOT NULL,
	`content_type` text NOT NULL,
	`size_bytes` integer NOT NULL,
	`sha256` text NOT NULL,
	`blob_key` text NOT NULL,
	`sealed` integer NOT NULL,
	`labels` text NOT NULL,
	`pinned` integer DEFAULT 0 NOT NULL,
	`actor` text NOT NULL,
	`created_ms` integer NOT NULL,
	`pending_until_ms` integer,
	FOREIGN KEY (`organization_id`) REFERENCES `organization`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `artifact_version` ON `artifact` (`organization_id`,`place`,`name`,`version`);--> statement-breakpoint
CREATE INDEX `artifact_organization` ON `artifact` (`organization_id`,`id`);--> statement-breakpoint
CREATE INDEX `artifact_name` ON `artifact` (`organization_id`,`name`,`id`);--> statement-breakpoint
CREATE INDEX `artifact_stack` ON `artifact` (`stack_id`,`id`) WHERE stack_id is not null;--> statement-breakpoint
CREATE INDEX `artifact_update` ON `artifact` (`update_id`,`id`) WHERE update_id is not null;--> statement-breakpoint
CREATE INDEX `artifact_commit` ON `artifact` (`commit_sha`,`id`) WHERE commit_sha is not null;--> statement-breakpoint
CREATE INDEX `artifact_blob` ON `artifact` (`blob_key`);--> statement-breakpoint
CREATE INDEX `artifact_pending` ON `artifact` (`pending_until_ms`) WHERE pending_until_ms is not null;--> statement-breakpoint
CREATE INDEX `artifact_loose` ON `artifact` (`created_ms`) WHERE pinned = 0 and pending_until_ms is null;--> statement-breakpoint
CREATE TABLE `artifact_usage` (
	`scope` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`organization_id` text NOT NULL,
	`files` integer NOT NULL,
	`bytes` integer NOT NULL,
	`loose_files` integer NOT NULL,
	`loose_bytes` integer NOT NULL,
	FOREIGN KEY (`organization_id`) REFERENCES `organization`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `artifact_usage_organization` ON `artifact_usage` (`organization_id`);--> statement-breakpoint
CREATE INDEX `artifact_usage_files` ON `artifact_usage` (`kind`,`loose_files`);--> statement-breakpoint
CREATE INDEX `artifact_usage_bytes` ON `artifact_usage` (`kind`,`loose_bytes`);--> statement-breakpoint
ALTER TABLE `access_token` ADD `stack_id` text;--> statement-breakpoint
INSERT INTO counter (name, value) VALUES ('artifact', 0), ('artifact_bytes', 0);
--> statement-breakpoint
CREATE TRIGGER artifact_added AFTER INSERT ON artifact BEGIN
  INSERT INTO artifact_usage (scope, kind, organization_id, files, bytes, loose_files, loose_bytes)
  SELECT 'o:' || NEW.organization_id, 'organization', NEW.organization_id, 1, NEW.size_bytes,
    NEW.pinned = 0 AND NEW.pending_until_ms IS NULL,
    (NEW.pinned = 0 AND NEW.pending_until_ms IS NULL) * NEW.size_bytes
  WHERE true
  ON CONFLICT (scope) DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes,
    loose_files = loose_files + excluded.loose_files, loose_bytes = loose_bytes + excluded.loose_bytes;
  INSERT INTO artifact_usage (scope, kind, organization_id, files, bytes, loose_files, loose_bytes)
  SELECT 's:' || NEW.stack_id, 'stack', NEW.organization_id, 1, NEW.size_bytes,
    NEW.pinned = 0 AND NEW.pending_until_ms IS NULL,
    (NEW.pinned = 0 AND NEW.pending_until_ms IS NULL) * NEW.size_bytes
  WHERE NEW.stack_id IS NOT NULL
  ON CONFLICT (scope) DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes,
    loose_files = loose_files + excluded.loose_files, loose_bytes = loose_bytes + excluded.loose_bytes;
  UPDATE counter SET value = value + 1 WHERE name = 'artifact';
  UPDATE counter SET value = value + NEW.size_bytes WHERE name = 'artifact_bytes';
END;
--> statement-breakpoint
CREATE TRIGGER artifact_removed AFTER DELETE ON artifact BEGIN
  UPDATE artifact_usage SET files = files - 1, bytes = bytes - OLD.size_bytes,
    loose_files = loose_files - (OLD.pinned = 0 AND OLD.pending_until_ms IS NULL),
    loose_bytes = loose_bytes - (OLD.pinned = 0 AND OLD.pending_until_ms IS NULL) * OLD.size_bytes
  WHERE scope IN ('o:' || OLD.organization_id, 's:' || OLD.stack_id);
  DELETE FROM artifact_usage WHERE scope = 's:' || OLD.stack_id AND files = 0;
  UPDATE counter SET value = value - 1 WHERE name = 'artifact';
  UPDATE counter SET value = value - OLD.size_bytes WHERE name = 'artifact_bytes';
END;
--> statement-breakpoint
CREATE TRIGGER artifact_loosened AFTER UPDATE OF pinned, pending_until_ms ON artifact
WHEN (OLD.pinned = 0 AND OLD.pending_until_ms IS NULL) <> (NEW.pinned = 0 AND NEW.pending_until_ms IS NULL) BEGIN
  UPDATE artifact_usage SET
    loose_files = loose_files + iif(NEW.pinned = 0 AND NEW.pending_until_ms IS NULL, 1, -1),
    loose_bytes = loose_bytes + iif(NEW.pinned = 0 AND NEW.pending_until_ms IS NULL, 1, -1) * NEW.size_bytes
  WHERE scope IN ('o:' || NEW.organization_id, 's:' || NEW.stack_id);
END;
--> statement-breakpoint
CREATE TRIGGER stack_update_artifacts AFTER DELETE ON stack_update BEGIN
  DELETE FROM artifact WHERE update_id = OLD.id AND pinned = 0;
END;
