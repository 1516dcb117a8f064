DROP CONSTRAINT conversation_id IF EXISTS;
DROP CONSTRAINT message_id IF EXISTS;
DROP CONSTRAINT budget_id IF EXISTS;
DROP CONSTRAINT spend_id IF EXISTS;
DROP INDEX conversation_status_index IF EXISTS;
DROP INDEX spend_at_index IF EXISTS;
DROP INDEX spend_status_index IF EXISTS;
