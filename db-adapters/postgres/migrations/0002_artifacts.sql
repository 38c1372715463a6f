-- Why: files of a pipeline belong beside the state that they explain. What they take up is kept by triggers, so
-- that a quota is one look-up and no step can forget it; those of an update that is removed go along, pinned ones
-- stay. A machine token may be for one stack's artifacts alone.
-- Usage rows are locked in the order of their scopes, after stacks and before counters: no deadlock.
CREATE TABLE "artifact" (
	"id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"stack_id" text COLLATE "C",
	"update_id" text COLLATE "C",
	"commit_sha" text COLLATE "C",
	"place" text COLLATE "C" NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"version" integer NOT NULL,
	"kind" text COLLATE "C" NOT NULL,
	"content_type" text COLLATE "C" NOT NULL,
	"size_bytes" bigint NOT NULL,
	"sha256" text COLLATE "C" NOT NULL,
	"blob_key" text COLLATE "C" NOT NULL,
	"sealed" integer NOT NULL,
	"labels" text COLLATE "C" NOT NULL,
	"pinned" integer DEFAULT 0 NOT NULL,
	"actor" text COLLATE "C" NOT NULL,
	"created_ms" bigint NOT NULL,
	"pending_until_ms" bigint
);
--> statement-breakpoint
CREATE TABLE "artifact_usage" (
	"scope" text COLLATE "C" PRIMARY KEY NOT NULL,
	"kind" text COLLATE "C" NOT NULL,
	"organization_id" text COLLATE "C" NOT NULL,
	"files" bigint NOT NULL,
	"bytes" bigint NOT NULL,
	"loose_files" bigint NOT NULL,
	"loose_bytes" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "access_token" ADD COLUMN "stack_id" text COLLATE "C";--> statement-breakpoint
ALTER TABLE "artifact" ADD CONSTRAINT "artifact_organization_id_organization_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organization"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "artifact_usage" ADD CONSTRAINT "artifact_usage_organization_id_organization_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organization"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "artifact_version" ON "artifact" USING btree ("organization_id","place","name","version");--> statement-breakpoint
CREATE INDEX "artifact_organization" ON "artifact" USING btree ("organization_id","id");--> statement-breakpoint
CREATE INDEX "artifact_name" ON "artifact" USING btree ("organization_id","name","id");--> statement-breakpoint
CREATE INDEX "artifact_stack" ON "artifact" USING btree ("stack_id","id") WHERE stack_id is not null;--> statement-breakpoint
CREATE INDEX "artifact_update" ON "artifact" USING btree ("update_id","id") WHERE update_id is not null;--> statement-breakpoint
CREATE INDEX "artifact_commit" ON "artifact" USING btree ("commit_sha","id") WHERE commit_sha is not null;--> statement-breakpoint
CREATE INDEX "artifact_blob" ON "artifact" USING btree ("blob_key");--> statement-breakpoint
CREATE INDEX "artifact_pending" ON "artifact" USING btree ("pending_until_ms") WHERE pending_until_ms is not null;--> statement-breakpoint
CREATE INDEX "artifact_loose" ON "artifact" USING btree ("created_ms") WHERE pinned = 0 and pending_until_ms is null;--> statement-breakpoint
CREATE INDEX "artifact_usage_organization" ON "artifact_usage" USING btree ("organization_id");--> statement-breakpoint
CREATE INDEX "artifact_usage_files" ON "artifact_usage" USING btree ("kind","loose_files");--> statement-breakpoint
CREATE INDEX "artifact_usage_bytes" ON "artifact_usage" USING btree ("kind","loose_bytes");--> statement-breakpoint
-- Adds (or takes away) what `changed` rows take up. Called by the triggers below, with their transition table.
CREATE FUNCTION artifacts_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  direction integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
  total record;
BEGIN
  SELECT count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS bytes INTO total FROM changed;
  IF total.files = 0 THEN RETURN NULL; END IF;
  IF TG_OP = 'INSERT' THEN
    INSERT INTO artifact_usage (scope, kind, organization_id, files, bytes, loose_files, loose_bytes)
    SELECT p.scope, p.kind, min(c.organization_id), 0, 0, 0, 0 FROM changed c, LATERAL (VALUES
      ('o:' || c.organization_id, 'organization'), ('s:' || c.stack_id, 'stack')) p (scope, kind)
    WHERE p.scope IS NOT NULL GROUP BY p.scope, p.kind ORDER BY p.scope
    ON CONFLICT (scope) DO NOTHING;
  END IF;
  PERFORM FROM artifact_usage WHERE scope IN (
    SELECT 'o:' || organization_id FROM changed UNION SELECT 's:' || stack_id FROM changed) ORDER BY scope FOR UPDATE;
  UPDATE artifact_usage u SET files = u.files + direction * n.files, bytes = u.bytes + direction * n.bytes,
    loose_files = u.loose_files + direction * n.loose_files,
    loose_bytes = u.loose_bytes + direction * n.loose_bytes
  FROM (SELECT p.scope, count(*) AS files, sum(c.size_bytes)::bigint AS bytes,
      count(*) FILTER (WHERE c.pinned = 0 AND c.pending_until_ms IS NULL) AS loose_files,
      coalesce(sum(c.size_bytes) FILTER (WHERE c.pinned = 0 AND c.pending_until_ms IS NULL), 0)::bigint AS loose_bytes
    FROM changed c, LATERAL (VALUES ('o:' || c.organization_id), ('s:' || c.stack_id)) p (scope)
    GROUP BY p.scope) n
  WHERE u.scope = n.scope;
  IF TG_OP = 'DELETE' THEN
    DELETE FROM artifact_usage WHERE kind = 'stack' AND files = 0
      AND scope IN (SELECT 's:' || stack_id FROM changed);
  END IF;
  PERFORM count_up('artifact', direction * total.files);
  PERFORM count_up('artifact_bytes', direction * total.bytes);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION artifact_loosened() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  direction integer := CASE WHEN NEW.pinned = 0 AND NEW.pending_until_ms IS NULL THEN 1 ELSE -1 END;
BEGIN
  PERFORM FROM artifact_usage WHERE scope IN ('o:' || NEW.organization_id, 's:' || NEW.stack_id)
    ORDER BY scope FOR UPDATE;
  UPDATE artifact_usage SET loose_files = loose_files + direction,
    loose_bytes = loose_bytes + direction * NEW.size_bytes
  WHERE scope IN ('o:' || NEW.organization_id, 's:' || NEW.stack_id);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION update_artifacts_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  DELETE FROM artifact WHERE pinned = 0 AND update_id IN (SELECT id FROM changed);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER artifact_added AFTER INSERT ON artifact
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION artifacts_counted();
--> statement-breakpoint
CREATE TRIGGER artifact_removed AFTER DELETE ON artifact
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION artifacts_counted();
--> statement-breakpoint
CREATE TRIGGER artifact_loosened AFTER UPDATE OF pinned, pending_until_ms ON artifact FOR EACH ROW
  WHEN ((OLD.pinned = 0 AND OLD.pending_until_ms IS NULL) IS DISTINCT FROM (NEW.pinned = 0 AND NEW.pending_until_ms IS NULL))
  EXECUTE FUNCTION artifact_loosened();
--> statement-breakpoint
CREATE TRIGGER stack_update_artifacts AFTER DELETE ON stack_update
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION update_artifacts_removed();
