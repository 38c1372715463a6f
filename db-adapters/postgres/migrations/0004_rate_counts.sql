-- Why: an address that guesses tokens must not get as many tries as there are replicas. Each failure is counted in
-- one row that all of them see; without failures nobody asks.
-- Counts of a minute: what a crash loses of them is no loss, and not logging them saves an fsync.
CREATE UNLOGGED TABLE "rate_count" (
	"key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"count" integer NOT NULL,
	"ends_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "rate_count_ends" ON "rate_count" USING btree ("ends_ms");