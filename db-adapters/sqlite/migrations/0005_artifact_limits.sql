-- Why: one organization keeps its plans for a week and another for years, and a busy stack must not push out what the
-- others keep; limits for everybody can't say that.
CREATE TABLE `artifact_limit` (
	`scope` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`stack_id` text,
	`age_days` integer,
	`files_max` integer,
	`bytes_max` integer,
	`quota_bytes` integer,
	FOREIGN KEY (`organization_id`) REFERENCES `organization`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`stack_id`) REFERENCES `stack`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `artifact_limit_organization` ON `artifact_limit` (`organization_id`);--> statement-breakpoint
CREATE INDEX `artifact_limit_stack` ON `artifact_limit` (`stack_id`) WHERE stack_id is not null;--> statement-breakpoint
CREATE INDEX `artifact_limit_age` ON `artifact_limit` (`age_days`) WHERE age_days >= 0;--> statement-breakpoint
CREATE INDEX `artifact_limit_files` ON `artifact_limit` (`files_max`) WHERE files_max >= 0;--> statement-breakpoint
CREATE INDEX `artifact_limit_bytes` ON `artifact_limit` (`bytes_max`) WHERE bytes_max >= 0;
