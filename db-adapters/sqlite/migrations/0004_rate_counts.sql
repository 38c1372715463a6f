-- Why: an address that guesses tokens must not get as many tries as there are replicas. Each failure is counted in
-- one row that all of them see; without failures nobody asks.
-- With SQLite there is one instance, which counts in memory: the table is there for the schemas to be alike.
CREATE TABLE `rate_count` (
	`key` text PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`ends_ms` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `rate_count_ends` ON `rate_count` (`ends_ms`);