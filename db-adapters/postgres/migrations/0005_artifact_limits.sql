-- Why: one organization keeps its plans for a week and another for years, and a busy stack must not push out what the
-- others keep; limits for everybody can't say that.
CREATE TABLE "artifact_limit" (
	"scope" text COLLATE "C" PRIMARY KEY NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"stack_id" text COLLATE "C",
	"age_days" bigint,
	"files_max" bigint,
	"bytes_max" bigint,
	"quota_bytes" bigint
);
--> statement-breakpoint
ALTER TABLE "artifact_limit" ADD CONSTRAINT "artifact_limit_organization_id_organization_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organization"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "artifact_limit" ADD CONSTRAINT "artifact_limit_stack_id_stack_id_fk" FOREIGN KEY ("stack_id") REFERENCES "public"."stack"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "artifact_limit_organization" ON "artifact_limit" USING btree ("organization_id");--> statement-breakpoint
CREATE INDEX "artifact_limit_stack" ON "artifact_limit" USING btree ("stack_id") WHERE stack_id is not null;--> statement-breakpoint
CREATE INDEX "artifact_limit_age" ON "artifact_limit" USING btree ("age_days") WHERE age_days >= 0;--> statement-breakpoint
CREATE INDEX "artifact_limit_files" ON "artifact_limit" USING btree ("files_max") WHERE files_max >= 0;--> statement-breakpoint
CREATE INDEX "artifact_limit_bytes" ON "artifact_limit" USING btree ("bytes_max") WHERE bytes_max >= 0;
