-- Why: statistics are read at every metrics scrape and must not count rows; the retention sweep must find the
-- stacks with many versions without visiting all. Triggers, so that no step can forget a counter.
-- A total is the sum of 16 slots, one of them a connection's own: ends of updates don't wait for each other's
-- commit. Stack rows are locked before counters, and counters in one order: no deadlock.
CREATE FUNCTION count_up(counter_name text, amount bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO counter (name, slot, value) VALUES (counter_name, pg_backend_pid() % 16, amount)
  ON CONFLICT (name, slot) DO UPDATE SET value = counter.value + excluded.value
$$;
--> statement-breakpoint
CREATE FUNCTION rows_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT FROM changed) THEN PERFORM count_up(TG_TABLE_NAME, (SELECT count(*) FROM changed)); END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION rows_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT FROM changed) THEN PERFORM count_up(TG_TABLE_NAME, -(SELECT count(*) FROM changed)); END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION stack_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM count_up('stack', -1);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE FUNCTION state_versions_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  direction integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
  total record;
BEGIN
  SELECT count(*) AS versions, coalesce(sum(size_bytes), 0)::bigint AS bytes INTO total FROM changed;
  IF total.versions = 0 THEN RETURN NULL; END IF;
  UPDATE stack SET state_count = state_count + direction * n.versions
  FROM (SELECT stack_id, count(*) AS versions FROM changed GROUP BY stack_id) n WHERE stack.id = n.stack_id;
  PERFORM count_up('state_bytes', direction * total.bytes);
  PERFORM count_up('state_version', direction * total.versions);
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER organization_added AFTER INSERT ON organization
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rows_added();
--> statement-breakpoint
CREATE TRIGGER organization_removed AFTER DELETE ON organization
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rows_removed();
--> statement-breakpoint
CREATE TRIGGER user_added AFTER INSERT ON "user"
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rows_added();
--> statement-breakpoint
CREATE TRIGGER user_removed AFTER DELETE ON "user"
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rows_removed();
--> statement-breakpoint
CREATE TRIGGER stack_added AFTER INSERT ON stack
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rows_added();
--> statement-breakpoint
CREATE TRIGGER stack_removed AFTER UPDATE OF deleted_ms ON stack FOR EACH ROW
  WHEN (OLD.deleted_ms IS NULL AND NEW.deleted_ms IS NOT NULL) EXECUTE FUNCTION stack_removed();
--> statement-breakpoint
CREATE TRIGGER state_version_added AFTER INSERT ON state_version
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION state_versions_changed();
--> statement-breakpoint
CREATE TRIGGER state_version_removed AFTER DELETE ON state_version
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION state_versions_changed();
--> statement-breakpoint
-- Rows that are rewritten often keep their page: such a change then touches no index.
ALTER TABLE stack SET (fillfactor = 70);
--> statement-breakpoint
ALTER TABLE stack_update SET (fillfactor = 70);
--> statement-breakpoint
-- Sealed bytes don't compress: trying costs time on every write.
ALTER TABLE journal_batch ALTER COLUMN body SET STORAGE EXTERNAL;
--> statement-breakpoint
ALTER TABLE update_input ALTER COLUMN config SET STORAGE EXTERNAL;
