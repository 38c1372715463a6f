-- Why: statistics are read at every metrics scrape and must not count rows; the retention sweep must find the
-- stacks with many versions without visiting all. Triggers, so that no step can forget a counter.
INSERT INTO counter (name, value) VALUES
  ('organization', 0), ('user', 0), ('stack', 0), ('state_version', 0), ('state_bytes', 0);
--> statement-breakpoint
CREATE TRIGGER organization_added AFTER INSERT ON organization BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'organization';
END;
--> statement-breakpoint
CREATE TRIGGER organization_removed AFTER DELETE ON organization BEGIN
  UPDATE counter SET value = value - 1 WHERE name = 'organization';
END;
--> statement-breakpoint
CREATE TRIGGER user_added AFTER INSERT ON user BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'user';
END;
--> statement-breakpoint
CREATE TRIGGER user_removed AFTER DELETE ON user BEGIN
  UPDATE counter SET value = value - 1 WHERE name = 'user';
END;
--> statement-breakpoint
CREATE TRIGGER stack_added AFTER INSERT ON stack BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'stack';
END;
--> statement-breakpoint
CREATE TRIGGER stack_removed AFTER UPDATE OF deleted_ms ON stack
WHEN OLD.deleted_ms IS NULL AND NEW.deleted_ms IS NOT NULL BEGIN
  UPDATE counter SET value = value - 1 WHERE name = 'stack';
END;
--> statement-breakpoint
CREATE TRIGGER state_version_added AFTER INSERT ON state_version BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'state_version';
  UPDATE counter SET value = value + NEW.size_bytes WHERE name = 'state_bytes';
  UPDATE stack SET state_count = state_count + 1 WHERE id = NEW.stack_id;
END;
--> statement-breakpoint
CREATE TRIGGER state_version_removed AFTER DELETE ON state_version BEGIN
  UPDATE counter SET value = value - 1 WHERE name = 'state_version';
  UPDATE counter SET value = value - OLD.size_bytes WHERE name = 'state_bytes';
  UPDATE stack SET state_count = state_count - 1 WHERE id = OLD.stack_id;
END;
