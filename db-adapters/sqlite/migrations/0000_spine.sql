CREATE TABLE `access_token` (
	`id` text PRIMARY KEY NOT NULL,
	`token_hash` text NOT NULL,
	`name` text NOT NULL,
	`kind` text NOT NULL,
	`user_id` text,
	`organization_id` text,
	`role` text,
	`created_ms` integer NOT NULL,
	`created_by` text NOT NULL,
	`expires_ms` integer,
	`last_used_ms` integer,
	`revoked_ms` integer,
	FOREIGN KEY (`user_id`) REFERENCES `user`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`organization_id`) REFERENCES `organization`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `access_token_token_hash_unique` ON `access_token` (`token_hash`);--> statement-breakpoint
CREATE INDEX `access_token_user` ON `access_token` (`user_id`,`id`);--> statement-breakpoint
CREATE INDEX `access_token_organization` ON `access_token` (`organization_id`,`id`);--> statement-breakpoint
CREATE INDEX `access_token_expires` ON `access_token` (`expires_ms`) WHERE expires_ms is not null;--> statement-breakpoint
CREATE INDEX `access_token_revoked` ON `access_token` (`revoked_ms`) WHERE revoked_ms is not null;--> statement-breakpoint
CREATE TABLE `audit_event` (
	`id` text PRIMARY KEY NOT NULL,
	`at_ms` integer NOT NULL,
	`actor` text NOT NULL,
	`action` text NOT NULL,
	`organization` text,
	`target` text NOT NULL,
	`source_ip` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `audit_event_organization` ON `audit_event` (`organization`,`id`);--> statement-breakpoint
CREATE TABLE `counter` (
	`name` text PRIMARY KEY NOT NULL,
	`value` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `event_batch` (
	`id` integer PRIMARY KEY NOT NULL,
	`update_id` text NOT NULL,
	`digest` text NOT NULL,
	`first_sequence` integer NOT NULL,
	`last_sequence` integer NOT NULL,
	`body` blob NOT NULL,
	FOREIGN KEY (`update_id`) REFERENCES `stack_update`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `event_batch_digest` ON `event_batch` (`update_id`,`digest`);--> statement-breakpoint
CREATE INDEX `event_batch_sequence` ON `event_batch` (`update_id`,`last_sequence`,`first_sequence`);--> statement-breakpoint
CREATE TABLE `gc_run` (
	`id` text PRIMARY KEY NOT NULL,
	`started_ms` integer NOT NULL,
	`ended_ms` integer NOT NULL,
	`trigger` text NOT NULL,
	`dry_run` integer NOT NULL,
	`counts` text NOT NULL,
	`error` text
);
--> statement-breakpoint
CREATE INDEX `gc_run_started` ON `gc_run` (`started_ms`,`id`);--> statement-breakpoint
CREATE TABLE `journal_batch` (
	`id` integer PRIMARY KEY NOT NULL,
	`update_id` text NOT NULL,
	`digest` text NOT NULL,
	`entry_count` integer NOT NULL,
	`size_bytes` integer NOT NULL,
	`body` blob NOT NULL,
	FOREIGN KEY (`update_id`) REFERENCES `stack_update`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE UNIQUE INDEX `journal_batch_digest` ON `journal_batch` (`update_id`,`digest`);--> statement-breakpoint
CREATE INDEX `journal_batch_update` ON `journal_batch` (`update_id`);--> statement-breakpoint
CREATE TABLE `membership` (
	`organization_id` text NOT NULL,
	`user_id` text NOT NULL,
	`role` text NOT NULL,
	`created_ms` integer NOT NULL,
	PRIMARY KEY(`organization_id`, `user_id`),
	FOREIGN KEY (`organization_id`) REFERENCES `organization`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`user_id`) REFERENCES `user`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `membership_user` ON `membership` (`user_id`,`organization_id`);--> statement-breakpoint
CREATE TABLE `organization` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`created_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `organization_name_unique` ON `organization` (`name`);--> statement-breakpoint
CREATE TABLE `setting` (
	`key` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `stack` (
	`id` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`project` text NOT NULL,
	`name` text NOT NULL,
	`created_ms` integer NOT NULL,
	`tags` text NOT NULL,
	`version` integer NOT NULL,
	`state_version` integer,
	`good_version` integer,
	`active_update_id` text,
	`running_update_id` text,
	`last_update_ms` integer,
	`resource_count` integer NOT NULL,
	`state_count` integer DEFAULT 0 NOT NULL,
	`deleted_ms` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `stack_name` ON `stack` (`organization_id`,`project`,`name`) WHERE deleted_ms is null;--> statement-breakpoint
CREATE INDEX `stack_deleted` ON `stack` (`deleted_ms`) WHERE deleted_ms is not null;--> statement-breakpoint
CREATE INDEX `stack_state_count` ON `stack` (`state_count`) WHERE state_count > 1;--> statement-breakpoint
CREATE TABLE `stack_tag` (
	`stack_id` text NOT NULL,
	`name` text NOT NULL,
	`value` text NOT NULL,
	PRIMARY KEY(`stack_id`, `name`),
	FOREIGN KEY (`stack_id`) REFERENCES `stack`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `stack_tag_value` ON `stack_tag` (`name`,`value`);--> statement-breakpoint
CREATE TABLE `stack_update` (
	`id` text PRIMARY KEY NOT NULL,
	`stack_id` text NOT NULL,
	`kind` text NOT NULL,
	`dry_run` integer NOT NULL,
	`status` text NOT NULL,
	`ending` text,
	`version` integer,
	`actor` text NOT NULL,
	`created_ms` integer NOT NULL,
	`started_ms` integer,
	`ended_ms` integer,
	`resource_changes` text,
	`resource_count` integer,
	`cli_version` text,
	`lease_token_hash` text,
	`lease_expires_ms` integer,
	`cancel_ms` integer,
	`revision` integer DEFAULT 0 NOT NULL,
	`base_version` integer,
	`journal_version` integer DEFAULT 0 NOT NULL,
	`journal_after_id` integer DEFAULT 0 NOT NULL,
	`journal_count` integer DEFAULT 0 NOT NULL,
	`journal_bytes` integer DEFAULT 0 NOT NULL,
	`journal_stored_bytes` integer DEFAULT 0 NOT NULL,
	`has_events` integer DEFAULT 0 NOT NULL,
	`checkpoint_sequence` integer,
	`checkpoint_blob_key` text,
	`checkpoint_sha256` text,
	`checkpoint_size_bytes` integer,
	`checkpoint_resource_count` integer,
	`checkpoint_resource_total` integer,
	`checkpoint_problems` text,
	FOREIGN KEY (`stack_id`) REFERENCES `stack`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `stack_update_stack` ON `stack_update` (`stack_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `stack_update_history` ON `stack_update` (`stack_id`,`version`) WHERE dry_run = 0 and version is not null;--> statement-breakpoint
CREATE INDEX `stack_update_preview` ON `stack_update` (`stack_id`,`started_ms`,`id`) WHERE dry_run = 1 and started_ms is not null;--> statement-breakpoint
CREATE INDEX `stack_update_running` ON `stack_update` (`id`) WHERE status = 'running';--> statement-breakpoint
CREATE INDEX `stack_update_running_stack` ON `stack_update` (`stack_id`) WHERE status = 'running';--> statement-breakpoint
CREATE INDEX `stack_update_lease` ON `stack_update` (`lease_expires_ms`) WHERE status = 'running';--> statement-breakpoint
CREATE INDEX `stack_update_cancel` ON `stack_update` (`cancel_ms`) WHERE status = 'running' and cancel_ms is not null;--> statement-breakpoint
CREATE INDEX `stack_update_not_started` ON `stack_update` (`created_ms`) WHERE status = 'not started';--> statement-breakpoint
CREATE INDEX `stack_update_discarded` ON `stack_update` (`ended_ms`) WHERE status = 'discarded';--> statement-breakpoint
CREATE INDEX `stack_update_events` ON `stack_update` (`ended_ms`) WHERE has_events = 1 and ended_ms is not null;--> statement-breakpoint
CREATE INDEX `stack_update_base` ON `stack_update` (`stack_id`,`base_version`) WHERE base_version is not null;--> statement-breakpoint
CREATE INDEX `stack_update_blob` ON `stack_update` (`checkpoint_blob_key`) WHERE checkpoint_blob_key is not null;--> statement-breakpoint
CREATE TABLE `state_version` (
	`stack_id` text NOT NULL,
	`version` integer NOT NULL,
	`update_id` text,
	`created_ms` integer NOT NULL,
	`blob_key` text NOT NULL,
	`sha256` text NOT NULL,
	`size_bytes` integer NOT NULL,
	`resource_count` integer NOT NULL,
	`resource_total` integer NOT NULL,
	`problems` text,
	`superseded` integer DEFAULT 0 NOT NULL,
	PRIMARY KEY(`stack_id`, `version`),
	FOREIGN KEY (`stack_id`) REFERENCES `stack`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `state_version_blob` ON `state_version` (`blob_key`);--> statement-breakpoint
CREATE INDEX `state_version_old` ON `state_version` (`created_ms`) WHERE superseded = 1;--> statement-breakpoint
CREATE TABLE `update_input` (
	`update_id` text PRIMARY KEY NOT NULL,
	`config` blob,
	`metadata` text NOT NULL,
	FOREIGN KEY (`update_id`) REFERENCES `stack_update`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `user` (
	`id` text PRIMARY KEY NOT NULL,
	`login` text NOT NULL,
	`name` text NOT NULL,
	`email` text NOT NULL,
	`created_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `user_login_unique` ON `user` (`login`);